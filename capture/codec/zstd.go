package codec

import (
	"encoding/binary"
	"math/bits"
)

// zstdEncoder writes a page as one zstd frame of one block (RFC 8878). It is our
// own since a page is small: the tables of a general encoder are larger than
// the page, and what they cost is more than what they find.
type zstdEncoder struct {
	pageSize int
	hashLog  uint
	table    [1 << zstdMaxHashLog]uint16 // where bytes of a hash were seen last
	lits     []byte
	seqs     []zstdSeq
	huff     huffman
	seq      sequences
}

const (
	zstdMaxHashLog = 14
	zstdTail       = 12 // bytes at the end where no match starts: room for wide loads
	zstdMinLits    = 40 // fewer literals are not worth a Huffman code

	zstdPrime = 0x9fb21c651e98df25 // hashes 5 bytes
)

// zstdMagic is the frame's magic, and a frame header descriptor that says: one
// segment, no checksum, content size in two bytes.
const zstdMagic, zstdDescriptor = 0xfd2fb528, 0x60

func newZstdEncoder(pageSize int) *zstdEncoder {
	e := &zstdEncoder{pageSize: pageSize, hashLog: min(uint(bits.Len(uint(pageSize)))-1, zstdMaxHashLog)}
	e.lits = make([]byte, 0, pageSize+16)
	e.seqs = make([]zstdSeq, 0, pageSize/4+1)
	e.seq.init(cap(e.seqs))
	return e
}

func (e *zstdEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	dst = binary.LittleEndian.AppendUint32(dst[:0], zstdMagic)
	dst = append(dst, zstdDescriptor)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(page)-256))
	head := len(dst)
	dst = append(dst, 0, 0, 0) // of the block
	e.match(page)
	out := e.literals(dst)
	if len(out) < len(page) {
		out = e.seq.encode(out, e.seqs)
	}
	if out == nil || len(out) >= len(page) {
		return nil, false
	}
	const last, compressed = 1, 2 << 1
	h := uint32(len(out)-head-3)<<3 | compressed | last
	out[head], out[head+1], out[head+2] = byte(h), byte(h>>8), byte(h>>16)
	return out, true
}

// match splits src into sequences and literals.
func (e *zstdEncoder) match(src []byte) {
	const mask = 1<<zstdMaxHashLog - 1
	table, shift := &e.table, (64-e.hashLog)&63
	clear(table[:1<<e.hashLog])
	lits, seqs := e.lits[:0], e.seqs[:0]
	rep0, rep1 := 1, 4
	end := len(src) - zstdTail
	anchor := 0
	for ip := 1; ip < end; {
		v := load64(src, ip)
		h := v << 24 * zstdPrime >> shift & mask
		cand := int(table[h])
		table[h] = uint16(ip)
		start, n := ip, 0
		var off uint32
		if at := ip + 1 - rep0; at >= 0 && load32(src, at) == uint32(v>>8) {
			start = ip + 1
			n = matchLen(src, at, start)
			off = 1
		} else if x := load64(src, cand) ^ v; uint32(x) == 0 {
			if n = bits.TrailingZeros64(x) >> 3; n == 8 {
				n += matchLen(src, cand+8, ip+8)
			}
			for start > anchor && cand > 0 && src[start-1] == src[cand-1] {
				start, cand, n = start-1, cand-1, n+1
			}
			off = uint32(start-cand) + 3
			rep0, rep1 = start-cand, rep0
		} else {
			ip += 1 + (ip-anchor)>>6 // hurry through what does not compress
			continue
		}
		lits = appendLits(lits, src, anchor, start)
		seqs = append(seqs, zstdSeq{uint16(start - anchor), uint16(n - 3), off})
		next := start + n
		if next < end {
			table[load64(src, ip+2)<<24*zstdPrime>>shift&mask] = uint16(ip + 2)
			table[load64(src, next-2)<<24*zstdPrime>>shift&mask] = uint16(next - 2)
		}
		ip, anchor = next, next
		// Without literals in between, code 1 is the distance before the last.
		for ip < end && ip >= rep1 && load32(src, ip) == load32(src, ip-rep1) {
			n := matchLen(src, ip-rep1, ip)
			table[load64(src, ip)<<24*zstdPrime>>shift&mask] = uint16(ip)
			rep0, rep1 = rep1, rep0
			seqs = append(seqs, zstdSeq{0, uint16(n - 3), 1})
			ip += n
			anchor = ip
		}
	}
	e.lits = append(lits, src[anchor:]...)
	e.seqs = seqs
}

// appendLits appends src[from:to], copying more than that where that is faster.
func appendLits(lits, src []byte, from, to int) []byte {
	if n := to - from; n <= 16 && from+16 <= len(src) && len(lits)+16 <= cap(lits) {
		copy(lits[len(lits):len(lits)+16], src[from:from+16])
		return lits[:len(lits)+n]
	}
	return append(lits, src[from:to]...)
}

// The types of a literals section.
const (
	litsRaw    = 0
	litsSingle = 1
	litsHuff   = 2
)

// literals appends the section of the literals.
func (e *zstdEncoder) literals(dst []byte) []byte {
	lits, h := e.lits, &e.huff
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
	if h.size()/8+n>>6+6 < n {
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
	lits, h := e.lits, &e.huff
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
