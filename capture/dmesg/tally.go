package dmesg

import "fmt"

// damage is a way in which a record can be unusable.
type damage uint8

const (
	unreadable  damage = iota // its memory is not in the dump
	foreign                   // its descriptor belongs to another record
	unfinished                // its writer had not finished when the kernel died
	textLost                  // the kernel had no room for its text
	textForeign               // its text was overwritten by another record
	textCut                   // its text is shorter than it should be; the rest is kept
	tornHeader                // its header makes no sense
	badEnds                   // the ring's own ends make no sense
	damages
)

var damageText = [damages]string{
	unreadable:  "records left out: their memory is not in the dump",
	foreign:     "records left out: their descriptors belong to other records",
	unfinished:  "records left out: still being written when the kernel died",
	textLost:    "records left out: the kernel had no room for their text",
	textForeign: "records left out: their text is overwritten or torn",
	textCut:     "records are shorter than the kernel says",
	tornHeader:  "places where the chain of records is torn; resumed behind each where possible",
	badEnds:     "ends of the log make no sense; read what is there",
}

// tally counts damage by kind: a log of millions of bad records gives a few lines.
type tally [damages]struct {
	n     uint64
	first string
}

// add counts one; where tells the first one's place, with its number.
func (t *tally) add(d damage, where string, no uint64) { t.addN(d, where, no, 1) }

func (t *tally) addN(d damage, where string, no, n uint64) {
	if t[d].n == 0 {
		t[d].first = fmt.Sprintf("%s %d", where, no)
	}
	t[d].n += n
}

func (t *tally) lines() []string {
	var out []string
	for d, c := range t {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s (first: %s)", c.n, damageText[d], c.first))
		}
	}
	return out
}
