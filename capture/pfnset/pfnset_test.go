package pfnset

import (
	"fmt"
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
		if seed%2 == 1 { // so many runs that some chunks are bitmaps from the start
			for pfn := r.Uint64N(9); pfn < limit; pfn += 2 + r.Uint64N(60) {
				s.Add(pfn)
				m[pfn] = true
			}
		}
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
		if !c.uniform() {
			t.Fatalf("chunk %d holds something", i)
		}
	}
}

// A chunk changes its form when it has too many runs, and loses nothing by it.
func TestForms(t *testing.T) {
	const limit = ChunkPFNs
	s, m := New(limit), model{}
	for i := range uint64(maxRuns + 1) {
		s.AddRange(i*40, i*40+7)
		for k := range uint64(7) {
			m[i*40+k] = true
		}
		if words := s.chunks[0].words != nil; words != (i == maxRuns) {
			t.Fatalf("after %d runs: a bitmap is %v", i+1, words)
		}
		if i%100 == 0 || i >= maxRuns-1 {
			check(t, s, m, limit)
		}
	}
	from := s.Clone()
	from.RemoveRange(0, limit)
	if !from.chunks[0].uniform() || from.Len() != 0 {
		t.Error("an empty chunk holds something")
	}
}

// The sets of a dump are made and asked from front to back.
func BenchmarkSet(b *testing.B) {
	for _, gap := range []uint64{20, 200, 5000} {
		s := New(32 * ChunkPFNs)
		b.Run(fmt.Sprint("add/", gap), func(b *testing.B) {
			for b.Loop() {
				s = New(32 * ChunkPFNs)
				for pfn := uint64(0); pfn < s.Limit(); pfn += gap {
					s.AddRange(pfn, pfn+gap/2)
				}
			}
		})
		b.Run(fmt.Sprint("next/", gap), func(b *testing.B) {
			for b.Loop() {
				for pfn, ok := s.Next(0); ok; pfn, ok = s.Next(pfn + 1) {
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Len()), "ns/pfn")
		})
		x := NewIndex(s)
		b.Run(fmt.Sprint("rank/", gap), func(b *testing.B) {
			pfn := uint64(0)
			for b.Loop() {
				x.Rank(pfn)
				pfn = (pfn + 997) % s.Limit()
			}
		})
	}
}
