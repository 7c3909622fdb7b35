package vmcore

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// ErrSet is wrapped by the error of [NewSet] for files that are no set.
var ErrSet = errors.New("not the files of one split dump")

// NewSet makes one Source of the files of a split dump, given in any order. Each
// must be a kdump-compressed file with its part of the pages; together they must
// have all of them. The Source also has Header and Stored, like [Kdump]. Closing
// it closes the files; NewSet itself closes nothing.
func NewSet(files []Kdump) (Source, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no file given", ErrSet)
	}
	s := &setSource{Source: files[0], files: slices.Clone(files)}
	sort.SliceStable(s.files, func(i, j int) bool { return s.files[i].Header().StartPFN < s.files[j].Header().StartPFN })
	h := files[0].Header()
	s.stored = pfnset.New(h.MaxMapNr)
	s.head = *h
	s.head.Split, s.head.StartPFN, s.head.EndPFN = 0, 0, 0
	next := uint64(0)
	for _, f := range s.files {
		g := f.Header()
		switch {
		case g.Split == 0:
			return nil, fmt.Errorf("%w: one of them is a dump of its own", ErrSet)
		case g.Uname != h.Uname || g.CrashTime != h.CrashTime || g.BlockSize != h.BlockSize || g.MaxMapNr != h.MaxMapNr:
			return nil, fmt.Errorf("%w: they are from different crashes: %q at %d, and %q at %d",
				ErrSet, h.Uname.Release, h.CrashTime, g.Uname.Release, g.CrashTime)
		case g.StartPFN > next:
			return nil, fmt.Errorf("%w: the file with pfns %#x up to %#x is missing", ErrSet, next, g.StartPFN)
		case g.StartPFN < next:
			return nil, fmt.Errorf("%w: two of them have the page of pfn %#x", ErrSet, g.StartPFN)
		case g.EndPFN <= g.StartPFN:
			return nil, fmt.Errorf("%w: one of them has pfns %#x up to %#x", ErrSet, g.StartPFN, g.EndPFN)
		}
		next = min(g.EndPFN, h.MaxMapNr)
		s.head.Status |= g.Status & kdumpfmt.FlagIncomplete
		s.stored.AddSet(f.Stored())
	}
	if next < h.MaxMapNr {
		return nil, fmt.Errorf("%w: the file with pfns %#x up to %#x is missing", ErrSet, next, h.MaxMapNr)
	}
	return s, nil
}

// setSource is a set. Header and Stored are of the whole; what else the files
// say is the same in all of them.
type setSource struct {
	Source
	files  []Kdump // by StartPFN
	stored *pfnset.Set
	head   KdumpHeader
}

func (s *setSource) Header() *KdumpHeader { return &s.head }
func (s *setSource) Stored() *pfnset.Set  { return s.stored }

func (s *setSource) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (s *setSource) NewReader() (Reader, error) {
	r := &setReader{size: s.PageSize()}
	for _, f := range s.files {
		one, err := f.NewReader()
		if err != nil {
			r.Close()
			return nil, err
		}
		r.readers = append(r.readers, one)
		r.ends = append(r.ends, f.Header().EndPFN)
	}
	return r, nil
}

// setReader reads each page from the file that has it.
type setReader struct {
	size    uint64
	ends    []uint64 // pfns, by file
	readers []Reader
}

func (r *setReader) ReadPhys(p []byte, pa uint64) error {
	for len(p) > 0 {
		i, _ := slices.BinarySearchFunc(r.ends, pa/r.size, func(end, pfn uint64) int {
			if end <= pfn {
				return -1
			}
			return 1
		})
		n := uint64(len(p))
		if i == len(r.ends) {
			i--
		} else {
			n = min(n, r.ends[i]*r.size-pa)
		}
		if err := r.readers[i].ReadPhys(p[:n], pa); err != nil {
			return err
		}
		p, pa = p[n:], pa+n
	}
	return nil
}

func (r *setReader) Close() error {
	var errs []error
	for _, one := range r.readers {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
