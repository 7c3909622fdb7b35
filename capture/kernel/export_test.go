package kernel

import "maps"

// Override changes parsed keys, for tests.
func (i *Info) Override(unsigned map[string]uint64, numbers map[string]int64) {
	maps.Copy(i.unsigned, unsigned)
	maps.Copy(i.numbers, numbers)
}
