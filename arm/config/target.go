package config

import (
	"path"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// target takes ext4, xfs and btrfs, which exclude each other.
func (p *parser) target(fstype, value string) {
	if at, ok := p.seen["target"]; ok {
		p.errorf("%s is a second target; the first is on line %d: keep one of them", fstype, at)
		return
	}
	p.seen["target"] = p.line

	dev, ok := p.device(fstype, value)
	if !ok {
		return
	}
	p.cfg.Target = Target{FSType: fstype, Device: dev, Line: p.line}
}

func (p *parser) device(fstype, value string) (plan.Device, bool) {
	if v, ok := strings.CutPrefix(value, "UUID="); ok {
		return p.uuid(fstype, v)
	}
	if v, ok := strings.CutPrefix(value, "LABEL="); ok {
		v, ok = p.unquote(fstype+" LABEL=", v)
		return plan.Device{By: plan.ByLabel, Value: v}, ok
	}
	if kind, _, ok := strings.Cut(value, "="); ok && !strings.HasPrefix(value, "/") {
		p.errorf("%s %s: %s= is not supported: name the file system by UUID= or LABEL=, as blkid shows them", fstype, value, kind)
		return plan.Device{}, false
	}
	v, ok := p.unquote(fstype, value)
	if !ok {
		return plan.Device{}, false
	}
	if !strings.HasPrefix(v, "/dev/") || path.Clean(v) != v {
		p.errorf("%s %s: want UUID=…, LABEL=… or a path under /dev", fstype, v)
		return plan.Device{}, false
	}
	// udev's links are not there in the crash kernel: take what they stand for.
	if u, ok := strings.CutPrefix(v, "/dev/disk/by-uuid/"); ok {
		return p.uuid(fstype, u)
	}
	if l, ok := strings.CutPrefix(v, "/dev/disk/by-label/"); ok {
		return plan.Device{By: plan.ByLabel, Value: unescape(l)}, true
	}
	return plan.Device{By: plan.ByPath, Value: v}, true
}

func (p *parser) uuid(fstype, v string) (plan.Device, bool) {
	v, ok := p.unquote(fstype+" UUID=", v)
	if !ok {
		return plan.Device{}, false
	}
	v = strings.ToLower(v)
	if len(v) != 36 || strings.Trim(v, "0123456789abcdef-") != "" {
		p.errorf("%s UUID=%s: this is no UUID; it has 36 characters, 0-9, a-f and -, as blkid shows it", fstype, v)
		return plan.Device{}, false
	}
	return plan.Device{By: plan.ByUUID, Value: v}, true
}

// unescape undoes \xNN, the way udev writes odd bytes in the names of its links.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+3 < len(s) && s[i] == '\\' && s[i+1] == 'x' {
			hi, lo := hexDigit(s[i+2]), hexDigit(s[i+3])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }
