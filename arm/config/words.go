package config

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// word says how one word of the language is taken.
type word struct {
	usage string
	// group is set for a word that minds its own doubling, since other words
	// or its own argument take part in it.
	group string
	take  func(p *parser, word, value string)
}

func words() map[string]word {
	target := word{"UUID=… | LABEL=… | PARTUUID=… | PARTLABEL=… | /dev/…", "target", (*parser).fsTarget}
	return map[string]word{
		"ext4":            target,
		"xfs":             target,
		"btrfs":           target,
		"raw":             {"PARTUUID=… | PARTLABEL=… | /dev/…", "target", (*parser).rawTarget},
		"path":            {"DIRECTORY", "path", (*parser).path},
		"level":           {"N", "", (*parser).level},
		"codec":           {"NAME", "", (*parser).codec},
		"core_collector":  {"makedumpfile OPTIONS", "", (*parser).collector},
		"failure_action":  {"ACTION", "", (*parser).action},
		"final_action":    {"ACTION", "", (*parser).action},
		"extra_modules":   {"NAME...", "", (*parser).modules},
		"host":            {"NAME", "", (*parser).host},
		"timeout":         {"NAME DURATION", "timeout", (*parser).timeout},
		"recipient":       {"age1… | ssh-ed25519 … | ssh-rsa …", "recipient", (*parser).recipient},
		"luks_key":        {"FILE", "", (*parser).luksKey},
		"notify":          {"URL", "", (*parser).notify},
		"notify_ca":       {"FILE", "", (*parser).notifyFile},
		"notify_token":    {"FILE", "", (*parser).notifyFile},
		"keep":            {"N", "", (*parser).keep},
		"keep_free":       {"SIZE", "", (*parser).keepFree},
		"loop_guard":      {"N DURATION | off", "", (*parser).loopGuard},
		"nfs":             {"HOST:/EXPORT", "target", (*parser).nfsTarget},
		"nfs4":            {"HOST:/EXPORT", "target", (*parser).nfsTarget},
		"nfs_version":     {"VERSION", "of target", (*parser).nfsVersion},
		"nfs_options":     {"OPTION,...", "of target", (*parser).nfsOptions},
		"network":         {"auto | [dhcp] [dhcp6] [slaac] [ADDRESS/LENGTH]... [gateway ADDRESS] [on DEVICE]", "network", (*parser).network},
		"vlan":            {"NAME ID on DEVICE", "network", (*parser).vlan},
		"bond":            {"NAME on DEVICE,DEVICE... [OPTION=VALUE]...", "network", (*parser).bond},
		"route":           {"NETWORK via GATEWAY [on DEVICE]", "network", (*parser).route},
		"nameserver":      {"ADDRESS...", "network", (*parser).nameserver},
		"ssh":             {"USER@HOST", "target", (*parser).sshTarget},
		"sshkey":          {"FILE", "of target", (*parser).sshFile},
		"ssh_known_hosts": {"FILE", "of target", (*parser).sshFile},
		"ssh_port":        {"N", "of target", (*parser).sshPort},
		"s3":              {"https://HOST/BUCKET[/PREFIX]", "target", (*parser).s3Target},
		"s3_credentials":  {"FILE", "of target", (*parser).s3File},
		"s3_ca":           {"FILE", "of target", (*parser).s3File},
		"s3_region":       {"NAME", "of target", (*parser).s3Region},
		"s3_style":        {"path | virtual", "of target", (*parser).s3Style},
	}
}

func (p *parser) path(_, value string) {
	value, ok := p.unquote("path", value)
	if !ok {
		return
	}
	switch {
	case !path.IsAbs(value):
		p.errorf("path %s is not absolute", value)
	case slices.Contains(strings.Split(value, "/"), ".."):
		p.errorf("path %s must not hold ..", value)
	case p.once(fmt.Sprint("path ", len(p.cfg.Targets)), "path"):
		if t := p.lastTarget(); t != nil {
			t.Path = path.Clean(value)
			return
		}
		p.cfg.Path = path.Clean(value)
	}
}

// collectorWord excludes level and codec beside core_collector, in any order.
func (p *parser) collectorWord(word string) bool {
	others := []string{"core_collector"}
	if word == "core_collector" {
		others = []string{"level", "codec"}
	}
	for _, o := range others {
		if at, ok := p.seen[o]; ok {
			p.errorf("%s and %s (line %d) say the same thing twice: keep one of them", word, o, at)
			return false
		}
	}
	return true
}

func (p *parser) level(word, value string) {
	if n, ok := p.number("level", value, 0, 31); ok && p.collectorWord(word) {
		p.cfg.Level = n
	}
}

func (p *parser) codec(word, value string) {
	if !p.collectorWord(word) {
		return
	}
	if !slices.Contains(plan.Codecs(), value) {
		p.errorf("codec %s is not known: want %s%s", value, strings.Join(plan.Codecs(), ", "), didYouMean(value, plan.Codecs()))
		return
	}
	p.cfg.Codec = value
}

func (p *parser) action(word, value string) {
	a := plan.Action(value)
	if word == "failure_action" && value == "dump_to_rootfs" {
		// As elsewhere: what follows it is a reboot.
		p.cfg.DumpToRootfs, a = true, plan.Reboot
	}
	if !slices.Contains(plan.Actions(), a) {
		p.errorf("%s %s is not known: want reboot, poweroff, halt or shell", word, value)
		return
	}
	if word == "failure_action" {
		p.cfg.FailureAction = a
	} else {
		p.cfg.FinalAction = a
	}
}

func (p *parser) modules(_, value string) {
	for _, m := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		if strings.Trim(m, moduleChars) != "" {
			p.errorf("extra_modules: %q is not a module's name: write the name that lsmod shows, without a path or .ko", m)
			continue
		}
		p.cfg.ExtraModules = append(p.cfg.ExtraModules, m)
	}
}

const moduleChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (p *parser) luksKey(word, value string) {
	if v, ok := p.filePath(word, value); ok {
		p.cfg.LUKSKey = v
	}
}

func (p *parser) host(_, value string) {
	if strings.ContainsAny(value, "/ \t") || value == "." || value == ".." || len(value) > 64 {
		p.errorf("host %q cannot be part of a directory's name: want at most 64 characters without / and spaces", value)
		return
	}
	p.cfg.Host = value
}

func (p *parser) timeout(_, value string) {
	f := strings.Fields(value)
	if len(f) != 2 {
		p.errorf("timeout %s: want timeout NAME DURATION, as in timeout capture 2h", value)
		return
	}
	d := &p.cfg.Deadlines
	names := map[string]*plan.Seconds{
		"device": &d.Device, "mount": &d.Mount, "stall": &d.Stall, "capture": &d.Capture, "reboot": &d.Reboot,
		"link": &p.cfg.NetworkDeadlines.Link, "address": &p.cfg.NetworkDeadlines.Address, "route": &p.cfg.NetworkDeadlines.Route,
	}
	at, ok := names[f[0]]
	if !ok {
		known := []string{"device", "mount", "stall", "capture", "reboot", "link", "address", "route"}
		p.errorf("timeout %s is not known: want %s%s", f[0], strings.Join(known, ", "), didYouMean(f[0], known))
		return
	}
	v := f[1]
	if _, err := strconv.ParseUint(v, 10, 32); err == nil {
		v += "s"
	}
	t, err := time.ParseDuration(v)
	if err != nil || t < time.Second || t > 365*24*time.Hour || t%time.Second != 0 {
		p.errorf("timeout %s %s: want whole seconds from 1s to 8760h, as in 90, 90s, 5m or 2h", f[0], f[1])
		return
	}
	if p.once("timeout "+f[0], "timeout "+f[0]) {
		*at = plan.Seconds(t)
	}
}

// number reads a decimal number within low and high.
func (p *parser) number(what, s string, low, high int) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		p.errorf("%s %s: want a number from %d to %d", what, s, low, high)
		return 0, false
	}
	return n, true
}

// unquote takes a value as it is, or between double quotes, as blkid(8) prints
// it. White space needs the quotes, so that a second value is not swallowed.
func (p *parser) unquote(what, s string) (string, bool) {
	if in, ok := strings.CutPrefix(s, `"`); ok {
		in, ok = strings.CutSuffix(in, `"`)
		if !ok || in == "" || strings.Contains(in, `"`) {
			p.errorf("%s %s: the quotes do not close around a value", what, s)
			return "", false
		}
		return in, true
	}
	if s == "" || strings.ContainsAny(s, " \t\"") {
		p.errorf("%s %q: want one value; put it in double quotes when it holds spaces", what, s)
		return "", false
	}
	return s, true
}
