package config

import (
	"path"
	"reflect"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// fsTarget takes ext4, xfs and btrfs.
func (p *parser) fsTarget(fstype, value string) {
	value, options, ok := p.subvolume(fstype, value)
	if !ok {
		return
	}
	if dev, ok := p.device(fstype, value); ok {
		p.addTarget(Target{Kind: plan.KindFS, FSType: fstype, Device: dev, Options: options})
	}
}

// subvolume takes subvol=NAME from the end of a target's value.
func (p *parser) subvolume(fstype, value string) (rest, options string, ok bool) {
	at := strings.LastIndex(value, " subvol=")
	if tab := strings.LastIndex(value, "\tsubvol="); tab > at {
		at = tab
	}
	if at < 0 {
		return value, "", true
	}
	name, ok := p.unquote(fstype+" subvol=", value[at+len(" subvol="):])
	switch {
	case !ok:
		return "", "", false
	case fstype != "btrfs":
		p.errorf("%s: subvol= is for btrfs", fstype)
		return "", "", false
	case strings.ContainsAny(name, ",\\"):
		p.errorf("btrfs subvol=%s: a comma and a backslash cannot be given to mount(2)", name)
		return "", "", false
	}
	return strings.TrimSpace(value[:at]), "subvol=" + name, true
}

// rawTarget takes raw.
func (p *parser) rawTarget(word, value string) {
	dev, ok := p.device(word, value)
	switch {
	case !ok:
	case dev.By == plan.ByUUID || dev.By == plan.ByLabel:
		p.errorf("raw %s: that names a file system, which a raw target must not have: use PARTUUID=, PARTLABEL= or a path under /dev", value)
	default:
		p.addTarget(Target{Kind: plan.KindRaw, Device: dev})
	}
}

// addTarget takes one more target, unless it is there already or one too many.
func (p *parser) addTarget(t Target) bool {
	for _, o := range p.cfg.Targets {
		if same(o, t) {
			p.errorf("this target is named on line %d already", o.Line)
			return false
		}
	}
	if len(p.cfg.Targets) == plan.MaxTargets {
		p.errorf("this is target %d: at most %d are possible", plan.MaxTargets+1, plan.MaxTargets)
		return false
	}
	t.Line = p.line
	p.cfg.Targets = append(p.cfg.Targets, t)
	return true
}

// same tells whether two targets are one place, whatever the words below them say.
func same(a, b Target) bool {
	switch {
	case a.Kind != b.Kind:
		return false
	case a.NFS != nil && b.NFS != nil:
		return a.NFS.Host == b.NFS.Host && a.NFS.Export == b.NFS.Export
	case a.SSH != nil && b.SSH != nil:
		return a.SSH.Host == b.SSH.Host && a.SSH.User == b.SSH.User
	case a.S3 != nil && b.S3 != nil:
		return a.S3.Endpoint == b.S3.Endpoint && a.S3.Bucket == b.S3.Bucket
	}
	return a.FSType == b.FSType && reflect.DeepEqual(a.Device, b.Device)
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
	if v, ok := strings.CutPrefix(value, "PARTUUID="); ok {
		return p.partUUID(fstype, v)
	}
	if v, ok := strings.CutPrefix(value, "PARTLABEL="); ok {
		v, ok = p.unquote(fstype+" PARTLABEL=", v)
		return plan.Device{By: plan.ByPartLabel, Value: v}, ok
	}
	if kind, _, ok := strings.Cut(value, "="); ok && !strings.HasPrefix(value, "/") {
		p.errorf("%s %s: %s= is not supported: name the device by UUID=, LABEL=, PARTUUID= or PARTLABEL=, as blkid shows them", fstype, value, kind)
		return plan.Device{}, false
	}
	v, ok := p.unquote(fstype, value)
	if !ok {
		return plan.Device{}, false
	}
	if !strings.HasPrefix(v, "/dev/") || path.Clean(v) != v {
		p.errorf("%s %s: want UUID=…, LABEL=…, PARTUUID=…, PARTLABEL=… or a path under /dev", fstype, v)
		return plan.Device{}, false
	}
	// udev's links are not there in the crash kernel: take what they stand for.
	if u, ok := strings.CutPrefix(v, "/dev/disk/by-uuid/"); ok {
		return p.uuid(fstype, u)
	}
	if l, ok := strings.CutPrefix(v, "/dev/disk/by-label/"); ok {
		return plan.Device{By: plan.ByLabel, Value: unescape(l)}, true
	}
	if u, ok := strings.CutPrefix(v, "/dev/disk/by-partuuid/"); ok {
		return p.partUUID(fstype, u)
	}
	if l, ok := strings.CutPrefix(v, "/dev/disk/by-partlabel/"); ok {
		return plan.Device{By: plan.ByPartLabel, Value: unescape(l)}, true
	}
	return plan.Device{By: plan.ByPath, Value: v}, true
}

// partUUID takes a GPT's UUID of a partition, or an MBR's signature and number.
func (p *parser) partUUID(fstype, v string) (plan.Device, bool) {
	v, ok := p.unquote(fstype+" PARTUUID=", v)
	if !ok {
		return plan.Device{}, false
	}
	v = strings.ToLower(v)
	if len(v) != 36 && (len(v) != 11 || v[8] != '-') || strings.Trim(v, "0123456789abcdef-") != "" {
		p.errorf("%s PARTUUID=%s: this is none; it has 36 characters, or with an MBR 11 as in 8f0c1a2b-01, as blkid shows it", fstype, v)
		return plan.Device{}, false
	}
	return plan.Device{By: plan.ByPartUUID, Value: v}, true
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
