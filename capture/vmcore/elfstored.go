package vmcore

import "github.com/gokdump/gokdump/capture/pfnset"

// Stored are the pages that the core holds, in whole or in part: a filtered core
// lacks some of its RAM. Pages that a truncated file has lost count as stored:
// they belong in it.
func (s *elfSource) Stored() *pfnset.Set {
	if len(s.ram) == 0 {
		return pfnset.New(0)
	}
	set := pfnset.New((s.ram[len(s.ram)-1].End-1)/s.pageSize + 1)
	for _, e := range s.extents {
		set.AddRange(e.pa/s.pageSize, (e.end-1)/s.pageSize+1)
	}
	for _, r := range s.lost {
		set.AddRange(r.Start/s.pageSize, (r.End-1)/s.pageSize+1)
	}
	return set
}
