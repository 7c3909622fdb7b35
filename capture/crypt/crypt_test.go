package crypt

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture/crypt/crypttest"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest"
)

// once is a cipher that tells when a nonce is used for two texts.
type once struct {
	cipher.AEAD
	t    testing.TB
	mu   sync.Mutex
	seen map[string][32]byte
}

func (o *once) Seal(dst, nonce, text, extra []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := sha256.Sum256(text)
	if old, ok := o.seen[string(nonce)]; ok && old != sum {
		o.t.Errorf("two texts under the nonce %x", nonce)
	}
	o.seen[string(nonce)] = sum
	return o.AEAD.Seal(dst, nonce, text, extra)
}

// watch makes a file report what must never happen.
func watch(t testing.TB, f *File) *File {
	f.payload = &once{AEAD: f.payload, t: t, seen: map[string][32]byte{}}
	f.loosely = &once{AEAD: f.loosely, t: t, seen: map[string][32]byte{}}
	return f
}

// newFile starts the file "f" in a directory of its own.
func newFile(t testing.TB, id *age.X25519Identity) (*File, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := target.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	f, err := NewTarget(d, []age.Recipient{id.Recipient()}).Create("f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Abandon() })
	return watch(t, f.(*File)), filepath.Join(dir, "f")
}

func commit(t testing.TB, f *File) {
	t.Helper()
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestSizes(t *testing.T) {
	id := crypttest.Identity(t)
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 5*chunkSize + 7} {
		want := random(n)
		f, path := newFile(t, id)
		if _, err := io.Copy(f, iotest.HalfReader(bytes.NewReader(want))); err != nil {
			t.Fatal(err)
		}
		commit(t, f)
		if !bytes.Equal(crypttest.Decrypt(t, path, id), want) {
			t.Errorf("%d bytes came back changed", n)
		}
		if f.Size() != int64(n) {
			t.Errorf("size %d, want %d", f.Size(), n)
		}
	}
}

// What a dump does: a head that is rewritten all the time, and data behind it that
// several write once, in ranges that do not mind chunks.
func TestHeadAndData(t *testing.T) {
	id := crypttest.Identity(t)
	f, path := newFile(t, id)
	const head, total = 80*chunkSize + 1000, 120 * chunkSize // more head than is kept in memory
	want := random(total)
	if err := f.Allocate(0, head); err != nil {
		t.Fatal(err)
	}
	junk := random(5000)
	for round := range 3 {
		for off := int64(round * 100); off < head-5000; off += 3 * chunkSize / 2 {
			if _, err := f.WriteAt(junk, off); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(f.chunks) > maxDrafts+1 {
		t.Errorf("%d chunks in memory", len(f.chunks))
	}
	var wg sync.WaitGroup
	const block = 300_001
	for w := range 3 {
		wg.Go(func() {
			for off := head + w*block; off < total; off += 3 * block {
				if _, err := f.WriteAt(want[off:min(off+block, total)], int64(off)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for off := 0; off < head; off += 10_000 { // the final head
		if _, err := f.WriteAt(want[off:min(off+10_000, head)], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, total)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %v, or not what was written", err)
	}
	if _, err := f.WriteAt(want[:1], 90*chunkSize); !errors.Is(err, ErrSealed) {
		t.Errorf("a rewrite of what is final: %v", err)
	}
	commit(t, f)
	if !bytes.Equal(crypttest.Decrypt(t, path, id), want) {
		t.Error("the decrypted file is not what was written")
	}
	if st, err := os.Stat(path); err != nil || st.Size() != f.Stored() || st.Size() != f.slot(120) {
		t.Errorf("stored %d, stat %v, %v", f.Stored(), st.Size(), err)
	}
}

// A dump that was cut short ends in the middle of what was sealed.
func TestCut(t *testing.T) {
	id := crypttest.Identity(t)
	for _, end := range []int64{0, 10, chunkSize, 2*chunkSize + 5, 3 * chunkSize, 4*chunkSize - 1} {
		f, path := newFile(t, id)
		want := random(4 * chunkSize)
		if _, err := f.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(end); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(end + 1); !errors.Is(err, ErrSealed) {
			t.Errorf("longer than the cut at %d: %v", end, err)
		}
		if _, err := f.WriteAt(want[:2*chunkSize], end); !errors.Is(err, ErrSealed) {
			t.Errorf("a write behind the cut at %d: %v", end, err)
		}
		got := make([]byte, end)
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want[:end]) {
			t.Errorf("read back %d: %v", end, err)
		}
		commit(t, f)
		if !bytes.Equal(crypttest.Decrypt(t, path, id), want[:end]) {
			t.Errorf("cut at %d: not what was written", end)
		}
	}
}

// A change of one bit on the disk does not go unseen when it is read back.
func TestDamageIsSeen(t *testing.T) {
	f, path := newFile(t, crypttest.Identity(t))
	if _, err := f.WriteAt(random(3*chunkSize), 0); err != nil {
		t.Fatal(err)
	}
	raw, err := os.OpenFile(path+target.Incomplete, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var b [1]byte
	at := f.slot(1) + 1234
	if _, err := raw.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := raw.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 10), chunkSize+5); err == nil {
		t.Error("damaged data was read back without an error")
	}
}

func TestTarget(t *testing.T) {
	id := crypttest.Identity(t)
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		path := t.TempDir()
		d, err := target.NewDir(path)
		if err != nil {
			t.Fatal(err)
		}
		return NewTarget(d, []age.Recipient{id.Recipient()}), crypttest.Seen{FS: os.DirFS(path), ID: id}
	}, targettest.Rewriting, targettest.Listing)
}

func TestRecipients(t *testing.T) {
	const ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@host"
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pq, x := hybrid.Recipient().String(), crypttest.Identity(t)
	for _, tt := range []struct {
		keys []string
		want string // in the error
	}{
		{keys: []string{x.Recipient().String()}},
		{keys: []string{pq}},
		{keys: []string{ssh, x.Recipient().String()}},
		{nil, "none"},
		{[]string{pq, ssh}, "1 of 2"},
		{[]string{x.String()}, "private key"},
		{[]string{"age1xyz"}, "age1xyz"},
		{[]string{"hello"}, "want age1"},
	} {
		to, err := ParseRecipients(tt.keys)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), x.String()) {
				t.Errorf("%.30q: %v, want %q", tt.keys, err, tt.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.30q: %v", tt.keys, err)
			continue
		}
		if _, _, err := begin(to); err != nil {
			t.Errorf("%.30q: %v", tt.keys, err)
		}
	}
}

// pipe is a target whose files take bytes at their end only, and give none back; or,
// with a head, each byte once, what is behind the head in its order and the rest last.
type pipe struct {
	target.Target
	head bool
}

func (p pipe) Sequential() bool { return !p.head }

func (p pipe) Create(name string) (target.File, error) {
	f, err := p.Target.Create(name)
	pf := &pipeFile{File: f}
	if p.head {
		return &headFile{pipeFile: pf}, err
	}
	return pf, err
}

type pipeFile struct {
	target.File
	from, next int64 // the order counts from here; where it goes on
	taken      []bool
}

func (p *pipeFile) WriteAt(b []byte, off int64) (int, error) {
	if off >= p.from {
		if off != p.next {
			return 0, errors.New("out of order")
		}
		p.next += int64(len(b))
	} else if off+int64(len(b)) > p.from {
		return 0, errors.New("over the end of the head")
	}
	for i := off; i < off+int64(len(b)); i++ {
		if int(i) >= len(p.taken) {
			p.taken = append(p.taken, make([]bool, i+1-int64(len(p.taken)))...)
		}
		if p.taken[i] {
			return 0, errors.New("written twice")
		}
		p.taken[i] = true
	}
	return p.File.WriteAt(b, off)
}

func (p *pipeFile) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (p *pipeFile) Truncate(n int64) error {
	if n != p.Size() {
		return errors.ErrUnsupported
	}
	return nil
}

type headFile struct{ *pipeFile }

func (h *headFile) Once(head, most int64) (bool, error) {
	h.from, h.next = head, head
	return true, nil
}

func TestFrontToBack(t *testing.T) {
	id := crypttest.Identity(t)
	for _, n := range []int{0, 1, chunkSize, chunkSize + 1, 3 * chunkSize, 5*chunkSize + 7} {
		dir := t.TempDir()
		d, err := target.NewDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		tg := NewTarget(pipe{Target: d}, []age.Recipient{id.Recipient()})
		if !tg.Sequential() {
			t.Fatal("not sequential")
		}
		f, err := tg.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		watch(t, f.(*File))
		want := random(n)
		if _, err := io.Copy(struct{ io.Writer }{f}, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !bytes.Equal(crypttest.Decrypt(t, filepath.Join(dir, "f"), id), want) {
			t.Errorf("%d bytes came back changed", n)
		}
	}
}

// Each byte once, the head in the end, as an object in a store takes it.
func TestHeadLast(t *testing.T) {
	id := crypttest.Identity(t)
	for _, total := range []int{4*chunkSize + 100, 6 * chunkSize, 9*chunkSize + 1} {
		const head = 2*chunkSize + 4096
		dir := t.TempDir()
		d, err := target.NewDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		tf, err := NewTarget(pipe{Target: d, head: true}, []age.Recipient{id.Recipient()}).Create("f")
		if err != nil {
			t.Fatal(err)
		}
		f := watch(t, tf.(*File))
		if ok, err := f.Once(head, int64(total)+chunkSize); !ok || err != nil {
			t.Fatal(ok, err)
		}
		want := random(total)
		for off := head; off < total; off += 10_007 {
			if _, err := f.WriteAt(want[off:min(off+10_007, total)], int64(off)); err != nil {
				t.Fatal(err)
			}
		}
		for off := 4096; off < head; off += 5000 { // descriptors, then what is before them
			if _, err := f.WriteAt(want[off:min(off+5000, head)], int64(off)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.WriteAt(want[:4096], 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); err != nil {
			t.Fatalf("%d bytes: %v", total, err)
		}
		if !bytes.Equal(crypttest.Decrypt(t, filepath.Join(dir, "f"), id), want) {
			t.Errorf("%d bytes came back changed", total)
		}
	}
}
