package infoscan

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"strings"

	"github.com/gokdump/gokdump/capture/vmcore"
)

const (
	blockSize = 1 << 20
	// pageStep is the smallest page size: what starts a page starts one of these.
	pageStep = 4096
	// maxText is the most that a kernel's text may have: a page, of at most
	// 64 KiB.
	maxText  = 64 << 10
	minText  = 64 // no kernel has less than some dozens of lines
	maxTries = 4096
)

// The first key of every VMCOREINFO, and the name of the note, NUL included.
const (
	textStart = "OSRELEASE="
	noteName  = "VMCOREINFO\x00"
)

// noteHeader is the size of the note's header with its name, padded to 4 bytes.
const noteHeader = 24

// scan is one search.
type scan struct {
	mem      vmcore.Reader
	machine  elf.Machine
	block    []byte
	found    *Found
	second   *Found // has a CRASHTIME
	tried    int
	rejected int
	why      error // of the last that was rejected
}

// search looks through one range of memory, in blocks that end at multiples of
// their size.
func (s *scan) search(ctx context.Context, r vmcore.Range) error {
	if s.block == nil {
		s.block = make([]byte, blockSize)
	}
	for pa := r.Start; pa < r.End; {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(r.End, pa&^(blockSize-1)+blockSize)
		b := s.block[:end-pa]
		if s.mem.ReadPhys(b, pa) != nil {
			s.readPages(b, pa)
		}
		s.look(b, pa)
		if s.found != nil || s.tried >= maxTries {
			return nil
		}
		pa = end
	}
	return nil
}

// readPages reads page by page what could not be read at once; pages that are
// not there become zeros.
func (s *scan) readPages(b []byte, pa uint64) {
	for len(b) > 0 {
		n := min(uint64(len(b)), pageStep-pa%pageStep)
		if s.mem.ReadPhys(b[:n], pa) != nil {
			clear(b[:n])
		}
		b, pa = b[n:], pa+n
	}
}

// look tries every text that begins in b, the memory at pa. Notes are found at
// any address that is a multiple of 4, texts at the start of a page alone.
func (s *scan) look(b []byte, pa uint64) {
	for at := int(-pa % pageStep); at+minText <= len(b); at += pageStep {
		if bytes.HasPrefix(b[at:], []byte(textStart)) && s.try(pa+uint64(at), maxText, false) {
			return
		}
	}
	for at := 0; ; at += len(noteName) {
		i := bytes.Index(b[at:], []byte(noteName))
		if i < 0 {
			return
		}
		at += i
		head := at - 12 // name size, description size, type
		if head < 0 || (pa+uint64(head))%4 != 0 {
			continue
		}
		h := b[head:at]
		size := binary.LittleEndian.Uint32(h[4:])
		if binary.LittleEndian.Uint32(h) != uint32(len(noteName)) || binary.LittleEndian.Uint32(h[8:]) != vmcore.NoteVMCoreInfo ||
			size < minText || size > maxText {
			continue
		}
		if s.try(pa+uint64(head)+noteHeader, uint64(size), true) {
			return
		}
	}
}

// try reads the text at pa, which has at most limit bytes, and has it proved;
// true ends the search.
func (s *scan) try(pa, limit uint64, note bool) bool {
	if s.tried++; s.tried > maxTries {
		return true
	}
	text := s.text(pa, limit)
	if !bytes.HasPrefix(text, []byte(textStart)) || len(text) < minText {
		return false
	}
	if err := Prove(text, s.machine, s.mem); err != nil {
		s.rejected++
		s.why = err
		return false
	}
	f := &Found{Text: text, PA: pa, Note: note, Rejected: s.rejected}
	if !strings.Contains(string(text), "\nCRASHTIME=") {
		s.found = f
		return true
	}
	if s.second == nil {
		s.second = f
	}
	return false
}

// text reads up to the first zero byte.
func (s *scan) text(pa, limit uint64) []byte {
	var out []byte
	var page [pageStep]byte
	for limit > 0 {
		p := page[:min(limit, pageStep-pa%pageStep)]
		if s.mem.ReadPhys(p, pa) != nil {
			return out
		}
		if end := bytes.IndexByte(p, 0); end >= 0 {
			return append(out, p[:end]...)
		}
		out = append(out, p...)
		pa, limit = pa+uint64(len(p)), limit-uint64(len(p))
	}
	return out
}
