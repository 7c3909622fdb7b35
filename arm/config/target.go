package config

import (
	"path"
	"reflect"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// fsTarget takes ext4, xfs and btrfs.
func (p *parser) fsTarget(fstype, value string) {
	if dev, ok := p.device(fstype, value); ok {
		p.addTarget(Target{Kind: plan.KindFS, FSType: fstype, Device: dev})
	}
}

// addTarget takes one more target, unless it is there already or one too many.
func (p *parser) addTarget(t Target) {
	for _, o := range p.cfg.Targets {
		same := o
		same.Line, same.Path = 0, ""
		if reflect.DeepEqual(same, t) {
			p.errorf("this target is named on line %d already", o.Line)
			return
		}
	}
	if len(p.cfg.Targets) == plan.MaxTargets {
		p.errorf("this is target %d: at most %d are possible", plan.MaxTargets+1, plan.MaxTargets)
		return
	}
	t.Line = p.line
	p.cfg.Targets = append(p.cfg.Targets, t)
}

// lastTarget is the target that a word below it belongs to; nil above all.
func (p *parser) lastTarget() *Target {
	if n := len(p.cfg.Targets); n > 0 {
		return &p.cfg.Targets[n-1]
	}
	return nil
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
