package vmcore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// seg is a segment of a core that tests build.
type seg struct {
	typ          uint32 // 0 means PT_LOAD
	vaddr, paddr uint64
	data         []byte
	more         uint64 // p_memsz beyond the data
}

// mem is n bytes as they are at physical address pa of every test's machine.
func mem(pa uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := pa + uint64(i)
		b[i] = byte(x ^ x>>7 ^ x>>13*5)
	}
	return b
}

func note(name string, typ uint32, desc []byte) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = append(b, name...)
	b = append(b, make([]byte, 4-len(name)%4)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(desc)&3)...)
}

const infoText = "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(x)=ffffffff81000000\n"

func testNotes() []byte {
	return append(note("CORE", 1, make([]byte, 336)), note("VMCOREINFO", 0, []byte(infoText))...)
}

// elfLayout says where buildELF puts things.
type elfLayout struct {
	phdrsLast bool   // as QEMU does: section header, data, and the program headers behind
	xnum      bool   // PN_XNUM
	machine   uint16 // EM_; 0 means x86-64
}

// buildELF makes a core with a PT_NOTE of notes, unless nil, and the segments.
func buildELF(l elfLayout, notes []byte, segs ...seg) []byte {
	if notes != nil {
		segs = append([]seg{{typ: 4, data: notes}}, segs...)
	}
	le := binary.LittleEndian
	b := make([]byte, ehdrSize)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 4)
	le.PutUint16(b[18:], cmp.Or(l.machine, 62))
	le.PutUint16(b[54:], phdrSize)
	le.PutUint16(b[56:], uint16(len(segs)))
	if l.xnum {
		le.PutUint16(b[56:], pnXNum)
		le.PutUint64(b[40:], uint64(len(b)))
		sh := make([]byte, shdrSize)
		le.PutUint32(sh[44:], uint32(len(segs)))
		b = append(b, sh...)
	}
	at := len(b)
	if !l.phdrsLast {
		b = append(b, make([]byte, len(segs)*phdrSize)...)
	}
	var phdrs []byte
	for _, s := range segs {
		p := make([]byte, phdrSize)
		le.PutUint32(p, max(s.typ, 1))
		le.PutUint64(p[8:], uint64(len(b)))
		le.PutUint64(p[16:], s.vaddr)
		le.PutUint64(p[24:], s.paddr)
		le.PutUint64(p[32:], uint64(len(s.data)))
		le.PutUint64(p[40:], uint64(len(s.data))+s.more)
		phdrs = append(phdrs, p...)
		b = append(b, s.data...)
	}
	if l.phdrsLast {
		at = len(b)
		b = append(b, phdrs...)
	} else {
		copy(b[at:], phdrs)
	}
	le.PutUint64(b[32:], uint64(at))
	return b
}

func fileOf(b []byte) File { return NewFile(bytes.NewReader(b), int64(len(b))) }

// mustOpen opens b and a reader of it.
func mustOpen(t testing.TB, b []byte, opts ...Option) (Source, Reader) {
	t.Helper()
	src, err := Open(fileOf(b), opts...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src, r
}

// kdumpParts is what buildKdump makes a file of.
type kdumpParts struct {
	maxPFN      uint64
	ram, stored []uint64 // pfns, sorted
	codecs      []codec.ID
	change      func(h *kdumpfmt.Header)
	oneBitmap   bool
}

// kdumpPage is the content of a page of a test's kdump file.
func kdumpPage(pfn uint64) []byte {
	p := mem(pfn*4096, 4096)
	clear(p[100+pfn*300%3000 : 3500])
	return p
}

// buildKdump makes a kdump-compressed file; page i is compressed by
// codecs[i%len(codecs)]. It returns the offset of the descriptors too.
func buildKdump(t testing.TB, k kdumpParts) (file []byte, descs int64) {
	t.Helper()
	notes := testNotes()
	h := kdumpfmt.NewHeader(4096, k.maxPFN, len(notes))
	h.Uname = Uname{Sysname: "Linux", Nodename: "host", Release: "6.1.0", Version: "#1", Machine: "x86_64"}
	h.VMCoreInfo = kdumpfmt.Span{Offset: h.Notes.Offset + int64(bytes.Index(notes, []byte(infoText))), Size: int64(len(infoText))}
	if k.oneBitmap {
		h.BitmapBlocks /= 2
	}
	if k.change != nil {
		k.change(h)
	}
	b := make([]byte, h.DescOffset())
	copy(b, h.Marshal())
	copy(b[4096+kdumpfmt.SubHeaderSize:], notes)
	bitmap := func(pfns []uint64, off int64) {
		s := pfnset.New(k.maxPFN)
		for _, pfn := range pfns {
			s.Add(pfn)
		}
		s.Bytes(b[off:off+h.BitmapSize()], 0)
	}
	bitmap(k.ram, h.Bitmap1Offset())
	bitmap(k.stored, h.Bitmap2Offset())
	descs = h.DescOffset()
	b = append(b, make([]byte, len(k.stored)*kdumpfmt.DescSize)...)
	enc := map[codec.ID]codec.Encoder{}
	for i, pfn := range k.stored {
		page := kdumpPage(pfn)
		d := kdumpfmt.Desc{Offset: int64(len(b)), Size: 4096}
		id := k.codecs[i%len(k.codecs)]
		if enc[id] == nil {
			var err error
			if enc[id], err = codec.NewEncoder(id, 4096); err != nil {
				t.Fatal(err)
			}
		}
		if out, ok := enc[id].Encode(make([]byte, codec.MaxEncoded(4096)), page); ok {
			page = out
			d.Size, d.Flags = uint32(len(out)), id.Flag()
		}
		b = append(b, page...)
		d.Put(b[descs+int64(i)*kdumpfmt.DescSize:])
	}
	return b, descs
}
