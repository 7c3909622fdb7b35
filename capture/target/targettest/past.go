package targettest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/target"
)

// pastOf gives what a target knows of earlier captures; nil where the kind of place
// lacks that, and says so.
func (s suite) pastOf(t *testing.T, tg target.Target) target.Past {
	t.Helper()
	p, ok := tg.(target.Past)
	if s.lacks.has(Listing) {
		if ok {
			_, err := p.Dirs()
			refused(t, "Dirs", err)
			_, err = p.Files("d")
			refused(t, "Files", err)
		}
		return nil
	}
	if !ok {
		t.Fatal("the target is no target.Past")
	}
	return p
}

// put makes a file in a directory of the target.
func put(t *testing.T, tg target.Target, dir string, files map[string]string) {
	t.Helper()
	sub, err := tg.Sub(dir)
	if err != nil {
		t.Fatalf("Sub(%q): %v", dir, err)
	}
	defer sub.Close()
	for name, text := range files {
		if err := target.Write(sub, name, []byte(text)); err != nil {
			t.Fatalf("%s/%s: %v", dir, name, err)
		}
	}
}

func wantDirs(t *testing.T, p target.Past, want ...string) {
	t.Helper()
	if got, err := p.Dirs(); err != nil || !slices.Equal(got, want) {
		t.Errorf("Dirs: %q, %v, want %q", got, err, want)
	}
}

func (s suite) testPast(t *testing.T, tg target.Target, see fs.FS) {
	p := s.pastOf(t, tg)
	if p == nil {
		return
	}
	wantDirs(t, p)
	put(t, tg, "b", map[string]string{"vmcore": "dump", "report.json": "{}"})
	put(t, tg, "a & co", map[string]string{"vmcore": "other"})
	commit(t, create(t, tg, "loose"))
	wantDirs(t, p, "a & co", "b")

	files, err := p.Files("b")
	slices.SortFunc(files, func(x, y target.Entry) int { return strings.Compare(x.Name, y.Name) })
	if want := []target.Entry{{Name: "report.json", Bytes: 2, Plain: true}, {Name: "vmcore", Bytes: 4, Plain: true}}; err != nil || !slices.Equal(files, want) {
		t.Errorf("Files: %+v, %v, want %+v", files, err, want)
	}
	if text, err := p.ReadFile("b", "report.json", 2); err != nil || string(text) != "{}" {
		t.Errorf("ReadFile: %q, %v", text, err)
	}
	if _, err := p.ReadFile("b", "report.json", 1); err == nil {
		t.Error("ReadFile gives more than it is asked for")
	}
	if _, err := p.ReadFile("b", "absent", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile of what is not there: %v", err)
	}
	for name, err := range map[string]error{
		"Files(..)":       second(p.Files("..")),
		"Files(.)":        second(p.Files(".")),
		"ReadFile(..)":    second(p.ReadFile("..", "x", 9)),
		"ReadFile(../x)":  second(p.ReadFile("b", "../b/vmcore", 9)),
		"Remove(.)":       p.Remove(".", nil),
		"Remove(../b/..)": p.Remove("b", []string{"../b/vmcore"}),
	} {
		if !errors.Is(err, target.ErrName) {
			t.Errorf("%s: %v, want one that wraps ErrName", name, err)
		}
	}

	annex, ok := tg.(target.Annex)
	if !ok {
		t.Fatal("the target is no target.Annex")
	}
	if err := annex.WriteFile("b", "notified", []byte("yes")); err != nil {
		t.Errorf("WriteFile: %v", err)
	}
	s.holds(t, see, "b/notified", []byte("yes"))
	if err := annex.WriteFile("b", "notified", []byte("no")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("WriteFile again: %v, want one that wraps ErrExist", err)
	}

	if err := p.Remove("b", []string{"vmcore", "gone before"}); err == nil {
		t.Error("Remove of a directory that is not empty")
	}
	wantDirs(t, p, "a & co", "b")
	absent(t, see, "b/vmcore")
	if err := p.Remove("b", []string{"notified", "report.json"}); err != nil {
		t.Errorf("Remove: %v", err)
	}
	wantDirs(t, p, "a & co")
	absent(t, see, "b")
	s.holds(t, see, "a & co/vmcore", []byte("other"))
	s.holds(t, see, "loose", nil)
}

func second[T any](_ T, err error) error { return err }

// testRules carries the rules about earlier dumps out in the target.
func (s suite) testRules(t *testing.T, tg target.Target, see fs.FS) {
	p := s.pastOf(t, tg)
	if p == nil {
		return
	}
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var names []string
	for i := range 4 {
		at := start.Add(time.Duration(i) * 5 * time.Minute)
		name, result := past.Numbered("db1-"+at.Format("2006-01-02T15-04-05Z"), i%2+1), "complete"
		if i == 3 {
			result = "partial"
		}
		names = append(names, name)
		put(t, tg, name, map[string]string{"vmcore": "dump", past.ReportName: fmt.Sprintf(`{"host":"db1","result":%q,"crash_time":%q}`, result, at.Format(time.RFC3339))})
	}
	put(t, tg, "db2-2026-11-01T12-00-00Z", map[string]string{"vmcore": "of another host"})
	all, err := past.List(p, "db1")
	if err != nil || len(all) != 4 || !all[2].Good || all[3].Good {
		t.Fatalf("List: %+v, %v", all, err)
	}
	guard := past.Guard{Dumps: 4, Within: time.Hour}
	if why := guard.Loop(past.Crash{Time: start.Add(20 * time.Minute), Uptime: time.Minute}, all); !strings.Contains(why, "4 dumps within 20m") {
		t.Errorf("four dumps within 20 minutes are no loop: %q", why)
	}
	done, err := past.Prune(t.Context(), p, all, past.Keep{Dumps: 3})
	if err != nil || !slices.Equal(done.Removed, names[:1]) {
		t.Errorf("keep 3: removed %q, %v, want %q", done.Removed, err, names[:1])
	}
	// However much is to be free: the last whole dump stays, and what came after it.
	done, err = past.Prune(t.Context(), p, all[1:], past.Keep{Free: 1 << 62})
	if s.lacks.has(Space) {
		refused(t, "Prune by free space", err)
	} else if err != nil || !slices.Equal(done.Removed, names[1:2]) || len(done.Notes) == 0 {
		t.Errorf("keep_free: removed %q, notes %q, %v, want %q", done.Removed, done.Notes, err, names[1:2])
	}
	for _, name := range names[2:] {
		s.holds(t, see, name+"/vmcore", []byte("dump"))
	}
	s.holds(t, see, "db2-2026-11-01T12-00-00Z/vmcore", []byte("of another host"))
}
