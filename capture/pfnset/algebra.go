package pfnset

// AddSet adds the members of t that lie below the limit of s.
func (s *Set) AddSet(t *Set) {
	for pfn, ok := t.Next(0); ok; pfn, ok = t.Next(pfn) {
		end, more := t.NextAbsent(pfn)
		if !more {
			end = t.limit
		}
		s.AddRange(pfn, end)
		pfn = end
	}
}

// KeepOnly takes out of s what is not in t.
func (s *Set) KeepOnly(t *Set) {
	for pfn, ok := t.NextAbsent(0); ok; pfn, ok = t.NextAbsent(pfn) {
		end, more := t.Next(pfn)
		if !more {
			end = t.limit
		}
		s.RemoveRange(pfn, end)
		pfn = end
	}
	s.RemoveRange(t.limit, s.limit)
}

// Both returns a new set, with the limit of s, of what is in both.
func (s *Set) Both(t *Set) *Set {
	c := s.Clone()
	c.KeepOnly(t)
	return c
}

// In tells whether all of s is in t.
func (s *Set) In(t *Set) bool {
	for pfn, ok := s.Next(0); ok; pfn, ok = s.Next(pfn) {
		end, more := s.NextAbsent(pfn)
		if !more {
			end = s.limit
		}
		if t.LenRange(pfn, end) != end-pfn {
			return false
		}
		pfn = end
	}
	return true
}
