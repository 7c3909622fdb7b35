package flat

import (
	"container/heap"
	"fmt"
	"io"
	"sort"
)

// run says that the bytes from start up to end of the file described come from
// records of unit bytes each, that follow each other in both files. They begin
// with byte skip of a record whose data start at file offset at. Unit 0 stands
// for one record of more than 4 GiB.
type run struct {
	start, end, at int64
	unit, skip     uint32
}

// extend takes one more record into the run, when it fits.
func (r *run) extend(off, size, at int64) bool {
	n := (r.end - r.start) / max(int64(r.unit), 1) // the run is of whole records yet
	if r.unit == 0 || size != int64(r.unit) || off != r.end || at != r.at+n*(size+RecordSize) {
		return false
	}
	r.end += size
	return true
}

// find gives where byte off is in the flattened file, and how many bytes from
// there on follow each other.
func (r *run) find(off int64) (at, n int64) {
	in, unit := off-r.start+int64(r.skip), int64(r.unit)
	if unit == 0 {
		return r.at + in, r.end - off
	}
	return r.at + in/unit*(unit+RecordSize) + in%unit, min(unit-in%unit, r.end-off)
}

// cut gives the part of the run from start up to end.
func (r run) cut(start, end int64) run {
	in, unit := start-r.start+int64(r.skip), int64(r.unit)
	if unit == 0 {
		r.at += in
	} else {
		r.at += in / unit * (unit + RecordSize)
		r.skip = uint32(in % unit)
	}
	r.start, r.end = start, end
	return r
}

// resolve sorts runs that are in the order of the flattened file, and lets later
// ones overwrite earlier ones. It changes its argument.
func resolve(runs []run) []run {
	sort.Slice(runs, func(i, j int) bool {
		a, b := &runs[i], &runs[j]
		return a.start < b.start || a.start == b.start && a.at < b.at
	})
	if !overlap(runs) {
		return runs
	}
	// What is written last stands furthest behind in the flattened file. Going
	// through the offsets, live holds the runs there; the last one counts.
	var out []run
	var live latest
	for next, pos := 0, int64(0); next < len(runs) || len(live) > 0; {
		if len(live) == 0 {
			pos = runs[next].start
		}
		for next < len(runs) && runs[next].start == pos {
			heap.Push(&live, runs[next])
			next++
		}
		if live[0].end <= pos {
			heap.Pop(&live)
			continue
		}
		end := live[0].end
		if next < len(runs) {
			end = min(end, runs[next].start)
		}
		out = appendPiece(out, live[0], pos, end)
		pos = end
	}
	return out
}

// appendPiece appends a part of r, as one with the part of it before.
func appendPiece(out []run, r run, start, end int64) []run {
	if n := len(out); n > 0 && out[n-1].end == start && out[n-1].unit == r.unit {
		last := &out[n-1]
		whole := *last
		whole.end = end
		at, _ := r.find(start)
		if same, _ := whole.find(start); same == at {
			last.end = end
			return out
		}
	}
	return append(out, r.cut(start, end))
}

func overlap(sorted []run) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i].start < sorted[i-1].end {
			return true
		}
	}
	return false
}

// latest is a heap whose top stands furthest behind in the flattened file.
type latest []run

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i].at > h[j].at }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *latest) Push(x any)        { *h = append(*h, x.(run)) }
func (h *latest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// at gives the index of the first run that ends behind off.
func (f *File) at(off int64) int {
	return sort.Search(len(f.runs), func(i int) bool { return f.runs[i].end > off })
}

// ReadAt reads from the file described, as [io.ReaderAt] has it. What no record
// wrote reads as zeros.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d of a flattened file", off)
	}
	for i := f.at(off); n < len(p); {
		if off >= f.size {
			return n, io.EOF
		}
		for f.runs[i].end <= off {
			i++
		}
		r, b := &f.runs[i], p[n:]
		if off < r.start {
			b = b[:min(int64(len(b)), r.start-off)]
			clear(b)
		} else {
			at, have := r.find(off)
			b = b[:min(int64(len(b)), have)]
			if got, err := f.r.ReadAt(b, at); got < len(b) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n + got, err
			}
		}
		n, off = n+len(b), off+int64(len(b))
	}
	return n, nil
}

// Written tells whether records wrote all of the n bytes at off.
func (f *File) Written(off, n int64) bool {
	if off < 0 || n < 0 || n > f.size-off {
		return false
	}
	for i := f.at(off); n > 0; i++ {
		r := &f.runs[i]
		if off < r.start {
			return false
		}
		have := min(n, r.end-off)
		off, n = off+have, n-have
	}
	return true
}
