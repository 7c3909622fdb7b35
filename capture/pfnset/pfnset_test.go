package pfnset

import (
	"math/rand/v2"
	"testing"
)

// model is the obvious implementation that Set is held against.
type model map[uint64]bool

func check(t *testing.T, s *Set, m model, limit uint64) {
	t.Helper()
	var n uint64
	x := NewIndex(s)
	for pfn := uint64(0); pfn < limit+70; pfn++ {
		if s.Has(pfn) != m[pfn] {
			t.Fatalf("Has(%d) = %v", pfn, s.Has(pfn))
		}
		if pfn <= limit && x.Rank(pfn) != n {
			t.Fatalf("Rank(%d) = %d, want %d", pfn, x.Rank(pfn), n)
		}
		if m[pfn] {
			n++
		}
	}
	if s.Len() != n || s.LenRange(0, limit) != n {
		t.Fatalf("Len %d, LenRange %d, want %d", s.Len(), s.LenRange(0, limit), n)
	}
}

func TestAgainstModel(t *testing.T) {
	for seed := uint64(0); seed < 20; seed++ {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := uint64(ChunkPFNs*2 + r.IntN(ChunkPFNs))
		s, m := New(limit), model{}
		for range 40 {
			start := r.Uint64N(limit + 10)
			end := start + r.Uint64N(1<<uint(r.IntN(17)))
			in := r.IntN(2) == 0
			if in {
				s.AddRange(start, end)
			} else {
				s.RemoveRange(start, end)
			}
			for pfn := start; pfn < min(end, limit); pfn++ {
				m[pfn] = in
			}
		}
		check(t, s, m, limit)

		c := s.Clone()
		s.RemoveRange(0, limit)
		if s.Len() != 0 {
			t.Fatal("not empty after RemoveRange of all")
		}
		check(t, c, m, limit)

		b := make([]byte, (limit+7)/8)
		c.Bytes(b, 0)
		back := New(limit)
		back.SetBytes(b, 0)
		check(t, back, m, limit)
	}
}

func TestNext(t *testing.T) {
	s := New(3*ChunkPFNs + 5)
	s.AddRange(ChunkPFNs, 2*ChunkPFNs)
	s.Add(3*ChunkPFNs + 4)
	for _, tt := range []struct {
		from, next uint64
		ok         bool
	}{
		{0, ChunkPFNs, true},
		{2*ChunkPFNs - 1, 2*ChunkPFNs - 1, true},
		{2 * ChunkPFNs, 3*ChunkPFNs + 4, true},
		{3*ChunkPFNs + 5, 0, false},
	} {
		if got, ok := s.Next(tt.from); ok != tt.ok || got != tt.next {
			t.Errorf("Next(%d) = %d, %v", tt.from, got, ok)
		}
	}
	if got, ok := s.NextAbsent(ChunkPFNs + 7); !ok || got != 2*ChunkPFNs {
		t.Errorf("NextAbsent = %d, %v", got, ok)
	}
	if got, ok := s.NextAbsent(3*ChunkPFNs + 4); ok {
		t.Errorf("NextAbsent past the limit = %d", got)
	}
}

func TestUniformCostsNothing(t *testing.T) {
	s := New(1 << 30)
	s.AddRange(0, 1<<30)
	s.Remove(77)
	s.Add(77)
	for i, c := range s.chunks {
		if c.words != nil {
			t.Fatalf("chunk %d holds words", i)
		}
	}
}
