package s3target_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/crypt"
	"github.com/gokdump/gokdump/capture/crypt/crypttest"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
)

// An encrypted dump, whole or not, is one object as well, and no flattened stream.
func TestCaptureEncrypted(t *testing.T) {
	s := s3d.Start(t, false)
	id := crypttest.Identity(t)
	for _, partial := range []bool{false, true} {
		c, path := config(t, s)
		ctx := t.Context()
		if partial {
			ctx = cutAtFirstPart(t, &c)
		}
		rep, dir, err := run(t, ctx, connect(t, c), path, func(cfg *capture.Config) {
			cfg.Encrypt = func(tg target.Target) (target.Target, error) {
				return crypt.NewTarget(tg, []age.Recipient{id.Recipient()}), nil
			}
		})
		name, want := capture.DumpName, capture.Complete
		if partial {
			name, want = capture.PartialName, capture.Partial
		}
		if rep.Result != want || rep.Proof == "" {
			t.Fatalf("%s, proof %q, %v", rep.Result, rep.Proof, err)
		}
		if got, want := names(t, dir), "README.txt capture.log report.json vmcore-dmesg.txt.age "+name+".age"; got != want {
			t.Errorf("files are %q, want %q", got, want)
		}
		opens(t, crypttest.Plain(t, filepath.Join(dir, name+".age"), id), rep)
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestEncryptedSuite(t *testing.T) {
	s := s3d.Start(t, false)
	id := crypttest.Identity(t)
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		c, path := config(t, s)
		return crypt.NewTarget(connect(t, c), []age.Recipient{id.Recipient()}), crypttest.Seen{FS: os.DirFS(path), ID: id}
	}, targettest.Traces, targettest.Modes, targettest.Rewriting, targettest.Rereading, targettest.Space, targettest.Listing)
}
