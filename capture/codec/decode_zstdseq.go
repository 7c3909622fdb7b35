package codec

import "errors"

var (
	errZstdSeqs = errors.New("sequences are corrupt")
	errZstdDist = errors.New("match reaches before the page")
)

// modeRepeat is, with those of the encoder, a way to tell a table: it is the one
// of the block before.
const modeRepeat = 3

// fseKind is one of the three codes of the sequences.
type fseKind struct {
	now        *fseDecoder // own or fixed; nil before the first block
	own, fixed fseDecoder
}

// read takes the table of a block from the beginning of src and returns the rest;
// nil when it is corrupt. Codes are at most `most`.
func (k *fseKind) read(src []byte, mode byte, defaults []int16, defLog, maxLog uint, most int) []byte {
	switch mode & 3 {
	case modeFixed:
		if k.fixed.log == 0 {
			k.fixed.build(defaults, defLog)
		}
		k.now = &k.fixed
	case modeSingle:
		if len(src) == 0 || int(src[0]) > most {
			return nil
		}
		k.own.single(src[0])
		k.now, src = &k.own, src[1:]
	case modeOwn:
		k.now, src = &k.own, k.own.read(src, maxLog, most)
	case modeRepeat:
		if k.now == nil {
			return nil
		}
	}
	return src
}

// tables reads how many sequences there are and their tables (RFC 8878 section
// 3.1.1.3.2.1); src is nil when they are corrupt.
func (d *zstdDecoder) tables(src []byte) (n int, rest []byte) {
	if len(src) == 0 {
		return 0, nil
	}
	n, head := int(src[0]), 1
	switch {
	case n == 0:
		return 0, src[1:]
	case n == 255 && len(src) >= 3:
		n, head = 0x7f00+int(src[1])+int(src[2])<<8, 3
	case n >= 128 && n < 255 && len(src) >= 2:
		n, head = (n-128)<<8+int(src[1]), 2
	case n >= 128:
		return 0, nil
	}
	if len(src) == head || src[head]&3 != 0 {
		return 0, nil
	}
	modes := src[head]
	src = d.lit.read(src[head+1:], modes>>6, litDefault[:], 6, 9, 35)
	if src != nil {
		src = d.off.read(src, modes>>4, offDefault[:], 5, 8, 31)
	}
	if src != nil {
		src = d.match.read(src, modes>>2, matchDefault[:], 6, 9, 52)
	}
	return n, src
}

// sequences expands the sequences of a block to dst[op:], with the literals that
// lie in dst[lp:], and returns where they end.
func (d *zstdDecoder) sequences(dst []byte, op, lp int, src []byte) (end int, err error) {
	count, src := d.tables(src)
	if src == nil || count == 0 && len(src) != 0 {
		return 0, errZstdSeqs
	}
	if count == 0 {
		return op + copy(dst[op:], dst[lp:]), nil
	}
	var b backBits
	if !b.start(src) {
		return 0, errZstdSeqs
	}
	lit, off, match := d.lit.now, d.off.now, d.match.now
	ls, os, ms := b.take(lit.log), b.take(off.log), b.take(match.log)
	for {
		lc, oc, mc := lit.cells[ls%(1<<maxFSELog)], off.cells[os%(1<<maxFSELog)], match.cells[ms%(1<<maxFSELog)]
		lx, mx := &litCodes[lc.sym%maxFSESymbols], &matchCodes[mc.sym%maxFSESymbols]
		b.fill(src)
		dist := 1<<(oc.sym&31) + b.take(uint(oc.sym&31))
		n := int(mx.base + b.take(uint(mx.bits)) + 3)
		if oc.sym+lx.bits+mx.bits > 57-2*maxFSELog-8 { // and the next states
			b.fill(src)
		}
		lits := int(lx.base + b.take(uint(lx.bits)))
		if dist > 3 {
			dist -= 3
			d.recent = [3]uint32{dist, d.recent[0], d.recent[1]}
		} else {
			dist = d.again(dist, lits)
		}
		if lits > len(dst)-lp {
			return 0, errZstdLits
		}
		moveLits(dst, op, lp, lits)
		op, lp = op+lits, lp+lits
		if n > lp-op {
			return 0, errZstdOutput
		}
		if dist == 0 || uint(dist) > uint(op) {
			return 0, errZstdDist
		}
		copyMatch(dst[:lp], op, int(dist), n)
		op += n
		if count--; count == 0 {
			break
		}
		ls = uint32(lc.next) + b.take(uint(lc.bits))
		ms = uint32(mc.next) + b.take(uint(mc.bits))
		os = uint32(oc.next) + b.take(uint(oc.bits))
	}
	if b.left() != 0 {
		return 0, errZstdSeqs
	}
	return op + copy(dst[op:], dst[lp:]), nil
}
