package capture

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// A dump's header has the phys_base by which the page tables were found, not the one
// that VMCOREINFO has wrong.
func TestSaveMendedPhysBase(t *testing.T) {
	for _, wrong := range []string{"", "NUMBER(phys_base)=8192\n"} {
		m := synth.New(synth.Options{KASLR: 0x1a000000, Drop: []string{"NUMBER(phys_base)"}, Extra: wrong})
		out := new(memOutput)
		if _, err := Save(t.Context(), m.Source(), out, SaveOptions{Level: 31, Codec: codec.None}); err != nil {
			t.Fatal(err)
		}
		if got := out.open(t).Header().PhysBase; got != int64(m.PhysBase) {
			t.Errorf("VMCOREINFO with %q: phys_base %#x in the header, want %#x", wrong, got, m.PhysBase)
		}
	}
}

// memOutput is a file in memory on a disk of limit bytes.
type memOutput struct {
	mu    sync.Mutex
	b     []byte
	limit int64 // 0: none
	flip  int64 // the byte at this offset reads wrong; 0: none
	syncs int
}

func (m *memOutput) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := off + int64(len(p))
	if m.limit > 0 && end > m.limit {
		return 0, syscall.ENOSPC
	}
	if grow := end - int64(len(m.b)); grow > 0 {
		m.b = append(m.b, make([]byte, grow)...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memOutput) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if m.flip > 0 && off <= m.flip && m.flip < off+int64(n) {
		p[m.flip-off] ^= 0xff
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memOutput) Truncate(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limit > 0 && size > m.limit {
		return syscall.ENOSPC
	}
	if size <= int64(len(m.b)) {
		m.b = m.b[:size]
	} else {
		m.b = append(m.b, make([]byte, size-int64(len(m.b)))...)
	}
	return nil
}

func (m *memOutput) Sync() error { m.syncs++; return nil }

func (m *memOutput) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.b))
}

func (m *memOutput) open(t *testing.T) vmcore.Kdump {
	t.Helper()
	k, err := vmcore.OpenKdump(vmcore.NewFile(m, m.Size()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func testMachine() *synth.Machine {
	return synth.New(synth.Options{Runs: []synth.Run{
		{Kind: synth.Anon, Count: 50}, {Kind: synth.Free, Order: 5}, {Kind: synth.Kernel, Count: 9, Zero: true},
	}})
}

func TestSave(t *testing.T) {
	m := testMachine()
	var steps []string
	out := new(memOutput)
	res, err := Save(t.Context(), m.Source(), out, SaveOptions{Level: 31, Codec: codec.Zlib, Workers: 2, VerifyAll: true,
		Event: func(e Event) {
			if !slices.Contains(steps, e.Step) {
				steps = append(steps, e.Step)
			}
			if p := e.Progress; p != nil && p.Done > p.Total {
				t.Errorf("progress %+v", p)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Partial || res.Cause != nil || res.Pages["user"] != 50 || res.Pages["free"] != 32 || res.Pages["zero"] < 9 {
		t.Errorf("%+v", res)
	}
	if res.RAMPages != res.StoredPages+82 || res.LeftOutPages != 0 || res.UnreadablePages != 0 || res.VerifiedPages+res.Pages["zero"] < res.StoredPages || res.EssentialMissing != 0 || !res.Opens {
		t.Errorf("pages: %+v", res)
	}
	if res.CPUs != 2 || res.PageSize != 4096 || res.Bytes != out.Size() || out.syncs == 0 || res.Workers != 2 {
		t.Errorf("%+v, %d syncs", res, out.syncs)
	}
	if len(res.Steps) != 3 || res.Steps[2].Name != "verify" || !slices.Contains(steps, "write") {
		t.Errorf("steps %+v, events of %q", res.Steps, steps)
	}
	k := out.open(t)
	h := k.Header()
	if h.Uname.Release != "6.1.0-synth" || h.Uname.Nodename != "synth" || h.CrashTime != 1700000000 || h.DumpLevel != 31 || h.CPUs != 2 || uint64(h.PhysBase) != m.PhysBase {
		t.Errorf("header %+v", h)
	}
	if n := k.Stored().Len(); n != res.StoredPages {
		t.Errorf("%d pages in bitmap 2, %d in the result", n, res.StoredPages)
	}
}

// Filtering again: what is gone stays gone, and the level says what was done.
func TestSaveAgain(t *testing.T) {
	m := testMachine()
	once := new(memOutput)
	if _, err := Save(t.Context(), m.Source(), once, SaveOptions{Level: 8, Codec: codec.None}); err != nil {
		t.Fatal(err)
	}
	out := new(memOutput)
	res, err := Save(t.Context(), once.open(t), out, SaveOptions{Level: 16, Codec: codec.Zstd, VerifyAll: true})
	if err != nil {
		t.Fatal(err)
	}
	if res.Pages["not in the core"] != 50 || res.Pages["kept"] != res.StoredPages || res.Pages["free"] != 32 || res.RAMPages != res.StoredPages+82 {
		t.Errorf("%+v", res)
	}
	k := out.open(t)
	if h := k.Header(); h.DumpLevel != 24 || h.Uname.Release != "6.1.0-synth" || h.CrashTime != 1700000000 {
		t.Errorf("header %+v", h)
	}
	var kept uint64
	for pfn, ok := k.Stored().Next(0); ok; pfn, ok = k.Stored().Next(pfn + 1) {
		if m.IsRAM(pfn*4096, 4096) {
			kept++
		}
	}
	if kept == 0 {
		t.Error("nothing stored")
	}
}

// A kernel that says nothing of itself: all of its memory is saved.
func TestSaveUnknownKernel(t *testing.T) {
	m := testMachine()
	m.Info = []byte("no such thing\n")
	out := new(memOutput)
	res, err := Save(t.Context(), m.Source(), out, SaveOptions{Level: 31, Codec: codec.LZO, VerifyAll: true})
	if err != nil {
		t.Fatal(err)
	}
	if res.StoredPages != res.RAMPages || !strings.Contains(strings.Join(res.Warnings, "\n"), "nothing is filtered") {
		t.Errorf("%+v", res)
	}
}

func TestSaveDiskFull(t *testing.T) {
	m := testMachine()
	whole := new(memOutput)
	if _, err := Save(t.Context(), m.Source(), whole, SaveOptions{Level: 0, Codec: codec.None}); err != nil {
		t.Fatal(err)
	}
	out := &memOutput{limit: whole.Size() / 2}
	res, err := Save(t.Context(), m.Source(), out, SaveOptions{Level: 0, Codec: codec.None})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Partial || !errors.Is(res.Cause, syscall.ENOSPC) || res.LeftOutPages == 0 || res.StoredPages+res.LeftOutPages != res.RAMPages {
		t.Errorf("%+v", res)
	}
	if n := out.open(t).Stored().Len(); n != res.StoredPages {
		t.Errorf("%d pages in bitmap 2, %d in the result", n, res.StoredPages)
	}

	out = &memOutput{limit: 8192} // not even the descriptors
	res, err = Save(t.Context(), m.Source(), out, SaveOptions{Level: 0, Codec: codec.None})
	if !errors.Is(err, syscall.ENOSPC) || res == nil || len(res.Steps) != 2 || res.Steps[1].Error == "" {
		t.Errorf("error %v, result %+v", err, res)
	}
}

// The time is over during the writing.
func TestSaveCutShort(t *testing.T) {
	m := testMachine()
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("deadline of the capture")
	out := &cancelOutput{cancel: func() { cancel(late) }}
	res, err := Save(ctx, m.Source(), out, SaveOptions{Level: 0, Codec: codec.None, Workers: 1, VerifyAll: true})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Partial || !errors.Is(res.Cause, late) || res.LeftOutPages == 0 || res.StoredPages == 0 {
		t.Errorf("%+v", res)
	}
	if n := out.open(t).Stored().Len(); n != res.StoredPages {
		t.Errorf("%d pages in bitmap 2, %d in the result", n, res.StoredPages)
	}
}

// cancelOutput calls cancel when the file has grown to 10 MiB.
type cancelOutput struct {
	memOutput
	cancel func()
}

func (c *cancelOutput) WriteAt(p []byte, off int64) (int, error) {
	if off > 10<<20 {
		c.cancel()
	}
	return c.memOutput.WriteAt(p, off)
}

// What is read back differs from what was written: not a complete dump.
func TestSaveBadDisk(t *testing.T) {
	m := testMachine()
	out := &memOutput{flip: 3 << 20}
	res, err := Save(t.Context(), m.Source(), out, SaveOptions{Level: 31, Codec: codec.Zlib, VerifyAll: true})
	if err == nil || !strings.HasPrefix(err.Error(), "verify: ") {
		t.Errorf("error %v, result %+v", err, res)
	}
}

// The time was over before anything was filtered.
func TestSaveTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := Save(ctx, testMachine().Source(), new(memOutput), SaveOptions{Level: 31, Codec: codec.Zlib})
	if !errors.Is(err, context.Canceled) || res == nil {
		t.Errorf("error %v, result %+v", err, res)
	}
}

// Headers that put RAM at an absurd address: an error at once, not bitmaps of
// gigabytes.
func TestSaveAbsurdAddress(t *testing.T) {
	src := highSource{testMachine().Source()}
	out := new(memOutput)
	_, err := Save(t.Context(), src, out, SaveOptions{Level: 31, Codec: codec.Zlib})
	if err == nil || !strings.Contains(err.Error(), "headers are damaged") || out.Size() != 0 {
		t.Errorf("error %v, %d bytes", err, out.Size())
	}
}

type highSource struct{ vmcore.Source }

func (h highSource) RAM() []vmcore.Range {
	return append(h.Source.RAM(), vmcore.Range{Start: 1 << 50, End: 1<<50 + 4096})
}
