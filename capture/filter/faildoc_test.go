package filter_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
)

var update = flag.Bool("update", false, "write the table of docs/failsafe.md")

const (
	failDoc   = "../../docs/failsafe.md"
	tableHead = "<!-- the table is written by go test ./capture/filter -run TestSpoiledInfo -update -->\n"
	tableEnd  = "<!-- end -->\n"
)

// effects collects what spoiled keys cost, for the table in docs/failsafe.md.
type effects struct {
	mu      sync.Mutex
	missing map[string]map[string]bool // by key: what more is kept, in words
	wrong   map[string]map[string]bool
}

func newEffects() *effects {
	return &effects{missing: map[string]map[string]bool{}, wrong: map[string]map[string]bool{}}
}

func (e *effects) add(key, how string, good, bad *filter.Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	to := e.wrong
	if how == "dropped" {
		to = e.missing
	}
	if to[key] == nil {
		to[key] = map[string]bool{}
	}
	if bad.Keep.Len() == bad.RAM.Len() {
		to[key]["everything"] = true
		return
	}
	for c, n := range good.Counts {
		if c != filter.Kept && bad.Counts[c] < n {
			to[key][classWords[c]] = true
		}
	}
}

var classWords = map[filter.Class]string{
	filter.Cache: "page cache", filter.CachePrivate: "page cache", filter.User: "user memory",
	filter.Free: "free pages", filter.HWPoison: "poisoned pages", filter.Offline: "offline pages",
}

// table is the table of all keys that matter, in Markdown.
func (e *effects) table() string {
	words := func(m map[string]bool) string {
		switch {
		case m["everything"]:
			return "everything"
		case len(m) == 0:
			return "–"
		}
		return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	}
	var b strings.Builder
	b.WriteString("| key of VMCOREINFO | missing: kept as well | wrong: at most kept as well |\n|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(e.wrong)) {
		if len(e.missing[key])+len(e.wrong[key]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, words(e.missing[key]), words(e.wrong[key]))
	}
	return b.String()
}

// check holds the document against the table.
func (e *effects) check(t *testing.T) {
	doc, err := os.ReadFile(failDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(doc), tableHead)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the table's marks", failDoc)
	}
	got := e.table()
	if *update {
		if err := os.WriteFile(failDoc, []byte(before+tableHead+got+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != old {
		t.Errorf("%s is not what happens; go test ./capture/filter -run TestSpoiledInfo -update mends it. Want:\n%s", failDoc, got)
	}
}
