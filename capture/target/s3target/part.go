package s3target

import "slices"

// part is a part of a file that is not sent yet.
type part struct {
	index int    // from 0
	size  int64  // that it will have at most
	data  []byte // what there is, up to the last byte that was written
	spans []span // of it, which were written; sorted, apart from each other
}

// small is how many bytes of a part may grow as they come: most files are reports.
const small = 256 << 10

// span is bytes of a part.
type span struct{ from, to int64 }

// put takes p at off of the part.
func (q *part) put(p []byte, off int64) {
	q.grow(off + int64(len(p)))
	copy(q.data[off:], p)
	s := span{off, off + int64(len(p))}
	i, _ := slices.BinarySearchFunc(q.spans, s.from, func(x span, from int64) int {
		if x.to < from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(q.spans) && q.spans[j].from <= s.to {
		s.from, s.to = min(s.from, q.spans[j].from), max(s.to, q.spans[j].to)
		j++
	}
	q.spans = slices.Replace(q.spans, i, j, s)
}

// grow makes data have n bytes at least.
func (q *part) grow(n int64) {
	old := int64(len(q.data))
	if n > old && n > small && n > int64(cap(q.data)) {
		// At once, and once only: what is left behind by growing is memory, too.
		data := make([]byte, old, q.size)
		copy(data, q.data)
		q.data = data
	}
	if n > old {
		q.data = slices.Grow(q.data, int(n-old))[:n]
		clear(q.data[old:])
	}
}

// full tells whether all of size bytes were written.
func (q *part) full(size int64) bool {
	return len(q.spans) == 1 && q.spans[0] == span{0, size}
}

// cut forgets what is behind size bytes.
func (q *part) cut(size int64) {
	if size < int64(len(q.data)) {
		q.data = q.data[:size]
	}
	for i, s := range q.spans {
		if s.to > size {
			q.spans[i].to = size
			if s.from >= size {
				q.spans = q.spans[:i]
			} else {
				q.spans = q.spans[:i+1]
			}
			break
		}
	}
}
