package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/arm/armtest"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/initramfs/archive"
)

// The targets of a real image are tried against a real server, when it is armed and
// when that is asked for, and status shows what came of it.
func TestCheck(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	at := strings.LastIndexByte(s.Addr, ':')
	port, err := strconv.Atoi(s.Addr[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	dumps := filepath.Join(t.TempDir(), "dumps")
	pl := &plan.Plan{
		Version: plan.Version, Host: "h", Kernel: "6.1.0-test", Files: []string{"key", "hosts"},
		Targets: []plan.Target{{Kind: plan.KindSSH, Path: dumps, SSH: &plan.SSH{Host: s.Addr[:at], Port: port, User: s.User, Key: "key", KnownHosts: "hosts"}}},
		Network: &plan.Network{Interfaces: []plan.Interface{{Name: "any", NIC: &plan.NIC{Any: true}, DHCP4: true}}, Deadlines: plan.DefaultNetworkDeadlines()},
		Dump:    plan.Dump{Level: 31, Codec: "zstd"}, Deadlines: plan.DefaultDeadlines(), FailureAction: plan.Reboot, FinalAction: plan.Reboot,
	}
	var doc bytes.Buffer
	if err := pl.Encode(&doc); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := fakeMachine(root); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(root, "/var/lib/gokdump/kdump-6.1.0-test.img")
	if err := os.WriteFile(img, image(t,
		archive.File{Name: "init", Mode: 0o755, Data: []byte("program")}, archive.File{Name: "plan.json", Mode: 0o600, Data: doc.Bytes()},
		archive.File{Name: "files/key", Mode: 0o600, Data: s.Key}, archive.File{Name: "files/hosts", Mode: 0o600, Data: s.KnownHosts}), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		p := &program{host: arm.Host{Root: root, Kexec: &armtest.Machine{Root: root}, Inspect: inspect}, stdout: &out, stderr: &errs}
		if got := p.run(t.Context(), args); got != code {
			t.Errorf("%q: exit %d, want %d\n%s%s", args, got, code, &out, &errs)
		}
		return out.String(), errs.String()
	}
	has := func(what, text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
	run(0, "load", "--no-check")
	if out, _ := run(0, "status"); strings.Contains(out, "target:") {
		t.Errorf("status tells of targets that were not tried:\n%s", out)
	}
	if _, err := os.Stat(dumps); err == nil {
		t.Error("load --no-check logged in")
	}
	out, _ := run(0, "load")
	has("load", out, "logged in, and the directory is there, ")
	out, _ = run(0, "status")
	has("status", out, "target:       ssh "+s.User+"@127.0.0.1, "+dumps+": logged in")
	has("status", out, "tried:        20")

	s.ChangeHostKey()
	_, errs := run(1, "check")
	has("check", errs, "a dump could not be saved there now: ssh target")
	has("check", errs, "CHANGED")
	has("check", errs, "hint: ")
	out, _ = run(0, "status")
	has("status", out, "NO DUMP COULD BE SAVED THERE: ")
	out, _ = run(0, "status", "--json")
	has("status --json", out, `"error": "ssh target`)
	out, errs = run(0, "load")
	has("load", out, "armed: ")
	has("load", errs, "CHANGED")
	run(1, "check", "--image", filepath.Join(root, "absent"))
}
