package modules

// match tells whether name fits an alias pattern: * any text, ? any character,
// [a-z] one of a set; - and _ are the same outside of sets, as modprobe has it.
// The time is bounded by len(pattern)*len(name).
func match(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // the last *, and how much of name it has taken
	for n < len(name) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, n
				p++
				continue
			}
			if w := one(pattern[p:], name[n]); w > 0 {
				p += w
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one gives the length of the first element of pattern if it fits c, else 0.
func one(pattern string, c byte) int {
	switch pattern[0] {
	case '?':
		return 1
	case '[':
		end, hit := 1, false
		for end < len(pattern) && pattern[end] != ']' {
			low, high := pattern[end], pattern[end]
			if end+2 < len(pattern) && pattern[end+1] == '-' && pattern[end+2] != ']' {
				high = pattern[end+2]
				end += 2
			}
			hit = hit || low <= c && c <= high
			end++
		}
		if hit && end < len(pattern) {
			return end + 1
		}
		return 0
	}
	if dash(pattern[0]) == dash(c) {
		return 1
	}
	return 0
}

func dash(c byte) byte {
	if c == '-' {
		return '_'
	}
	return c
}
