package filter_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// trapped is a core over which the filter panics, at its nth read.
type trapped struct {
	vmcore.Source
	reads *atomic.Int64
	at    int64
}

func (s trapped) NewReader() (vmcore.Reader, error) {
	r, err := s.Source.NewReader()
	return trappedReader{r, s}, err
}

type trappedReader struct {
	vmcore.Reader
	s trapped
}

func (r trappedReader) ReadPhys(p []byte, pa uint64) error {
	if r.s.reads.Add(1) == r.s.at {
		panic("the floor gave way")
	}
	return r.Reader.ReadPhys(p, pa)
}

// TestPanicKeepsAll has the filter fail at each stage of its work: nothing is lost but
// the filtering.
func TestPanicKeepsAll(t *testing.T) {
	m := manifold(synth.Options{})
	for _, workers := range []int{1, 3} {
		var all atomic.Int64
		scanSource(t, trapped{m.Source(), &all, -1}, filter.Options{Level: 31, Workers: workers})
		n := all.Load()
		for _, at := range []int64{1, n / 4, n / 2, n * 3 / 4, n - 1} {
			res := scanSource(t, trapped{m.Source(), new(atomic.Int64), at}, filter.Options{Level: 31, Workers: workers})
			said := strings.Join(res.Warnings, " ")
			if res.Keep.Len() != res.RAM.Len() || !strings.Contains(said, "the floor gave way: all pages are kept") {
				t.Errorf("%d workers, read %d of %d: %d of %d pages are kept; %s", workers, at, n, res.Keep.Len(), res.RAM.Len(), said)
			}
		}
	}
}
