package past

import (
	"fmt"
	"time"
)

// Guard is the rule against crash loops: after Dumps dumps within Within, only the
// log of the next crash is saved. The zero value is no rule.
type Guard struct {
	Dumps  int
	Within time.Duration
}

// Crash is the crash at hand. Uptime is how long the crashed kernel had run, which
// needs no clock; 0 when that is not known.
type Crash struct {
	Time   time.Time
	Uptime time.Duration
}

// Loop tells whether a crash is one of a loop, and why; "" if not. dumps are those
// of [List]. Where the clock is of no use, the time that has passed is taken for what
// the kernels ran that crashed since, which is at the most too short. Where that is not
// known of one of them, it is no loop: the dump is worth more than the room.
func (g Guard) Loop(c Crash, dumps []Dump) string {
	if g.Dumps <= 0 || g.Within <= 0 || c.Uptime > g.Within {
		return ""
	}
	saved := 0
	first := len(dumps)
	for i := len(dumps) - 1; i >= 0 && saved < g.Dumps; i-- {
		if dumps[i].Saved && dumps[i].Reported {
			saved++
			first = i
		}
	}
	if saved < g.Dumps {
		return ""
	}
	since, how := elapsed(c, dumps[first:])
	if since < 0 || since > g.Within {
		return ""
	}
	return fmt.Sprintf("%d dumps within %v (%s), and the rule is to save only the log after %d within %v", saved, since.Round(time.Second), how, g.Dumps, g.Within)
}

// elapsed is the time from the first of dumps to the crash; negative if unknown.
func elapsed(c Crash, dumps []Dump) (time.Duration, string) {
	sum, known := c.Uptime, c.Uptime > 0
	trust := !c.Time.Before(sane)
	for i, d := range dumps {
		// Of a capture that died nothing is known; the clock does not need it.
		if d.Reported && (d.CrashTime.Before(sane) || d.CrashTime.After(c.Time)) {
			trust = false
		}
		if i > 0 {
			sum, known = sum+d.Uptime, known && d.Uptime > 0
		}
	}
	if trust {
		return c.Time.Sub(dumps[0].CrashTime), "by the clock"
	}
	if !known {
		return -1, ""
	}
	return sum, "the clock is wrong: counted is how long the kernels ran"
}
