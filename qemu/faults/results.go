package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// result is what is kept of a row.
type result struct {
	Saved string        `json:"saved"`
	ToEnd time.Duration `json:"to_end"`
	On    string        `json:"on"` // the day, and the kernel
}

// results are those of all rows that were played, by name: those of a part of the
// faults take the place of theirs in the last whole run. They lie in a file, so that
// parts may be played side by side.
type results struct{ path string }

// change reads the results, lets f change them and writes them again.
func (r results) change(f func(map[string]result)) error {
	lock, err := os.OpenFile(r.path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	all := map[string]result{}
	b, err := os.ReadFile(r.path)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("results: %w", err)
	}
	f(all)
	if b, err = json.MarshalIndent(all, "", "\t"); err != nil {
		return err
	}
	return os.WriteFile(r.path, b, 0o644)
}

// keep notes what came of a row; nothing, if that was not what was expected.
func (r results) keep(x row, kernel string) error {
	return r.change(func(all map[string]result) {
		delete(all, x.name)
		if x.err == nil {
			all[x.name] = result{x.saved, x.toEnd, time.Now().UTC().Format(time.DateOnly) + ", " + kernel}
		}
	})
}

// whole gives all rows of the table, and false if one of them has no result of today's
// kernel yet.
func (r results) whole(list []fault, kernel string) (rows []row, ok bool, err error) {
	ok = true
	err = r.change(func(all map[string]result) {
		for _, f := range list {
			x, there := all[f.name]
			ok = ok && there && x.On[len(time.DateOnly)+len(", "):] == kernel
			rows = append(rows, row{fault: f, saved: x.Saved, toEnd: x.ToEnd})
		}
	})
	return rows, ok, err
}
