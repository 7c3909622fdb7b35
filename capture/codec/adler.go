package codec

// adler is the checksum of RFC 1950 section 9, of a page: its length is a multiple
// of 128.
func adler(page []byte) uint32 {
	const (
		mod   = 65521
		even  = 0x00ff00ff00ff00ff
		words = 16 // lanes of 16 bits take 255*(0+1+...+15) bytes
	)
	a, b := uint64(1), uint64(0)
	for len(page) >= 8*words {
		// Bytes are added four at a time, each to a lane: lo and hi are the sums
		// of the even and the odd ones, sumLo and sumHi of all sums before.
		var lo, hi, sumLo, sumHi uint64
		for i := 0; i < 8*words; i += 8 {
			v := load64(page[:8*words], i)
			sumLo += lo
			sumHi += hi
			lo += v & even
			hi += v >> 8 & even
		}
		page = page[8*words:]
		// A byte counts once more for each that follows.
		b += a * 8 * words
		b += 8 * (lanes(sumLo) + lanes(sumHi))
		b += 8*(lo&0xffff) + 6*(lo>>16&0xffff) + 4*(lo>>32&0xffff) + 2*(lo>>48)
		b += 7*(hi&0xffff) + 5*(hi>>16&0xffff) + 3*(hi>>32&0xffff) + hi>>48
		a += lanes(lo) + lanes(hi)
	}
	return uint32(b%mod)<<16 | uint32(a%mod)
}

// lanes adds the four lanes of 16 bits of v.
func lanes(v uint64) uint64 {
	v = v&0x0000ffff0000ffff + v>>16&0x0000ffff0000ffff
	return v&0xffffffff + v>>32
}
