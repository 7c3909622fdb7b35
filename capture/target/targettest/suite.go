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

// Lack is something that a kind of place cannot do. What a target lacks, the
// suite sees refused, with an error that wraps errors.ErrUnsupported; it never
// just leaves it out.
type Lack uint

const (
	// Random: files are written from front to back and not read back; the target
	// is [target.Sequential].
	Random Lack = 1 << iota
	// Traces: of a file that was not committed nothing is to be seen, under any
	// name. There is no error to this.
	Traces
	// Modes: the place knows no permissions of files. There is no error to this.
	Modes
	// Rewriting: what a large file has taken cannot be changed; a few MiB can.
	Rewriting
	// Rereading: what a large file has taken cannot be read back; a few MiB can.
	Rereading
	// Space: nobody knows how much room there is.
	Space
	// Listing: nobody knows what earlier captures left.
	Listing
)

func (l Lack) has(x Lack) bool { return l&x != 0 }

// suite is what the tests know of the kind of target.
type suite struct{ lacks Lack }

// Suite runs all tests, each with a target of its own. lacks says what the kind
// of place cannot do.
func Suite(t *testing.T, open Open, lacks ...Lack) {
	var s suite
	for _, l := range lacks {
		s.lacks |= l
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, target.Target, fs.FS)
	}{
		{"NamesOfALife", s.testLife},
		{"Abandon", s.testAbandon},
		{"WriteAndWriteAt", s.testWrite},
		{"Truncate", s.testTruncate},
		{"Parallel", s.testParallel},
		{"Large", s.testLarge},
		{"NoOverwrite", s.testNoOverwrite},
		{"CommitAs", s.testCommitAs},
		{"Sub", s.testSub},
		{"BadNames", s.testBadNames},
		{"AfterTheEnd", s.testAfterEnd},
		{"Free", s.testFree},
		{"Refusals", s.testRefusals},
		{"Past", s.testPast},
		{"Rules", s.testRules},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tg, see := open(t)
			if tg.String() == "" {
				t.Error("the target has no name")
			}
			if got, want := target.IsSequential(tg), s.lacks.has(Random); got != want {
				t.Errorf("the target is sequential: %v, want %v", got, want)
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
func (s suite) holds(t *testing.T, see fs.FS, name string, want []byte) {
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
	if !s.lacks.has(Modes) && fi.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v, want 0600: memory is secret", name, fi.Mode())
	}
}

// trace checks what others see of a file called name that was not committed.
func (s suite) trace(t *testing.T, see fs.FS, name string, want []byte) {
	t.Helper()
	if s.lacks.has(Traces) {
		absent(t, see, name+target.Incomplete)
		return
	}
	s.holds(t, see, name+target.Incomplete, want)
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

func (s suite) testLife(t *testing.T, tg target.Target, see fs.FS) {
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
	s.holds(t, see, "vmcore", []byte("something"))
	absent(t, see, "vmcore"+target.Incomplete)
	if err := f.Abandon(); err != nil {
		t.Errorf("Abandon after Commit: %v", err)
	}
	s.holds(t, see, "vmcore", []byte("something"))
}

func (s suite) testAbandon(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "vmcore")
	write(t, f, []byte("half"))
	if err := f.Abandon(); err != nil {
		t.Fatalf("Abandon: %v", err)
	}
	if err := f.Abandon(); err != nil {
		t.Errorf("second Abandon: %v", err)
	}
	absent(t, see, "vmcore")
	s.trace(t, see, "vmcore", []byte("half"))
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abandon: %v", err)
	}
	absent(t, see, "vmcore")
}

func (s suite) testWrite(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	if s.lacks.has(Random) {
		write(t, f, []byte("be"))
		writeAt(t, f, []byte("mid"), 2)
		write(t, f, []byte("gin"))
		if f.Size() != 8 {
			t.Errorf("Size = %d, want 8", f.Size())
		}
		commit(t, f)
		s.holds(t, see, "f", []byte("bemidgin"))
		return
	}
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
	s.holds(t, see, "f", want)
}

func (s suite) testTruncate(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	writeAt(t, f, random(10000), 0)
	if s.lacks.has(Random) {
		if err := f.Truncate(10000); err != nil {
			t.Errorf("Truncate to the present size: %v", err)
		}
		commit(t, f)
		s.holds(t, see, "f", random(10000))
		return
	}
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
	s.holds(t, see, "f", append(random(10000)[:5000], make([]byte, 1000)...))
}

func (s suite) testParallel(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	want := random(1 << 20)
	if s.lacks.has(Random) {
		s.testParallelFiles(t, tg, see)
		return
	}
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
	s.holds(t, see, "f", want)
}

// testParallelFiles writes several files at the same time.
func (s suite) testParallelFiles(t *testing.T, tg target.Target, see fs.FS) {
	var wg sync.WaitGroup
	for i := range 4 {
		f := create(t, tg, string(rune('a'+i)))
		wg.Go(func() {
			for p := random(1<<20 + i); len(p) > 0; p = p[min(5000, len(p)):] {
				if _, err := f.Write(p[:min(5000, len(p))]); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
			}
			if err := f.Commit(); err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		s.holds(t, see, string(rune('a'+i)), random(1<<20+i))
	}
}

// testLarge writes enough to come by whatever a target does every few MiB.
func (s suite) testLarge(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	want := random(20<<20 + 77)
	for off := 0; off < len(want); off += 300_000 {
		writeAt(t, f, want[off:min(off+300_000, len(want))], int64(off))
	}
	commit(t, f)
	s.holds(t, see, "f", want)
}

func (s suite) testFree(t *testing.T, tg target.Target, see fs.FS) {
	n, err := tg.Free()
	if s.lacks.has(Space) {
		refused(t, "Free", err)
		return
	}
	if err != nil || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}

// testRefusals looks at what a target says of what it cannot do.
func (s suite) testRefusals(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	want := random(20 << 20)
	for off := 0; off < len(want); off += 1 << 20 {
		writeAt(t, f, want[off:off+1<<20], int64(off))
	}
	_, read := f.ReadAt(make([]byte, 100), 0)
	_, again := f.WriteAt(want[:100], 0)
	if s.lacks.has(Random | Rereading) {
		refused(t, "ReadAt", read)
	} else if read != nil {
		t.Errorf("ReadAt: %v", read)
	}
	if s.lacks.has(Random | Rewriting) {
		refused(t, "WriteAt of what was written", again)
	} else if again != nil {
		t.Errorf("WriteAt again: %v", again)
	}
	if s.lacks.has(Random) {
		_, gap := f.WriteAt(want[:100], f.Size()+1)
		refused(t, "WriteAt behind the end", gap)
		refused(t, "Truncate", f.Truncate(1<<20))
	}
	// A refusal costs nothing of what was written before.
	commit(t, f)
	s.holds(t, see, "f", want)
}

func refused(t *testing.T, op string, err error) {
	t.Helper()
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s: %v, want one that wraps errors.ErrUnsupported", op, err)
	}
}
