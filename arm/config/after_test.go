package config

import (
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"

func TestAfter(t *testing.T) {
	c := parse(t, `recipient `+ageKey+`
recipient `+sshKey+` alice@desk
notify http://hooks.example/x
notify_ca /etc/ssl/hook.pem
notify_token /etc/kdump/token
keep 5
keep_free 20G
loop_guard 2 30m
`)
	want := Default()
	want.Name = "kdump.conf"
	want.Recipients = []string{ageKey, sshKey}
	want.Notify = Notify{"http://hooks.example/x", "/etc/ssl/hook.pem", "/etc/kdump/token"}
	want.Keep = plan.Keep{Dumps: 5, Free: 20 << 30}
	want.LoopGuard = &plan.LoopGuard{Dumps: 2, Within: plan.Seconds(30 * time.Minute)}
	want.Notes = c.Notes
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if !strings.Contains(strings.Join(c.Notes, "\n"), "in the clear") {
		t.Errorf("notes %q", c.Notes)
	}

	// A disk needs no network: the host posts.
	p, err := c.Plan(host())
	if err != nil {
		t.Fatal(err)
	}
	if p.Notify != nil || len(p.Files) != 0 || len(c.ImageFiles(p)) != 0 {
		t.Errorf("for a disk: notify %+v, files %q", p.Notify, p.Files)
	}
	if d := cmp.Diff([]string{plan.FeatureAge}, p.Features()); d != "" || p.Keep.Dumps != 5 || p.LoopGuard.Dumps != 2 {
		t.Errorf("features %s, %+v", d, p)
	}

	// With a server among the targets the crash kernel posts.
	p.Targets = append(p.Targets, plan.Target{Kind: plan.KindNFS, Path: "/", NFS: &plan.NFS{Host: "h", Export: "/e", Version: "4.2"}})
	c.after(p)
	if d := cmp.Diff(&plan.Notify{URL: "http://hooks.example/x", CA: notifyCA, Token: notifyToken}, p.Notify); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]ImageFile{{notifyCA, "/etc/ssl/hook.pem"}, {notifyToken, "/etc/kdump/token"}}, c.ImageFiles(p)); d != "" {
		t.Error(d)
	}
}

func TestLoopGuard(t *testing.T) {
	if g := parse(t, "").LoopGuard; g == nil || *g != plan.DefaultLoopGuard() {
		t.Errorf("default %+v", g)
	}
	if g := parse(t, "loop_guard off").LoopGuard; g != nil {
		t.Errorf("off gave %+v", g)
	}
}
