package past

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// room is a directory whose free space is what a test says.
type room struct {
	*target.Dir
	free func() uint64
}

func (r room) Free() (uint64, error) { return r.free(), nil }

func newRoom(t *testing.T) (string, room) {
	t.Helper()
	dir := t.TempDir()
	d, err := target.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return dir, room{d, func() uint64 { return 1 << 40 }}
}

// put makes the directory of a dump. kind is a report's result, or "" for none.
func put(t *testing.T, dir, name, result string, files ...string) {
	t.Helper()
	sub := filepath.Join(dir, name)
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if result != "" {
		text := fmt.Sprintf(`{"host":"db1","result":%q,"crash_time":"2026-11-20T10:00:00Z","uptime":100}`, result)
		if err := os.WriteFile(filepath.Join(sub, ReportName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(sub, f), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func dirs(dumps []Dump) string {
	var names []string
	for _, d := range dumps {
		names = append(names, strings.TrimPrefix(d.Dir, "db1-2026-11-"))
	}
	return strings.Join(names, " ")
}

func TestList(t *testing.T) {
	dir, tg := newRoom(t)
	put(t, dir, "db1-2026-11-03T00-00-00Z", "complete", "vmcore.age", "vmcore-dmesg.txt.age", "README.txt", NotifiedName)
	put(t, dir, "db1-2026-11-02T00-00-00Z-10", "partial", "vmcore-partial")
	put(t, dir, "db1-2026-11-02T00-00-00Z-02", "complete", "vmcore", "analysis.txt")
	put(t, dir, "db1-2026-11-02T00-00-00Z", "", "vmcore.incomplete")
	put(t, dir, "db1-2026-11-01T00-00-00Z", "complete") // its dump was taken away
	put(t, dir, "db2-2026-11-01T00-00-00Z", "complete", "vmcore")
	put(t, dir, "db1-old", "complete", "vmcore")
	put(t, dir, "db1-2026-11-02T00-00-00Z-1", "complete", "vmcore")
	put(t, dir, "db1-2026-11-05T00-00-00Z", "", ReportName) // a report that is none
	if err := os.Symlink(filepath.Join(dir, "db1-2026-11-03T00-00-00Z"), filepath.Join(dir, "db1-2026-11-04T00-00-00Z")); err != nil {
		t.Fatal(err)
	}
	all, err := List(tg, "db1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dirs(all), "01T00-00-00Z 02T00-00-00Z 02T00-00-00Z-02 02T00-00-00Z-10 03T00-00-00Z 05T00-00-00Z"; got != want {
		t.Errorf("listed %q, want %q", got, want)
	}
	good, saved, foreign, post := "", "", "", ""
	for _, d := range all {
		day := fmt.Sprintf("%d/%d ", d.Stamp.Day(), d.Count)
		if d.Good {
			good += day
		}
		if d.Saved {
			saved += day
		}
		if len(d.Foreign) > 0 {
			foreign += day
		}
		if d.Post() {
			post += day
		}
	}
	if good != "2/2 3/1 " || saved != "2/2 2/10 3/1 " || foreign != "2/2 5/1 " || post != "1/1 2/2 2/10 " {
		t.Errorf("good %s, saved %s, foreign %s, to be posted %s", good, saved, foreign, post)
	}
}

func day(n int, d Dump) Dump {
	d.Stamp = time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC)
	d.Dir = "db1-" + d.Stamp.Format(stampLayout)
	if d.Count == 0 {
		d.Count = 1
	}
	return d
}

var (
	whole = Dump{Reported: true, Saved: true, Good: true}
	part  = Dump{Reported: true, Saved: true}
	log   = Dump{Reported: true}
	dead  = Dump{}
)

func TestVictims(t *testing.T) {
	row := func(kinds ...Dump) (all []Dump) {
		for i, k := range kinds {
			all = append(all, day(i+1, k))
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		keep  int
		dumps []Dump
		want  string
	}{
		{"no rule", 0, row(whole, whole), ""},
		{"few", 3, row(whole, whole, whole), ""},
		{"one too many", 3, row(whole, whole, whole, whole), "01"},
		{"keep one", 1, row(whole, part, log, dead, whole), "01 02 03 04"},
		{"the last good one stays", 1, row(whole, whole, part, part), "01"},
		{"none is good", 1, row(part, part, part), ""},
		{"logs beyond the oldest dump", 2, row(log, dead, whole, log, whole), "01 02"},
		{"many logs", 2, row(whole, log, log, log, whole), "02"},
	} {
		got := ""
		for _, d := range (Keep{Dumps: tt.keep}).Victims(tt.dumps) {
			got += fmt.Sprintf("%02d ", d.Stamp.Day())
		}
		if strings.TrimSpace(got) != tt.want {
			t.Errorf("%s: %s go, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPrune(t *testing.T) {
	dir, tg := newRoom(t)
	for i, files := range [][]string{{"vmcore"}, {"vmcore", "notes.txt"}, {"vmcore.age", "vmcore-dmesg.txt.age"}, {"vmcore"}} {
		put(t, dir, fmt.Sprintf("db1-2026-11-%02dT00-00-00Z", i+1), "complete", files...)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "db1-2026-11-01T00-00-00Z", "README.txt")); err != nil {
		t.Fatal(err)
	}
	dumps, err := List(tg, "db1")
	if err != nil {
		t.Fatal(err)
	}
	done, err := Prune(t.Context(), tg, dumps, Keep{Dumps: 1})
	if err != nil || !slices.Equal(done.Removed, []string{"db1-2026-11-03T00-00-00Z"}) || len(done.Notes) != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if left, _ := List(tg, "db1"); dirs(left) != "01T00-00-00Z 02T00-00-00Z 04T00-00-00Z" {
		t.Errorf("left: %s", dirs(left))
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestPruneFree(t *testing.T) {
	for want, tt := range map[string]struct {
		free uint64
		note bool
	}{
		"":                          {100, false},
		"01T00-00-00Z":              {300, false},
		"01T00-00-00Z 02T00-00-00Z": {1000, true}, // the last stays, whatever is free
	} {
		dir, tg := newRoom(t)
		for i := range 3 {
			put(t, dir, fmt.Sprintf("db1-2026-11-%02dT00-00-00Z", i+1), "complete", "vmcore")
		}
		tg.free = func() uint64 {
			entries, _ := os.ReadDir(dir)
			return uint64(4-len(entries)) * 200
		}
		dumps, err := List(tg, "db1")
		if err != nil {
			t.Fatal(err)
		}
		done, err := Prune(t.Context(), tg, dumps, Keep{Free: tt.free})
		got := strings.ReplaceAll(strings.Join(done.Removed, " "), "db1-2026-11-", "")
		if err != nil || got != want || (len(done.Notes) > 0) != tt.note {
			t.Errorf("free %d: removed %q, notes %q, %v; want %q", tt.free, got, done.Notes, err, want)
		}
	}
}

func TestPruneStops(t *testing.T) {
	dir, tg := newRoom(t)
	for i := range 3 {
		put(t, dir, fmt.Sprintf("db1-2026-11-%02dT00-00-00Z", i+1), "complete", "vmcore")
	}
	dumps, _ := List(tg, "db1")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("time is over")
	cancel(why)
	if done, err := Prune(ctx, tg, dumps, Keep{Dumps: 1}); !errors.Is(err, why) || len(done.Removed) != 0 {
		t.Errorf("%v, %v", done, err)
	}
}

func TestName(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	second := day(2, whole)
	second.Count = 9
	for _, tt := range []struct {
		at    string
		dumps []Dump
		want  string
		wrong string
	}{
		{"2026-11-20 10:00:00", nil, "2026-11-20T10-00-00Z", ""},
		{"1970-01-01 00:03:00", nil, "1970-01-01T00-03-00Z", "which is wrong"},
		{"2026-11-20 10:00:00", []Dump{day(1, whole)}, "2026-11-20T10-00-00Z", ""},
		{"2026-11-01 00:00:00", []Dump{day(1, whole)}, "2026-11-01T00-00-00Z-02", ""},
		{"1970-01-01 00:03:00", []Dump{day(1, whole), second}, "2026-11-02T00-00-00Z-10", "before the dump db1-2026-11-02"},
	} {
		base, n, wrong := Name("db1", at(tt.at), tt.dumps)
		if got := Numbered(base, n); got != "db1-"+tt.want || (tt.wrong == "") != (wrong == "") || !strings.Contains(wrong, tt.wrong) {
			t.Errorf("%s after %s: %s, %q; want %s, %q", tt.at, dirs(tt.dumps), got, wrong, tt.want, tt.wrong)
		}
	}
	// Names sort, whatever the clock does.
	var names []string
	var dumps []Dump
	for _, s := range []string{"1970-01-01 00:03:00", "1970-01-01 00:02:00", "2026-11-20 10:00:00", "1970-01-01 00:01:00", "2026-11-20 11:00:00", "2026-11-20 11:00:00"} {
		base, n, _ := Name("db1", at(s), dumps)
		name := Numbered(base, n)
		stamp, count, ok := parseName("db1", name)
		if !ok {
			t.Fatalf("%s is no name", name)
		}
		names, dumps = append(names, name), append(dumps, Dump{Dir: name, Stamp: stamp, Count: count})
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("names %q", names)
	}
}

func TestLoop(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(minutes int, uptime int, kind Dump) Dump {
		kind.CrashTime = now.Add(-time.Duration(minutes) * time.Minute)
		kind.Uptime = time.Duration(uptime) * time.Minute
		return kind
	}
	old := time.Date(1970, 1, 1, 0, 10, 0, 0, time.UTC)
	at1970 := func(uptime int, kind Dump) Dump {
		kind.CrashTime, kind.Uptime = old, time.Duration(uptime)*time.Minute
		return kind
	}
	g := Guard{Dumps: 3, Within: time.Hour}
	for _, tt := range []struct {
		name  string
		crash Crash
		dumps []Dump
		want  string
	}{
		{"none before", Crash{now, time.Minute}, nil, ""},
		{"two before", Crash{now, time.Minute}, []Dump{ago(20, 5, whole), ago(10, 5, whole)}, ""},
		{"three before", Crash{now, time.Minute}, []Dump{ago(30, 5, whole), ago(20, 5, part), ago(10, 5, whole)}, "3 dumps within 30m0s (by the clock)"},
		{"logs do not count", Crash{now, time.Minute}, []Dump{ago(30, 5, whole), ago(20, 5, log), ago(10, 5, whole)}, ""},
		{"logs between", Crash{now, time.Minute}, []Dump{ago(50, 5, whole), ago(40, 5, log), ago(30, 5, whole), ago(20, 5, whole)}, "3 dumps within 50m0s"},
		{"long ago", Crash{now, time.Minute}, []Dump{ago(70, 5, whole), ago(20, 5, whole), ago(10, 5, whole)}, ""},
		{"it ran for long", Crash{now, 2 * time.Hour}, []Dump{ago(30, 5, whole), ago(20, 5, whole), ago(10, 5, whole)}, ""},
		{"clock at 1970, a loop", Crash{old, 5 * time.Minute}, []Dump{at1970(9, whole), at1970(9, whole), at1970(9, whole)}, "how long the kernels ran"},
		{"clock at 1970, no loop", Crash{old, 5 * time.Minute}, []Dump{at1970(9, whole), at1970(50, log), at1970(9, whole), at1970(9, whole)}, ""},
		{"clock at 1970, uptime unknown", Crash{old, 0}, []Dump{at1970(9, whole), at1970(9, whole), at1970(9, whole)}, ""},
		{"clock at 1970, a report without uptime", Crash{old, 5 * time.Minute}, []Dump{at1970(9, whole), at1970(0, whole), at1970(9, whole)}, ""},
		{"a capture died", Crash{now, time.Minute}, []Dump{ago(30, 5, whole), ago(20, 5, whole), dead, ago(10, 5, whole)}, "3 dumps within 30m0s (by the clock)"},
		{"clock at 1970, a capture died", Crash{old, 5 * time.Minute}, []Dump{at1970(9, whole), at1970(9, whole), dead, at1970(9, whole)}, ""},
		{"clock went back", Crash{now.Add(-time.Hour), time.Minute}, []Dump{ago(30, 5, whole), ago(20, 5, whole), ago(10, 5, whole)}, "3 dumps within 11m0s"},
	} {
		got := g.Loop(tt.crash, tt.dumps)
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := (Guard{}).Loop(Crash{now, time.Minute}, []Dump{ago(1, 1, whole)}); got != "" {
		t.Errorf("without a rule: %q", got)
	}
}

// FuzzName: a directory's name never makes List fail or panic, and what is taken for
// a name of ours is one.
func FuzzName(f *testing.F) {
	f.Add("db1-2026-11-02T00-00-00Z-10")
	f.Add("db1-2026-11-02T00-00-00Z--1")
	f.Add("db1-2026-11-02T00-00-00Z-010")
	f.Add("db1-2026-11-02T00-00-00Z-+12")
	f.Fuzz(func(t *testing.T, name string) {
		if stamp, n, ok := parseName("db1", name); ok && n < 100 && n > 9 {
			if got := Numbered("db1-"+stamp.Format(stampLayout), n); got != name {
				t.Errorf("%q is taken for %q", name, got)
			}
		}
	})
}
