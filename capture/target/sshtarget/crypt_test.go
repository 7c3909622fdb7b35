package sshtarget_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/crypt"
	"github.com/gokdump/gokdump/capture/crypt/crypttest"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
)

// What is encrypted goes both ways; by cat it is a flattened stream inside.
func TestCaptureEncrypted(t *testing.T) {
	id := crypttest.Identity(t)
	for name, opt := range map[string]sshd.Options{"vmcore": {}, "vmcore.flat": {NoSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			s := sshd.Start(t, opt)
			c, path := config(t, s)
			core := filepath.Join(t.TempDir(), "core")
			if err := os.WriteFile(core, synth.ELF(synth.Options{}), 0o600); err != nil {
				t.Fatal(err)
			}
			rep, err := capture.Run(t.Context(), capture.Config{
				Core: core, Target: connect(t, c),
				Encrypt: func(tg target.Target) (target.Target, error) {
					return crypt.NewTarget(tg, []age.Recipient{id.Recipient()}), nil
				},
				Plan: &plan.Plan{Host: "db1", Dump: plan.Dump{Level: 31, Codec: "zstd", Workers: 2}},
			})
			if err != nil || rep.Result != capture.Complete {
				t.Fatalf("%s, %v", rep.Result, err)
			}
			dir := filepath.Join(path, rep.Dir)
			wantFiles(t, dir, "README.txt report.json vmcore-dmesg.txt.age "+name+".age")
			dump := crypttest.Plain(t, filepath.Join(dir, name+".age"), id)
			if opt.NoSFTP {
				dump = unflatten(t, dump)
				text := read(t, filepath.Join(dir, capture.ReadmeName))
				if !strings.Contains(text, "kdump-vmcore decrypt") || !strings.Contains(text, "convert -R vmcore < vmcore.flat\n") {
					t.Errorf("README.txt:\n%s", text)
				}
			}
			opens(t, dump, rep)
		})
	}
}
