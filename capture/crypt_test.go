package capture

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture/crypt"
	"github.com/gokdump/gokdump/capture/crypt/crypttest"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

func encryptTo(id *age.X25519Identity) func(target.Target) (target.Target, error) {
	return func(t target.Target) (target.Target, error) {
		return crypt.NewTarget(t, []age.Recipient{id.Recipient()}), nil
	}
}

// decrypted makes a plain file of an encrypted one.
func decrypted(t *testing.T, path string, id age.Identity) (string, error) {
	t.Helper()
	text, err := crypttest.Seen{FS: os.DirFS(filepath.Dir(path)), ID: id}.ReadFile(filepath.Base(path))
	if err != nil {
		return "", err
	}
	plain := filepath.Join(t.TempDir(), "plain")
	return plain, os.WriteFile(plain, text, 0o600)
}

func TestRunEncrypted(t *testing.T) {
	dir, tg := dirTarget(t)
	cfg := config(t, synth.ELF(synth.Options{}), tg)
	id := crypttest.Identity(t)
	cfg.Encrypt = encryptTo(id)
	rep, err := Run(t.Context(), cfg)
	if err != nil || rep.Result != Complete || !rep.Encrypted {
		t.Fatalf("result %s, encrypted %v: %v", rep.Result, rep.Encrypted, err)
	}
	out := filepath.Join(dir, crashDir)
	if got, want := names(t, out), "README.txt report.json vmcore-dmesg.txt.age vmcore.age"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	for _, f := range rep.Files {
		if st, err := os.Stat(filepath.Join(out, f.Name)); err != nil || st.Size() != f.Bytes {
			t.Errorf("report: %s has %d bytes; it has %v, %v", f.Name, f.Bytes, st.Size(), err)
		}
	}
	if _, err := vmcore.OpenPath(filepath.Join(out, "vmcore.age")); err == nil || !strings.Contains(err.Error(), "kdump-vmcore decrypt") {
		t.Errorf("opening what is encrypted: %v", err)
	}
	plain, err := decrypted(t, filepath.Join(out, "vmcore.age"), id)
	if err != nil {
		t.Fatal(err)
	}
	core, err := vmcore.OpenPath(plain)
	if err != nil {
		t.Fatal(err)
	}
	core.Close()
	log, err := decrypted(t, filepath.Join(out, "vmcore-dmesg.txt.age"), id)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(log); !bytes.Contains(text, []byte("synthetic crash")) {
		t.Errorf("the log: %.200q", text)
	}
	// Not one page of the crashed kernel may be there in the clear.
	for _, e := range strings.Fields(names(t, out)) {
		b, _ := os.ReadFile(filepath.Join(out, e))
		if e != ReportName && e != ReadmeName && bytes.Contains(b, []byte("synthetic")) {
			t.Errorf("%s has text of the crashed kernel", e)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(out, ReadmeName)); !bytes.Contains(text, []byte("decrypt -i KEYFILE")) || !bytes.Contains(text, []byte("drgn -c vmcore ")) {
		t.Errorf("README.txt does not say how to open it:\n%s", text)
	}
}

// Nothing is written in the clear because a key does not work.
func TestRunCannotEncrypt(t *testing.T) {
	dir, tg := dirTarget(t)
	cfg := config(t, synth.ELF(synth.Options{}), tg)
	cfg.Encrypt = func(target.Target) (target.Target, error) { return nil, errors.New("no entropy") }
	var told strings.Builder
	cfg.Event = func(e Event) { told.WriteString(e.Message + "\n") }
	rep, err := Run(t.Context(), cfg)
	if err == nil || rep.Result != Failed || rep.FailedStep != "encrypt" || !strings.Contains(rep.Error, "no entropy") {
		t.Errorf("%s at %q: %v", rep.Result, rep.FailedStep, err)
	}
	if strings.Contains(told.String(), "Command line: crashkernel") {
		t.Errorf("the log was shown: %s", told.String())
	}
	if got := names(t, filepath.Join(dir, rep.Dir)); got != "README.txt report.json" {
		t.Errorf("files: %s", got)
	}
}

// Whatever the room, and wherever it ends: what has a name decrypts and opens.
func TestRunEncryptedFullDisk(t *testing.T) {
	core := synth.ELF(synth.Options{})
	id := crypttest.Identity(t)
	seen := map[Result]int{}
	for room := int64(600_000); room < 30<<20; room += 1_555_555 {
		dir, tg := dirTarget(t)
		left := new(atomic.Int64)
		left.Store(room)
		cfg := config(t, core, fullTarget{tg, left})
		cfg.Plan.Dump.Codec = "none"
		cfg.Encrypt = encryptTo(id)
		rep, _ := Run(t.Context(), cfg)
		seen[rep.Result]++
		out := filepath.Join(dir, rep.Dir)
		for name, want := range map[string]Result{DumpName: Complete, PartialName: Partial} {
			plain, err := decrypted(t, filepath.Join(out, name+EncryptedSuffix), id)
			if rep.Result != want {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("room %d: result %s, but there is a %s (%v)", room, rep.Result, name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("room %d, %s: %v", room, name, err)
				continue
			}
			src, err := vmcore.OpenPath(plain)
			if err != nil {
				t.Errorf("room %d, %s: %v", room, name, err)
				continue
			}
			if k := src.(vmcore.Kdump); k.Stored().Len() != rep.StoredPages {
				t.Errorf("room %d: %d pages, the report says %d", room, k.Stored().Len(), rep.StoredPages)
			}
			src.Close()
		}
	}
	if seen[Partial] < 3 || seen[Complete] == 0 {
		t.Errorf("results %v: the test does not test it", seen)
	}
	t.Log(seen)
}
