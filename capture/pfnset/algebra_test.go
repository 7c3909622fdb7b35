package pfnset

import (
	"math/rand/v2"
	"testing"
)

// TestAlgebra holds what two sets make against their members, for sets of different
// limits, and of all kinds of chunks.
func TestAlgebra(t *testing.T) {
	some := func(r *rand.Rand) *Set {
		s := New(uint64(ChunkPFNs*2 + r.IntN(ChunkPFNs)))
		for range r.IntN(900) {
			start := r.Uint64N(s.limit)
			s.AddRange(start, start+r.Uint64N(1<<uint(r.IntN(12))))
		}
		if r.IntN(2) == 0 { // to the very end
			s.AddRange(s.limit-r.Uint64N(ChunkPFNs), s.limit)
		}
		return s
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		a, b := some(r), some(r)
		sum, both := a.Clone(), a.Both(b)
		sum.AddSet(b)
		in := true
		for pfn := range max(a.limit, b.limit) {
			if want := a.Has(pfn) && b.Has(pfn); both.Has(pfn) != want {
				t.Fatalf("seed %d: Both has %d: %v", seed, pfn, !want)
			}
			if want := a.Has(pfn) || b.Has(pfn) && pfn < a.limit; sum.Has(pfn) != want {
				t.Fatalf("seed %d: AddSet has %d: %v", seed, pfn, !want)
			}
			in = in && (b.Has(pfn) || !a.Has(pfn))
		}
		if a.In(b) != in || !both.In(a) || !both.In(b) || !a.In(sum) || !New(5).In(both) {
			t.Errorf("seed %d: In is wrong", seed)
		}
		if both.Limit() != a.limit {
			t.Errorf("seed %d: limit %d, want %d", seed, both.Limit(), a.limit)
		}
	}
}
