package dump

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// fakeCore is a core whose pages are made from their number: a third zeros, a
// third noise, a third text.
type fakeCore struct {
	size  uint64 // of a page
	ram   []vmcore.Range
	image []vmcore.Range
	notes []byte
	info  []byte
	bad   map[uint64]error // by pfn
	reads func()           // called at each read
	alike uint64           // if not 0, pages so many pfns apart are the same
}

func newFakeCore(size uint64) *fakeCore {
	info := []byte(fmt.Sprintf("OSRELEASE=6.1.0-fake\nPAGESIZE=%d\n", size))
	notes := appendNote(nil, "CORE", vmcore.NotePRStatus, make([]byte, 336))
	notes = appendNote(notes, "CORE", vmcore.NotePRStatus, make([]byte, 336))
	notes = appendNote(notes, "VMCOREINFO", 0, info)
	end := uint64(41000)
	if size > 4096 {
		end = 40200 // as many bytes, or tests take long
	}
	return &fakeCore{
		size: size,
		// A hole, and an end inside a page.
		ram:   []vmcore.Range{{Start: size, End: 700 * size}, {Start: 40000 * size, End: end*size + 100}},
		notes: notes,
		info:  info,
	}
}

func appendNote(b []byte, name string, typ uint32, desc []byte) []byte {
	pad := func() {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = append(append(b, name...), 0)
	pad()
	b = append(b, desc...)
	pad()
	return b
}

func (c *fakeCore) page(p []byte, pfn uint64) {
	clear(p)
	if c.alike != 0 {
		pfn %= c.alike
	}
	switch pfn % 3 {
	case 1:
		x := pfn*0x9e3779b97f4a7c15 + 1
		for i := 0; i < len(p); i += 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.LittleEndian.PutUint64(p[i:], x)
		}
	case 2:
		for i := 0; i < len(p); i += 8 {
			binary.LittleEndian.PutUint64(p[i:], pfn+uint64(i/256))
		}
	}
}

func (c *fakeCore) Format() string              { return "elf" }
func (c *fakeCore) Machine() elf.Machine        { return elf.EM_X86_64 }
func (c *fakeCore) PageSize() uint64            { return c.size }
func (c *fakeCore) RAM() []vmcore.Range         { return c.ram }
func (c *fakeCore) KernelImage() []vmcore.Range { return c.image }
func (c *fakeCore) Notes() []byte               { return c.notes }
func (c *fakeCore) VMCoreInfo() []byte          { return c.info }
func (c *fakeCore) Close() error                { return nil }

func (c *fakeCore) NewReader() (vmcore.Reader, error) { return c, nil }

func (c *fakeCore) ReadPhys(p []byte, pa uint64) error {
	if c.reads != nil {
		c.reads()
	}
	for len(p) > 0 {
		if err := c.bad[pa/c.size]; err != nil {
			return err
		}
		n := min(c.size, uint64(len(p)))
		c.page(p[:n], pa/c.size)
		p, pa = p[n:], pa+n
	}
	return nil
}

// selection is all RAM, of which keep decides what is stored and first what
// comes first.
func (c *fakeCore) selection(keep, first func(pfn uint64) bool) *filter.Result {
	limit := (c.ram[len(c.ram)-1].End + c.size - 1) / c.size
	s := &filter.Result{RAM: pfnset.New(limit), Keep: pfnset.New(limit)}
	if first != nil {
		s.First = pfnset.New(limit)
	}
	for _, r := range c.ram {
		for pfn := r.Start / c.size; pfn*c.size < r.End; pfn++ {
			s.RAM.Add(pfn)
			if keep == nil || keep(pfn) {
				s.Keep.Add(pfn)
				if first != nil && first(pfn) {
					s.First.Add(pfn)
				}
			}
		}
	}
	return s
}

// some leaves holes of all lengths.
func some(pfn uint64) bool { return pfn%7 != 0 && pfn/16%5 != 0 && pfn/300%4 != 1 }

// early are every few pages, and some runs.
func early(pfn uint64) bool { return pfn%10 == 3 || pfn/64%6 == 2 }

// reopen opens what was written with the package that readers use.
func reopen(t *testing.T, f *memFile) vmcore.Kdump {
	t.Helper()
	k, err := vmcore.OpenKdump(vmcore.NewFile(f, int64(len(f.data))))
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	return k
}

// sameAs checks every page of the dump against the core, that the others read
// as not there, and that all of want is there; it returns the number of pages.
func sameAs(t *testing.T, k vmcore.Kdump, core *fakeCore, keep *pfnset.Set, wantAll bool) uint64 {
	t.Helper()
	r, err := k.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := make([]byte, core.size), make([]byte, core.size)
	var n uint64
	for pfn := range k.Header().MaxMapNr {
		err := r.ReadPhys(got, pfn*core.size)
		switch {
		case k.Stored().Has(pfn):
			n++
			core.page(want, pfn)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("pfn %#x: %v, or not what the core has", pfn, err)
			}
			if !keep.Has(pfn) {
				t.Fatalf("pfn %#x is stored and should not be", pfn)
			}
		case wantAll && keep.Has(pfn):
			t.Fatalf("pfn %#x is missing", pfn)
		case !errors.Is(err, vmcore.ErrNoPage):
			t.Fatalf("pfn %#x is not stored, but reading gives %v", pfn, err)
		}
	}
	return n
}

// addsUp checks that the counts agree with each other and with the file.
func addsUp(t *testing.T, st *Stats, sel *filter.Result, k vmcore.Kdump, f *memFile) {
	t.Helper()
	if st.Pages != sel.Keep.Len() || st.Pages != st.Stored+st.LeftOut+st.Unreadable {
		t.Errorf("of %d pages: %d stored, %d left out, %d unreadable", sel.Keep.Len(), st.Stored, st.LeftOut, st.Unreadable)
	}
	if st.Stored != k.Stored().Len() || st.Stored != st.Zero+st.Raw+st.Compressed {
		t.Errorf("%d stored, but the file has %d: %d zero, %d raw, %d compressed",
			st.Stored, k.Stored().Len(), st.Zero, st.Raw, st.Compressed)
	}
	if st.First.Pages+st.Rest.Pages != st.Pages || st.First.Stored+st.Rest.Stored != st.Stored {
		t.Errorf("waves %+v, %+v do not add up to %d pages, %d stored", st.First, st.Rest, st.Pages, st.Stored)
	}
	if st.Bytes != int64(len(f.data)) {
		t.Errorf("Bytes = %d, the file has %d", st.Bytes, len(f.data))
	}
	if st.Partial != (st.LeftOut > 0) || st.Partial != (st.Cause != nil) {
		t.Errorf("Partial %v, %d left out, cause %v", st.Partial, st.LeftOut, st.Cause)
	}
	if incomplete := k.Header().Status&8 != 0; incomplete != st.Partial {
		t.Errorf("Partial is %v, status is %#x", st.Partial, k.Header().Status)
	}
	if f.signedAt < 1 {
		t.Errorf("the signature came after %d syncs", f.signedAt)
	}
}
