package past

import (
	"context"
	"fmt"
	"slices"

	"github.com/gokdump/gokdump/capture/target"
)

// Keep is the rule for old dumps. The zero value keeps all.
type Keep struct {
	// Dumps is how many stay, the newest; 0 means any number.
	Dumps int
	// Free is how many bytes must be free after a dump; 0 means that it does not
	// matter. Old dumps go, oldest first, until that many are.
	Free uint64
}

// Any tells whether the rule can remove something at all.
func (k Keep) Any() bool { return k.Dumps > 0 || k.Free > 0 }

// mayGo tells which of dumps, oldest first, can be removed at all: those that are
// older than the last whole one.
func mayGo(dumps []Dump) []Dump {
	lastGood := -1
	for i, d := range dumps {
		if d.Good {
			lastGood = i
		}
	}
	return dumps[:max(0, lastGood)]
}

// Victims names what has to go so that k.Dumps dumps stay. What holds no dump, such
// as a log alone, goes when it is older than the oldest dump that stays, or when
// more than k.Dumps newer ones of its kind are there.
func (k Keep) Victims(dumps []Dump) []Dump {
	if k.Dumps <= 0 {
		return nil
	}
	may := len(mayGo(dumps))
	var out []Dump
	saved, other := 0, 0
	for i := len(dumps) - 1; i >= 0; i-- {
		d := dumps[i]
		if d.Saved {
			saved++
		} else {
			other++
		}
		over := saved > k.Dumps || !d.Saved && (saved >= k.Dumps || other > k.Dumps)
		if over && i < may {
			out = append(out, d)
		}
	}
	slices.Reverse(out)
	return out
}

// Pruned is what [Prune] did.
type Pruned struct {
	// Removed are the names of the directories that are gone.
	Removed []string
	// Bytes is how large their files were.
	Bytes int64
	// Notes say what was left although the rule names it.
	Notes []string
}

// Prune carries the rule out in t on dumps, as [List] gave them. It is called when
// the newest of them is whole and durable. It stops at the first error.
func Prune(ctx context.Context, t target.Past, dumps []Dump, k Keep) (Pruned, error) {
	var p Pruned
	stay := map[string]bool{}
	remove := func(d Dump) error {
		if len(d.Foreign) > 0 {
			if !stay[d.Dir] {
				p.Notes = append(p.Notes, fmt.Sprintf("%s stays: it holds %q, which no capture wrote", d.Dir, d.Foreign[0]))
			}
			stay[d.Dir] = true
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.Remove(d.Dir, d.Files); err != nil {
			return fmt.Errorf("remove the old dump %s: %w", d.Dir, err)
		}
		p.Removed = append(p.Removed, d.Dir)
		p.Bytes += d.Bytes
		return nil
	}
	for _, d := range k.Victims(dumps) {
		if err := remove(d); err != nil {
			return p, err
		}
	}
	if k.Free > 0 {
		for _, d := range mayGo(dumps) {
			free, err := t.Free()
			if err != nil {
				return p, err
			}
			if free >= k.Free {
				break
			}
			if slices.Contains(p.Removed, d.Dir) {
				continue
			}
			if err := remove(d); err != nil {
				return p, err
			}
		}
		free, err := t.Free()
		if err != nil {
			return p, err
		}
		if free < k.Free {
			p.Notes = append(p.Notes, fmt.Sprintf("%d bytes are free, %d were asked for: nothing more can be removed", free, k.Free))
		}
	}
	return p, nil
}
