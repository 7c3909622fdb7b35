package plan

import (
	"strings"
	"time"
)

// Notify says where the report is posted.
type Notify struct {
	// URL is http or https, of the server that gets it.
	URL string `json:"url"`
	// Addresses are what its host stood for when the plan was made.
	Addresses []string `json:"addresses,omitempty"`
	// CA and Token, if not empty, are names of [Plan.Files]: PEM certificates
	// that are trusted instead of the system's, and a bearer token.
	CA    string `json:"ca,omitempty"`
	Token string `json:"token,omitempty"`
}

// Keep is the rule for old dumps of this host; zero values keep all.
type Keep struct {
	// Dumps is how many stay, the newest.
	Dumps int `json:"dumps,omitempty"`
	// Free is how many bytes must be free after a dump.
	Free uint64 `json:"free,omitempty"`
}

// LoopGuard is the rule against crash loops: after Dumps dumps within Within only
// the log is saved.
type LoopGuard struct {
	Dumps  int     `json:"dumps"`
	Within Seconds `json:"within"`
}

// DefaultLoopGuard lets a machine that crashes again and again show it three times
// an hour.
func DefaultLoopGuard() LoopGuard {
	return LoopGuard{Dumps: 3, Within: Seconds(time.Hour)}
}

// Bounds on what a plan may ask for after a dump.
const (
	MaxRecipients = 32
	MaxKeep       = 10_000
)

func (p *Plan) validateAfter(bad complaint) {
	if len(p.Recipients) > MaxRecipients {
		bad("%d recipients, at most %d are possible", len(p.Recipients), MaxRecipients)
	}
	for _, r := range p.Recipients {
		if !strings.HasPrefix(r, "age1") && !strings.HasPrefix(r, "ssh-") || strings.ContainsAny(r, "\n\x00") {
			bad("recipient %.24q is no public key", r)
		}
	}
	if n := p.Notify; n != nil {
		if !strings.HasPrefix(n.URL, "http://") && !strings.HasPrefix(n.URL, "https://") {
			bad("notify: the URL is not of http or https")
		}
		if n.CA != "" {
			p.wantFile("notify's CA", n.CA, bad)
		}
		if n.Token != "" {
			p.wantFile("notify's token", n.Token, bad)
		}
	}
	if p.Keep.Dumps < 0 || p.Keep.Dumps > MaxKeep {
		bad("keep %d is not within 0 and %d", p.Keep.Dumps, MaxKeep)
	}
	if g := p.LoopGuard; g != nil && (g.Dumps < 1 || g.Dumps > MaxKeep || g.Within <= 0) {
		bad("loop guard: %d dumps within %v", g.Dumps, g.Within.Duration())
	}
}
