package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// A table is whole when each fault ended as expected, whichever run it was played in.
func TestResults(t *testing.T) {
	r := results{filepath.Join(t.TempDir(), "faults.json")}
	list := []fault{{name: "a"}, {name: "b"}}
	keep := func(name, saved string, err error) {
		t.Helper()
		if err := r.keep(row{fault: fault{name: name}, saved: saved, toEnd: time.Second, err: err}, "6.1"); err != nil {
			t.Fatal(err)
		}
	}
	whole := func(kernel string, want bool) []row {
		t.Helper()
		rows, ok, err := r.whole(list, kernel)
		if err != nil || ok != want {
			t.Errorf("whole: %v, %v; want %v", ok, err, want)
		}
		return rows
	}
	keep("a", "log", nil)
	whole("6.1", false)
	keep("b", "dump", nil)
	if rows := whole("6.1", true); len(rows) != 2 || rows[1].saved != "dump" || rows[1].toEnd != time.Second {
		t.Errorf("%+v", rows)
	}
	whole("6.12", false)
	keep("a", "nothing", errors.New("not as expected"))
	whole("6.1", false)
	keep("a", "log", nil)
	whole("6.1", true)
}
