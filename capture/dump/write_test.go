package dump

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

var codecs = []codec.ID{codec.None, codec.Zlib, codec.LZO, codec.Snappy, codec.Zstd}

func TestWrite(t *testing.T) {
	for _, id := range codecs {
		for _, workers := range []int{1, 2, 8} {
			for _, size := range []uint64{4096, 16384, 65536} {
				if size != 4096 && workers == 8 {
					continue
				}
				t.Run(fmt.Sprintf("%v/%d/%d", id, workers, size), func(t *testing.T) {
					core, f := newFakeCore(size), newMemFile(-1)
					sel := core.selection(some, early)
					st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: id, Workers: workers})
					if err != nil {
						t.Fatal(err)
					}
					k := reopen(t, f)
					sameAs(t, k, core, sel.Keep, true)
					addsUp(t, st, sel, k, f)
					checkDescs(t, k, core, st, id)
					if _, err := Verify(t.Context(), k, VerifyOptions{Every: 1, Must: sel.Keep}); err != nil {
						t.Errorf("Verify: %v", err)
					}
				})
			}
		}
	}
}

// checkDescs holds the descriptors against the rules that readers have.
func checkDescs(t *testing.T, k vmcore.Kdump, core *fakeCore, st *Stats, id codec.ID) {
	t.Helper()
	descs := make([]kdumpfmt.Desc, k.Stored().Len())
	if err := k.Descs(descs, 0); err != nil {
		t.Fatal(err)
	}
	var zero, raw, packed, shared uint64
	pfn, _ := k.Stored().Next(0)
	for i, d := range descs {
		if err := d.Check(uint32(core.size), k.FileSize()); err != nil {
			t.Fatalf("slot %d: %v", i, err)
		}
		switch {
		case pfn%3 == 0: // all zeros: all at one place
			zero++
			if shared == 0 {
				shared = uint64(d.Offset)
			}
			if uint64(d.Offset) != shared || d.Flags != 0 || d.Size != uint32(core.size) {
				t.Fatalf("zero page in slot %d: %+v, the first is at %#x", i, d, shared)
			}
		case d.Flags == 0:
			raw++
		default:
			packed++
			if d.Flags != id.Flag() || d.Size >= uint32(core.size) {
				t.Fatalf("slot %d: %+v", i, d)
			}
		}
		pfn, _ = k.Stored().Next(pfn + 1)
	}
	if zero != st.Zero || raw != st.Raw || packed != st.Compressed {
		t.Errorf("descriptors: %d zero, %d raw, %d compressed; Stats %+v", zero, raw, packed, st)
	}
	if (id == codec.None) == (packed > 0) || raw == 0 {
		t.Errorf("codec %v: %d raw, %d compressed", id, raw, packed)
	}
}

func TestHeader(t *testing.T) {
	m := synth.New(synth.Options{CPUs: 3, Time: 1700000123})
	src := m.Source()
	core := newFakeCore(4096) // for its selection only
	core.ram = src.RAM()
	sel := core.selection(nil, nil)
	f := newMemFile(-1)
	meta := Meta{
		Uname:     vmcore.Uname{Sysname: "Linux", Nodename: "host", Release: "6.1.0-synth", Version: "#1 SMP", Machine: "x86_64", Domainname: "(none)"},
		CrashTime: 1700000123,
		PhysBase:  -0x1000000,
		Level:     31,
	}
	if _, err := Write(t.Context(), f, src, sel, meta, Options{Codec: codec.LZO, Workers: 1}); err != nil {
		t.Fatal(err)
	}
	k := reopen(t, f)
	h := k.Header()
	if h.Version != 6 || h.Uname != meta.Uname || h.CrashTime != meta.CrashTime || h.PhysBase != meta.PhysBase ||
		h.DumpLevel != 31 || h.CPUs != 3 || h.Status != kdumpfmt.FlagLZO || h.MaxMapNr != m.MaxPFN() || h.Split != 0 {
		t.Errorf("header is %+v", h)
	}
	if !bytes.Equal(k.Notes(), src.Notes()) || !bytes.Equal(k.VMCoreInfo(), m.Info) {
		t.Error("notes or VMCOREINFO are not the core's")
	}
	// crash takes VMCOREINFO from where the header points at.
	if got := f.data[h.VMCoreInfo.Offset:][:h.VMCoreInfo.Size]; !bytes.Equal(got, m.Info) {
		t.Errorf("the header points at %.40q", got)
	}
	if n := h.VMCoreInfo.Offset; n < h.Notes.Offset || n+h.VMCoreInfo.Size > h.Notes.Offset+h.Notes.Size {
		t.Errorf("VMCOREINFO %+v is not inside the notes %+v", h.VMCoreInfo, h.Notes)
	}
	if tv := f.data[416:424]; !bytes.Equal(tv, make([]byte, 8)) {
		t.Errorf("tv_usec is %x, must be 0", tv)
	}
	r, _ := src.NewReader()
	kr, _ := k.NewReader()
	a, b := make([]byte, 4096), make([]byte, 4096)
	for pfn, ok := sel.RAM.Next(0); ok; pfn, ok = sel.RAM.Next(pfn + 1) {
		if err := errors.Join(r.ReadPhys(a, pfn*4096), kr.ReadPhys(b, pfn*4096)); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("pfn %#x: %v, or they differ", pfn, err)
		}
	}
}

func TestStandIns(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	core.notes = appendNote(nil, "CORE", vmcore.NotePRStatus, make([]byte, 335)) // odd, and no VMCOREINFO
	core.notes = append(core.notes, "junk"...)
	sel := core.selection(some, nil)
	if _, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.Snappy}); err != nil {
		t.Fatal(err)
	}
	k := reopen(t, f)
	u := k.Header().Uname
	if u.Sysname != "Linux" || u.Machine != "x86_64" || u.Release == "" || u.Version == "" {
		t.Errorf("uname %+v: libkdumpfile wants no empty ones", u)
	}
	_, text, cpus := layNotes(k.Notes(), nil)
	if cpus != 1 || string(k.Notes()[text.Offset:][:text.Size]) != string(core.info) {
		t.Errorf("%d CPUs; VMCOREINFO is not in the notes", cpus)
	}
	if h := k.Header(); h.VMCoreInfo.Offset != h.Notes.Offset+text.Offset {
		t.Errorf("the header points at %#x, the note is at %#x", h.VMCoreInfo.Offset, h.Notes.Offset+text.Offset)
	}
}

// A filtered core lacks pages that its bitmap calls RAM.
func TestRewrite(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	sel := core.selection(some, nil)
	if _, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.Zstd}); err != nil {
		t.Fatal(err)
	}
	all := core.selection(nil, early)
	g := newMemFile(-1)
	st, err := Write(t.Context(), g, reopen(t, f), all, Meta{}, Options{Codec: codec.Zlib})
	if err != nil || st.Partial || st.Unreadable != 0 || st.Pages != sel.Keep.Len() {
		t.Fatalf("%+v, %v", st, err)
	}
	sameAs(t, reopen(t, g), core, sel.Keep, true)
}

func TestBadSelection(t *testing.T) {
	core := newFakeCore(4096)
	none := *core
	none.ram = nil
	odd := *core
	odd.size = 5000
	huge := *core
	huge.ram = []vmcore.Range{{Start: 0, End: 1 << 63}}
	sel := core.selection(some, nil)
	beyond := &filter.Result{RAM: sel.RAM, Keep: pfnset.New(1 << 20)}
	beyond.Keep.Add(1 << 19)
	empty := &filter.Result{RAM: sel.RAM, Keep: pfnset.New(100)}
	for _, tt := range []struct {
		name string
		src  vmcore.Source
		sel  *filter.Result
		id   codec.ID
		want string
	}{
		{"no RAM", &none, sel, codec.Zstd, "has no RAM"},
		{"page size", &odd, sel, codec.Zstd, "page size 5000"},
		{"huge", &huge, sel, codec.Zstd, "RAM ends at"},
		{"beyond RAM", core, beyond, codec.Zstd, "pfn 0x80000"},
		{"nothing", core, empty, codec.Zstd, "none was selected"},
		{"codec", core, sel, 77, "codec 77"},
	} {
		f := newMemFile(-1)
		_, err := Write(t.Context(), f, tt.src, tt.sel, Meta{}, Options{Codec: tt.id})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one that says %q", tt.name, err, tt.want)
		}
		if bytes.HasPrefix(f.data, []byte("KDUMP")) {
			t.Errorf("%s: the file is signed", tt.name)
		}
	}
}

func TestProgress(t *testing.T) {
	for _, workers := range []int{1, 4} {
		core, f := newFakeCore(4096), newMemFile(-1)
		sel := core.selection(some, early)
		var last Progress
		calls := 0
		_, err := Write(t.Context(), f, core, sel, Meta{}, Options{Workers: workers, Progress: func(p Progress) {
			if p.Done < last.Done || p.BytesIn < last.BytesIn || p.BytesOut < last.BytesOut {
				t.Errorf("progress goes back: %+v after %+v", p, last)
			}
			last = p
			calls++
		}})
		if err != nil {
			t.Fatal(err)
		}
		n := sel.Keep.Len()
		if calls == 0 || last.Done != n || last.Total != n || last.BytesIn != n*4096 || last.BytesOut == 0 {
			t.Errorf("%d workers: %d calls, the last is %+v, want %d pages", workers, calls, last, n)
		}
	}
}

func TestLayoutOf(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	sel := core.selection(some, nil)
	l, err := LayoutOf(core, sel.Keep)
	if err != nil {
		t.Fatal(err)
	}
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.None})
	if err != nil {
		t.Fatal(err)
	}
	if want := l.Data + int64(st.Raw)*4096; l.Pages != st.Pages || want != st.Bytes {
		t.Errorf("layout %+v and %d raw pages make %d bytes, the file has %d", l, st.Raw, want, st.Bytes)
	}
}
