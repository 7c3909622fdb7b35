package codec

import (
	"math/bits"
	"unsafe"
)

// matcher cuts a page into runs of literals and matches with what came before
// them: what zlib and zstd then give codes to. It is greedy, over one hash table
// of positions, and tries the distance of the last match before the table since
// memory is full of arrays.
type matcher struct {
	window
	lits     [MaxPageSize + windowPad]byte
	seqs     [MaxPageSize / matchMin]sequence
	table    [1 << matchHashLog]uint16 // where the bytes of a hash were seen last
	nlits    int
	nseqs    int
	farthest int // distance allowed
}

// sequence is a run of literals and the match behind it. Matches have at least
// matchMin bytes.
type sequence struct {
	lits, match, dist uint16
}

const (
	matchMin     = 4
	matchHashLog = 13
	matchTail    = 12 // bytes at the end where no match starts
	matchHurry   = 7  // a step more for each 128 bytes without a match

	matchPrime = 0x9fb21c651e98df25 // hashes 5 bytes
)

// slot is where the table has the position of the 5 low bytes of v.
func (m *matcher) slot(v uint64) *uint16 {
	return &m.table[v<<24*matchPrime>>(64-matchHashLog)]
}

// find splits page into seqs and lits.
func (m *matcher) find(page []byte) {
	n := len(page)
	m.fill(page)
	clear(m.table[:])
	rep, older := 1, matchMin
	anchor, nl, ns := 0, 0, 0
	for ip, end := 1, n-matchTail; ip < end; {
		v := m.load(ip)
		s := m.slot(v)
		start, from := ip, int(*s)
		*s = uint16(ip)
		var l int
		if uint32(m.load(ip+1-rep)) == uint32(v>>8) {
			start = ip + 1
			if l = bits.TrailingZeros64(m.load(start-rep)^m.load(start)) >> 3; l == 8 {
				l = m.longer(start-rep, start, n)
			}
		} else if x := m.load(from) ^ v; uint32(x) == 0 && start-from <= m.farthest {
			if l = bits.TrailingZeros64(x) >> 3; l == 8 {
				l = m.longer(from, start, n)
			}
			same := bits.LeadingZeros64(m.before(from)^m.before(start)) >> 3
			same = min(same, from, start-anchor)
			rep, older = start-from, rep
			start -= same
			l += same
		} else {
			ip += 1 + (ip-anchor)>>matchHurry
			continue
		}
		m.seqs[ns&(len(m.seqs)-1)] = sequence{uint16(start - anchor), uint16(l), uint16(rep)}
		ns++
		nl = m.keep(nl, anchor, start)
		*m.slot(m.load(ip + 2)) = uint16(ip + 2)
		ip = start + l
		*m.slot(m.load(ip - 2)) = uint16(ip - 2)
		// Two arrays often take turns.
		for ip < end {
			v := m.load(ip)
			x := m.load(ip-older) ^ v
			if uint32(x) != 0 {
				break
			}
			l := bits.TrailingZeros64(x) >> 3
			if l == 8 {
				l = m.longer(ip-older, ip, n)
			}
			*m.slot(v) = uint16(ip)
			rep, older = older, rep
			m.seqs[ns&(len(m.seqs)-1)] = sequence{0, uint16(l), uint16(rep)}
			ns++
			ip += l
		}
		anchor = ip
	}
	m.nlits, m.nseqs = m.keep(nl, anchor, n), ns
}

// keep adds the page's bytes [from, to) to nl literals, and gives their new number.
func (m *matcher) keep(nl, from, to int) int {
	for i := 0; ; i += 16 {
		*(*[16]byte)(unsafe.Pointer(&m.lits[(nl+i)&0xffff])) = *m.wide(from + i)
		if i+16 >= to-from {
			return nl + to - from
		}
	}
}

// countBytes counts how often each byte occurs, and returns how often the most
// frequent one does.
func countBytes(counts *[256]uint32, of []byte) (most uint32) {
	// Equal neighbours would wait for each other's counts in one table.
	var odd [256]uint32
	clear(counts[:])
	for ; len(of) >= 8; of = of[8:] {
		v := load64(of, 0)
		counts[uint8(v)]++
		odd[uint8(v>>8)]++
		counts[uint8(v>>16)]++
		odd[uint8(v>>24)]++
		counts[uint8(v>>32)]++
		odd[uint8(v>>40)]++
		counts[uint8(v>>48)]++
		odd[uint8(v>>56)]++
	}
	for _, b := range of {
		counts[b]++
	}
	for s := range counts {
		counts[s] += odd[s]
		most = max(most, counts[s])
	}
	return most
}
