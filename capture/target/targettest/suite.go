// Package targettest is the conformance suite that every capture/target.Target
// must pass.
//
// It owns what the words of target.Target and target.File mean in practice. It
// never tests how a target does it; that is for the target's own tests.
package targettest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/gokdump/gokdump/capture/target"
)

// Open gives a fresh, empty target, and what lies on it as others see it: by
// another handle, with the names and modes that the target really has. Both are
// of use until the test ends.
type Open func(t *testing.T) (target.Target, fs.FS)

// Suite runs all tests, each with a target of its own.
func Suite(t *testing.T, open Open) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, target.Target, fs.FS)
	}{
		{"NamesOfALife", testLife},
		{"Abandon", testAbandon},
		{"WriteAndWriteAt", testWrite},
		{"Truncate", testTruncate},
		{"Parallel", testParallel},
		{"Large", testLarge},
		{"NoOverwrite", testNoOverwrite},
		{"CommitAs", testCommitAs},
		{"Sub", testSub},
		{"BadNames", testBadNames},
		{"AfterTheEnd", testAfterEnd},
		{"Free", testFree},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tg, see := open(t)
			if tg.String() == "" {
				t.Error("the target has no name")
			}
			tt.test(t, tg, see)
			if err := tg.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func create(t *testing.T, tg target.Target, name string) target.File {
	t.Helper()
	f, err := tg.Create(name)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	t.Cleanup(func() { f.Abandon() })
	return f
}

func write(t *testing.T, f io.Writer, p []byte) {
	t.Helper()
	if n, err := f.Write(p); err != nil || n != len(p) {
		t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
	}
}

func writeAt(t *testing.T, f io.WriterAt, p []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(p, off); err != nil || n != len(p) {
		t.Fatalf("WriteAt of %d bytes at %d: %d, %v", len(p), off, n, err)
	}
}

func commit(t *testing.T, f target.File) {
	t.Helper()
	if err := f.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// holds checks what others see under name.
func holds(t *testing.T, see fs.FS, name string, want []byte) {
	t.Helper()
	got, err := fs.ReadFile(see, name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes that are not the %d written", name, len(got), len(want))
	}
	fi, err := fs.Stat(see, name)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v, want 0600: memory is secret", name, fi.Mode())
	}
}

func absent(t *testing.T, see fs.FS, name string) {
	t.Helper()
	if _, err := fs.Stat(see, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want that it does not exist", name, err)
	}
}

func random(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(p)
	return p
}

func testLife(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "vmcore")
	if f.Name() != "vmcore"+target.Incomplete {
		t.Errorf("Name before Commit is %q", f.Name())
	}
	write(t, f, []byte("some"))
	if err := f.Sync(); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	absent(t, see, "vmcore")
	write(t, f, []byte("thing"))
	commit(t, f)
	if f.Name() != "vmcore" || f.Size() != 9 {
		t.Errorf("after Commit: name %q, size %d", f.Name(), f.Size())
	}
	holds(t, see, "vmcore", []byte("something"))
	absent(t, see, "vmcore"+target.Incomplete)
	if err := f.Abandon(); err != nil {
		t.Errorf("Abandon after Commit: %v", err)
	}
	holds(t, see, "vmcore", []byte("something"))
}

func testAbandon(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "vmcore")
	write(t, f, []byte("half"))
	if err := f.Abandon(); err != nil {
		t.Fatalf("Abandon: %v", err)
	}
	if err := f.Abandon(); err != nil {
		t.Errorf("second Abandon: %v", err)
	}
	absent(t, see, "vmcore")
	holds(t, see, "vmcore"+target.Incomplete, []byte("half"))
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abandon: %v", err)
	}
	absent(t, see, "vmcore")
}

func testWrite(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	writeAt(t, f, []byte("end"), 20)
	write(t, f, []byte("be"))
	writeAt(t, f, []byte("mid"), 10)
	write(t, f, []byte("gin"))
	if f.Size() != 23 {
		t.Errorf("Size = %d, want 23", f.Size())
	}
	want := []byte("begin\x00\x00\x00\x00\x00mid\x00\x00\x00\x00\x00\x00\x00end")
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("ReadAt gives %q, %v", got, err)
	}
	if n, err := f.ReadAt(got, 20); n != 3 || err != io.EOF {
		t.Errorf("ReadAt over the end: %d, %v, want 3, EOF", n, err)
	}
	commit(t, f)
	holds(t, see, "f", want)
}

func testTruncate(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	writeAt(t, f, random(10000), 0)
	if err := f.Truncate(5000); err != nil {
		t.Fatalf("Truncate: %v", err)
	}
	if err := f.Truncate(6000); err != nil {
		t.Fatalf("Truncate: %v", err)
	}
	if f.Size() != 6000 {
		t.Errorf("Size = %d, want 6000", f.Size())
	}
	commit(t, f)
	holds(t, see, "f", append(random(10000)[:5000], make([]byte, 1000)...))
}

func testParallel(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	want := random(1 << 20)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for off := i * 5000; off < len(want); off += 8 * 5000 {
				end := min(off+5000, len(want))
				if _, err := f.WriteAt(want[off:end], int64(off)); err != nil {
					t.Errorf("WriteAt: %v", err)
				}
				got := make([]byte, end-off)
				if _, err := f.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, want[off:end]) {
					t.Errorf("ReadAt %d: %v, or not what was written", off, err)
				}
			}
		})
	}
	wg.Wait()
	if f.Size() != int64(len(want)) {
		t.Errorf("Size = %d, want %d", f.Size(), len(want))
	}
	commit(t, f)
	holds(t, see, "f", want)
}

// testLarge writes enough to come by whatever a target does every few MiB.
func testLarge(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	want := random(20<<20 + 77)
	for off := 0; off < len(want); off += 300_000 {
		writeAt(t, f, want[off:min(off+300_000, len(want))], int64(off))
	}
	commit(t, f)
	holds(t, see, "f", want)
}

func testFree(t *testing.T, tg target.Target, see fs.FS) {
	n, err := tg.Free()
	if err != nil || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}
