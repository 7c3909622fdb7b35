package codec

import "encoding/binary"

// zstdEncoder writes a page as one zstd frame of one block (RFC 8878). It is our
// own since a page is small: the tables of a general encoder are larger than
// the page, and what they cost is more than what they find.
type zstdEncoder struct {
	pageSize int
	m        matcher
	huff     huffman
	seq      sequences
}

const zstdMinLits = 40 // fewer literals are not worth a Huffman code

// zstdMagic is the frame's magic, and a frame header descriptor that says: one
// segment, no checksum, content size in two bytes.
const zstdMagic, zstdDescriptor = 0xfd2fb528, 0x60

func newZstdEncoder(pageSize int) *zstdEncoder {
	e := &zstdEncoder{pageSize: pageSize}
	e.m.farthest = pageSize
	e.seq.init()
	return e
}

func (e *zstdEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	dst = binary.LittleEndian.AppendUint32(dst[:0], zstdMagic)
	dst = append(dst, zstdDescriptor)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(page)-256))
	head := len(dst)
	dst = append(dst, 0, 0, 0) // of the block
	e.m.find(page)
	out := e.literals(dst)
	if len(out) < len(page) {
		out = e.seq.encode(out, e.m.seqs[:e.m.nseqs], len(page))
	}
	if out == nil || len(out) >= len(page) {
		return nil, false
	}
	const last, compressed = 1, 2 << 1
	h := uint32(len(out)-head-3)<<3 | compressed | last
	out[head], out[head+1], out[head+2] = byte(h), byte(h>>8), byte(h>>16)
	return out, true
}

// The types of a literals section.
const (
	litsRaw    = 0
	litsSingle = 1
	litsHuff   = 2
)

// literals appends the section of the literals.
func (e *zstdEncoder) literals(dst []byte) []byte {
	lits, h := e.m.lits[:e.m.nlits], &e.huff
	n := len(lits)
	if n < zstdMinLits {
		return append(litsHeader(dst, litsRaw, n), lits...)
	}
	most := h.count(lits)
	if int(most) == n {
		return append(litsHeader(dst, litsSingle, n), lits[0])
	}
	if int(most) <= n>>7+4 { // nearly even: there is nothing to win
		return append(litsHeader(dst, litsRaw, n), lits...)
	}
	h.build()
	if h.bits/8+n>>6+6 < n {
		if out := e.huffLiterals(dst); out != nil && len(out)-len(dst) < n+n>>6 {
			return out
		}
	}
	return append(litsHeader(dst, litsRaw, n), lits...)
}

// litsHeader appends the header of raw literals and of a single one repeated.
func litsHeader(dst []byte, kind, n int) []byte {
	switch {
	case n < 32:
		return append(dst, byte(kind|n<<3))
	case n < 4096:
		return append(dst, byte(kind|1<<2|n<<4), byte(n>>4))
	}
	return append(dst, byte(kind|3<<2|n<<4), byte(n>>4), byte(n>>12))
}

// huffLiterals appends literals in a Huffman code: one stream of them where that is
// allowed, else four. It returns nil when the code cannot be told.
func (e *zstdEncoder) huffLiterals(dst []byte) []byte {
	lits, h := e.m.lits[:e.m.nlits], &e.huff
	n, at := len(lits), len(dst)
	head := 3
	if n >= 1<<14 {
		head = 5
	} else if n >= 1<<10 {
		head = 4
	}
	body := h.describe(dst[:at+head])
	if body == nil {
		return nil
	}
	if n < 1<<10 {
		body = h.stream(body, lits)
	} else {
		jump := len(body)
		body = append(body, 0, 0, 0, 0, 0, 0)
		quarter := (n + 3) / 4
		for i := range 4 {
			from := len(body)
			body = h.stream(body, lits[i*quarter:min((i+1)*quarter, n)])
			if i < 3 {
				binary.LittleEndian.PutUint16(body[jump+2*i:], uint16(len(body)-from))
			}
		}
	}
	size := uint64(len(body) - at - head)
	v := litsHuff | uint64(head-3)<<2 | uint64(n)<<4
	switch head {
	case 3:
		v |= size << 14
	case 4:
		v = litsHuff | 2<<2 | uint64(n)<<4 | size<<18
	case 5:
		v = litsHuff | 3<<2 | uint64(n)<<4 | size<<22
	}
	if size >= uint64(n) {
		return nil
	}
	for i := range head {
		body[at+i] = byte(v >> (8 * i))
	}
	return body
}

func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func putUint64(b []byte, v uint64)  { binary.LittleEndian.PutUint64(b, v) }
