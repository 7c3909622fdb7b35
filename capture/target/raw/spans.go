package raw

import "slices"

// spans is a set of byte ranges, sorted, none touching another: what of a file was
// written. The rest reads as zeros, whatever the disk held there before.
type spans [][2]int64 // from, to

// add puts a range in.
func (s *spans) add(from, to int64) {
	if from >= to {
		return
	}
	v := *s
	// The ranges that touch the new one become part of it.
	i, _ := slices.BinarySearchFunc(v, from, func(r [2]int64, x int64) int {
		if r[1] < x {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(v) && v[j][0] <= to; j++ {
		from, to = min(from, v[j][0]), max(to, v[j][1])
	}
	*s = slices.Replace(v, i, j, [2]int64{from, to})
}

// cut takes everything from off on out.
func (s *spans) cut(off int64) {
	v := *s
	for len(v) > 0 && v[len(v)-1][0] >= off {
		v = v[:len(v)-1]
	}
	if n := len(v); n > 0 && v[n-1][1] > off {
		v[n-1][1] = off
	}
	*s = v
}

// holes gives what is not in the set from from to to.
func (s spans) holes(from, to int64) [][2]int64 {
	var out [][2]int64
	for _, r := range s {
		if r[1] <= from {
			continue
		}
		if r[0] >= to {
			break
		}
		if r[0] > from {
			out = append(out, [2]int64{from, r[0]})
		}
		from = max(from, r[1])
	}
	if from < to {
		out = append(out, [2]int64{from, to})
	}
	return out
}
