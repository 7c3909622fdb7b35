package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/crypt"
	"github.com/gokdump/gokdump/capture/notify"
	"github.com/gokdump/gokdump/capture/plan"
)

// Notify is where reports are posted, as the file has it: CA and Token are paths of
// this host.
type Notify struct{ URL, CA, Token string }

// The names in the image of what Notify needs.
const (
	notifyCA    = "notify-ca.pem"
	notifyToken = "notify-token"
)

// recipient takes a public key. Its kind is checked with the others at the end.
func (p *parser) recipient(_, value string) {
	key := strings.Join(strings.Fields(value), " ")
	if f := strings.Fields(key); len(f) > 2 && strings.HasPrefix(key, "ssh-") {
		key = f[0] + " " + f[1] // the rest is a comment
	}
	if slices.Contains(p.cfg.Recipients, key) {
		p.errorf("recipient %s is there already", clip(key))
		return
	}
	if _, err := crypt.ParseRecipient(key); err != nil {
		p.errorf("%v", err)
		return
	}
	p.cfg.Recipients = append(p.cfg.Recipients, key)
	if _, err := crypt.ParseRecipients(p.cfg.Recipients); err != nil {
		p.errorf("%v", err)
	}
	if len(p.cfg.Recipients) > plan.MaxRecipients {
		p.errorf("this is recipient %d: at most %d are possible", len(p.cfg.Recipients), plan.MaxRecipients)
	}
}

func (p *parser) notify(_, value string) {
	value, ok := p.unquote("notify", value)
	if !ok {
		return
	}
	if err := notify.Check(value); err != nil {
		p.errorf("notify: %v", err)
		return
	}
	p.cfg.Notify.URL = value
}

// notifyFile takes notify_ca and notify_token.
func (p *parser) notifyFile(word, value string) {
	value, ok := p.unquote(word, value)
	if !ok {
		return
	}
	if !strings.HasPrefix(value, "/") {
		p.errorf("%s %s is not absolute", word, value)
		return
	}
	if word == "notify_ca" {
		p.cfg.Notify.CA = value
	} else {
		p.cfg.Notify.Token = value
	}
}

func (p *parser) keep(_, value string) {
	if n, ok := p.number("keep", value, 1, plan.MaxKeep); ok {
		p.cfg.Keep.Dumps = n
	}
}

// keepFree takes a number of bytes with a suffix of powers of 1024.
func (p *parser) keepFree(_, value string) {
	num, unit := value, uint64(1)
	if at := strings.IndexByte("KMGT", value[len(value)-1]&^0x20); at >= 0 {
		num, unit = value[:len(value)-1], 1<<(10*(at+1))
	}
	n, err := strconv.ParseUint(num, 10, 64)
	if err != nil || n == 0 || n > math.MaxInt64/unit {
		p.errorf("keep_free %s: want a size, as in 500M or 20G", clip(value))
		return
	}
	p.cfg.Keep.Free = n * unit
}

func (p *parser) loopGuard(_, value string) {
	if value == "off" {
		p.cfg.LoopGuard = nil
		return
	}
	f := strings.Fields(value)
	if len(f) != 2 {
		p.errorf("loop_guard %s: want loop_guard N DURATION, as in loop_guard 3 60m, or loop_guard off", clip(value))
		return
	}
	n, ok := p.number("loop_guard", f[0], 1, plan.MaxKeep)
	if !ok {
		return
	}
	d, err := time.ParseDuration(f[1])
	if err != nil || d < time.Second || d > 365*24*time.Hour || d%time.Second != 0 {
		p.errorf("loop_guard %s %s: want a time from 1s to 8760h, as in 60m", f[0], clip(f[1]))
		return
	}
	p.cfg.LoopGuard = &plan.LoopGuard{Dumps: n, Within: plan.Seconds(d)}
}

// after puts into a plan what is to be done with the dump and after it. The crash
// kernel posts the report only where it has a network anyway; else kdump-arm does,
// when the host is back.
func (c *Config) after(p *plan.Plan) {
	p.Recipients, p.Keep, p.LoopGuard = c.Recipients, c.Keep, c.LoopGuard
	if c.Notify.URL == "" || !slices.ContainsFunc(p.Targets, plan.Target.Remote) {
		return
	}
	p.Notify = &plan.Notify{URL: c.Notify.URL}
	if c.Notify.CA != "" {
		p.Notify.CA = notifyCA
		p.Files = append(p.Files, notifyCA)
	}
	if c.Notify.Token != "" {
		p.Notify.Token = notifyToken
		p.Files = append(p.Files, notifyToken)
	}
}

// ImageFiles are the files that the image of a plan made from c needs.
func (c *Config) ImageFiles(p *plan.Plan) []ImageFile {
	all := append(slices.Clone(c.Files), ImageFile{notifyCA, c.Notify.CA}, ImageFile{notifyToken, c.Notify.Token})
	for _, name := range p.Files {
		if strings.HasPrefix(name, luksFile) {
			all = append(all, ImageFile{name, c.LUKSKey})
		}
	}
	return slices.DeleteFunc(all, func(f ImageFile) bool { return !slices.Contains(p.Files, f.Name) })
}

// checkAfter finds what only the whole file tells.
func (p *parser) checkAfter() {
	n := p.cfg.Notify
	if n.URL == "" && (n.CA != "" || n.Token != "") {
		p.errorf("notify_ca and notify_token need notify URL")
	}
	if n.Token != "" && strings.HasPrefix(n.URL, "http://") {
		p.notef("notify_token is sent in the clear: the URL is http")
	}
}
