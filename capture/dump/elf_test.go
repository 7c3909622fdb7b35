package dump

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// fakeViews shows the core's memory at a direct map, and some of it as the image.
func fakeViews(core *fakeCore) []View {
	return []View{
		{Range: vmcore.Range{Start: 40000 * core.size, End: 40100 * core.size}, Addr: 0xffffffff81000000, Image: true},
		{Range: vmcore.Range{End: 1 << 40}, Addr: 0xffff888000000000},
	}
}

func openELF(t *testing.T, f *memFile) vmcore.Source {
	t.Helper()
	src, err := vmcore.OpenELF(vmcore.NewFile(f, int64(len(f.data))))
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	return src
}

// checkELF holds the core that was written against the one that it is from: what
// was kept is there, what was not is zeros or not there. It returns how many pages
// that were kept are not there.
func checkELF(t *testing.T, f *memFile, core *fakeCore, sel *filter.Result) (missing uint64) {
	t.Helper()
	src := openELF(t, f)
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if fmt.Sprint(src.RAM()) != fmt.Sprint(core.ram) || !bytes.Equal(src.VMCoreInfo(), core.info) || src.Machine() != elf.EM_X86_64 {
		t.Errorf("RAM %x, VMCOREINFO %q", src.RAM(), src.VMCoreInfo())
	}
	got, want, zeros := make([]byte, core.size), make([]byte, core.size), make([]byte, core.size)
	for pfn, ok := sel.RAM.Next(0); ok; pfn, ok = sel.RAM.Next(pfn + 1) {
		n := core.size
		if last := core.ram[1].End; (pfn+1)*core.size > last {
			n = last - pfn*core.size
		}
		core.page(want, pfn)
		err := r.ReadPhys(got[:n], pfn*core.size)
		isZero := err == nil && bytes.Equal(got[:n], zeros[:n])
		switch {
		case err != nil && !errors.Is(err, vmcore.ErrNoPage):
			t.Fatalf("pfn %#x: %v", pfn, err)
		case !sel.Keep.Has(pfn):
			if err == nil && !isZero {
				t.Fatalf("pfn %#x was left out, but something is there", pfn)
			}
		case err != nil || isZero && !bytes.Equal(want[:n], zeros[:n]):
			if !bytes.Equal(want[:n], zeros[:n]) {
				missing++
			}
		case !bytes.Equal(got[:n], want[:n]):
			t.Fatalf("pfn %#x is not what the core has", pfn)
		}
	}
	return missing
}

func TestWriteELF(t *testing.T) {
	for _, size := range []uint64{4096, 65536} {
		for _, drop := range []bool{false, true} {
			for name, keep := range map[string]func(uint64) bool{
				"all":  nil,
				"some": some,
				"torn": func(pfn uint64) bool { return pfn%300 < 20 },
				"few":  func(pfn uint64) bool { return pfn == 40070 },
			} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, size, drop), func(t *testing.T) {
					core, f := newFakeCore(size), newMemFile(-1)
					sel := core.selection(keep, nil)
					st, err := WriteELF(t.Context(), f, core, sel, ELFOptions{DropZeros: drop, Views: fakeViews(core)})
					if err != nil {
						t.Fatal(err)
					}
					if n := checkELF(t, f, core, sel); n != 0 {
						t.Errorf("%d pages are missing", n)
					}
					if st.Stored != st.Pages || st.Pages != sel.Keep.Len() || st.Partial || st.Zero+st.Raw != st.Stored || st.Bytes != int64(len(f.data)) {
						t.Errorf("%+v", st)
					}
					checkPhdrs(t, f, core)
				})
			}
		}
	}
}

// checkPhdrs holds the headers against the rules that readers have.
func checkPhdrs(t *testing.T, f *memFile, core *fakeCore) {
	t.Helper()
	e, err := elf.NewFile(bytes.NewReader(f.data))
	if err != nil {
		t.Fatal(err)
	}
	if f.data[32] != 64 || e.Progs[0].Type != elf.PT_NOTE {
		t.Error("program headers must follow the ELF header, PT_NOTE first")
	}
	notesEnd := e.Progs[0].Off + e.Progs[0].Filesz
	image := uint64(0)
	for i, p := range e.Progs[1:] {
		want := 0xffff888000000000 + p.Paddr
		if p.Vaddr >= 0xffffffff80000000 {
			image += p.Memsz
			want = 0xffffffff81000000 + p.Paddr - 40000*core.size
		}
		switch {
		case p.Type != elf.PT_LOAD || p.Align != 0:
			t.Errorf("segment %d: %v, p_align %d", i, p.Type, p.Align)
		case p.Filesz > 0 && p.Off < notesEnd:
			t.Errorf("segment %d: data at %#x, notes end at %#x", i, p.Off, notesEnd)
		case p.Filesz > 0 && (p.Off-skew)%core.size != p.Paddr%core.size:
			t.Errorf("segment %d: physical %#x at %#x", i, p.Paddr, p.Off)
		case p.Vaddr != want:
			t.Errorf("segment %d: physical %#x is seen at %#x, want %#x", i, p.Paddr, p.Vaddr, want)
		case p.Memsz == 0 || p.Filesz > p.Memsz:
			t.Errorf("segment %d: %#x of %#x bytes", i, p.Filesz, p.Memsz)
		}
	}
	if image != 100*core.size {
		t.Errorf("%#x bytes of image, want %#x", image, 100*core.size)
	}
}

// A run of 256 pages that are left out ends a segment; one of 255 does not, and is
// a hole in the file.
func TestELFGaps(t *testing.T) {
	for _, tt := range []struct {
		gap  uint64
		segs int
	}{{255, 2}, {256, 3}} {
		core, f := newFakeCore(4096), newMemFile(-1)
		keep := func(pfn uint64) bool { return pfn < 200 || pfn >= 200+tt.gap && pfn < 600 }
		sel := core.selection(keep, nil)
		if _, err := WriteELF(t.Context(), f, core, sel, ELFOptions{}); err != nil {
			t.Fatal(err)
		}
		e, err := elf.NewFile(bytes.NewReader(f.data))
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Progs) != tt.segs+1 {
			t.Errorf("a gap of %d: %d segments, want %d", tt.gap, len(e.Progs)-1, tt.segs)
		}
		last := e.Progs[tt.segs]
		if last.Filesz != 0 || last.Off != 0 || last.Memsz == 0 {
			t.Errorf("RAM without a page: %+v", last.ProgHeader)
		}
		if blocks := int64(len(f.have)) * diskBlock; blocks > int64(sel.Keep.Len())*4096 {
			t.Errorf("%d bytes on the disk for %d pages, a third of them zeros", blocks, sel.Keep.Len())
		}
	}
}

func TestELFManySegments(t *testing.T) {
	core := newFakeCore(4096)
	core.image = nil
	core.ram = []vmcore.Range{{Start: 0, End: 70000 * 300 * 4096}}
	f := newMemFile(-1)
	sel := core.selection(func(pfn uint64) bool { return pfn%300 == 2 }, nil)
	if _, err := WriteELF(t.Context(), f, core, sel, ELFOptions{}); err != nil {
		t.Fatal(err)
	}
	src := openELF(t, f)
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := make([]byte, 4096), make([]byte, 4096)
	for _, pfn := range []uint64{2, 300*65534 + 2, 300*69999 + 2} {
		core.page(want, pfn)
		if err := r.ReadPhys(got, pfn*4096); err != nil || !bytes.Equal(got, want) {
			t.Errorf("pfn %#x: %v, or not what the core has", pfn, err)
		}
		if err := r.ReadPhys(got, (pfn+1)*4096); !errors.Is(err, vmcore.ErrNoPage) {
			t.Errorf("pfn %#x was left out: %v", pfn+1, err)
		}
	}
}

func TestELFCutShort(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, nil)
	for _, room := range []int{200, 700, 2000} {
		f := newMemFile(room)
		st, err := WriteELF(t.Context(), f, core, sel, ELFOptions{Views: fakeViews(core)})
		if err != nil {
			t.Fatalf("%d blocks: %v", room, err)
		}
		missing := checkELF(t, f, core, sel)
		if !st.Partial || !isFull(st.Cause) || missing == 0 || missing > st.LeftOut || st.Stored+st.LeftOut != st.Pages {
			t.Errorf("%d blocks: %d are missing; %+v", room, missing, st)
		}
		if f.data[48] != 1 {
			t.Error("e_flags does not say incomplete")
		}
	}
	if _, err := WriteELF(t.Context(), newMemFile(3), core, sel, ELFOptions{}); !isFull(err) {
		t.Errorf("no room for the headers: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	n := 0
	core.reads = func() {
		if n++; n == 100 {
			cancel(why)
		}
	}
	f := newMemFile(-1)
	st, err := WriteELF(ctx, f, core, sel, ELFOptions{})
	if err != nil || !st.Partial || !errors.Is(st.Cause, why) {
		t.Fatalf("%v, %+v", err, st)
	}
	core.reads = nil
	checkELF(t, f, core, sel)
	if _, err := WriteELF(ctx, newMemFile(-1), core, sel, ELFOptions{}); !errors.Is(err, ErrNothing) || !errors.Is(err, why) {
		t.Errorf("no time at all: %v", err)
	}
}

// What is most valuable is written first, and is there when there is room for
// nothing else.
func TestELFFirst(t *testing.T) {
	core := newFakeCore(4096)
	first := func(pfn uint64) bool { return pfn >= 40900 || pfn == 300 }
	sel := core.selection(nil, first)
	f := newMemFile(900)
	st, err := WriteELF(t.Context(), f, core, sel, ELFOptions{Views: fakeViews(core)})
	if err != nil || !st.Partial || st.First.Pages != sel.First.Len() || st.First.Stored != st.First.Pages {
		t.Fatalf("%v, %+v", err, st)
	}
	if st, err := WriteELF(t.Context(), newMemFile(300), core, sel, ELFOptions{}); err != nil || st.First.Stored == 0 || st.First.Stored >= st.First.Pages {
		t.Errorf("%v, %+v", err, st)
	}
	checkELF(t, f, core, sel)
	checkPhdrs(t, f, core)
	r, err := openELF(t, f).NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := make([]byte, 4096), make([]byte, 4096)
	for pfn, ok := sel.First.Next(0); ok; pfn, ok = sel.First.Next(pfn + 1) {
		n := min(4096, core.ram[1].End-pfn*4096)
		core.page(want, pfn)
		if err := r.ReadPhys(got[:n], pfn*4096); err != nil || !bytes.Equal(got[:n], want[:n]) {
			t.Fatalf("pfn %#x: %v, or not what the core has", pfn, err)
		}
	}
	whole := newMemFile(-1)
	if st, err := WriteELF(t.Context(), whole, core, sel, ELFOptions{Views: fakeViews(core)}); err != nil || st.Stored != st.Pages {
		t.Fatalf("%v, %+v", err, st)
	}
	if n := checkELF(t, whole, core, sel); n != 0 {
		t.Errorf("%d pages are missing", n)
	}
	checkPhdrs(t, whole, core)
}

// A page in which one piece of RAM ends and another begins is one page.
func TestELFSharedPage(t *testing.T) {
	core := newFakeCore(4096)
	core.ram = []vmcore.Range{{Start: 0x1000, End: 0x9c00}, {Start: 0x9e00, End: 0x20000}}
	f := newMemFile(-1)
	st, err := WriteELF(t.Context(), f, core, core.selection(nil, nil), ELFOptions{})
	if err != nil || st.Stored != st.Pages || st.Pages != 31 {
		t.Errorf("%v, %+v", err, st)
	}
}

func TestELFUnreadable(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	core.bad = map[uint64]error{40300: errors.New("bad memory")}
	sel := core.selection(nil, nil)
	st, err := WriteELF(t.Context(), f, core, sel, ELFOptions{})
	if err != nil || st.Unreadable != 1 || st.Partial || len(st.UnreadableAt) != 1 || st.UnreadableAt[0] != 40300*4096 {
		t.Fatalf("%v, %+v", err, st)
	}
	if n := checkELF(t, f, core, sel); n > 1 {
		t.Errorf("%d pages are missing", n)
	}
}

// A stream has the same file in it, zeros included.
func TestELFStream(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	opt := ELFOptions{DropZeros: true, Views: fakeViews(core)}
	want := newMemFile(-1)
	if _, err := WriteELF(t.Context(), want, core, sel, opt); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	f, err := NewFlat(&b)
	if err != nil {
		t.Fatal(err)
	}
	st, err := WriteELF(t.Context(), f, core, sel, opt)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	records(t, b.Bytes(), st.Bytes)
	out := newMemFile(-1)
	if _, err := Unflatten(&b, out); err != nil || !bytes.Equal(out.data, want.data) {
		t.Errorf("%v, or not the same file: %d bytes, %d", err, len(out.data), len(want.data))
	}
}
