package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// stand takes the place of a test for the servers of package targettest, which are
// made for tests: it gives them folders, and ends what they began.
type stand struct {
	testing.TB // what no server calls
	ctx        context.Context
	ends       []func()
	failed     bool
}

// errStand carries a Fatal out of a server.
var errStand = errors.New("server")

// run calls f, and in any case what it left to be done at the end.
func (s *stand) run(f func() error) (err error) {
	defer func() {
		for i := len(s.ends) - 1; i >= 0; i-- {
			s.ends[i]()
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
			s.failed = err != nil
		case error:
			if !errors.Is(p, errStand) {
				panic(p)
			}
			err, s.failed = p, true
		default:
			panic(p)
		}
	}()
	return f()
}

func (s *stand) Helper()                  {}
func (s *stand) Failed() bool             { return s.failed }
func (s *stand) Context() context.Context { return s.ctx }
func (s *stand) Cleanup(f func())         { s.ends = append(s.ends, f) }
func (s *stand) Fatal(a ...any) {
	panic(fmt.Errorf("%w: %s", errStand, strings.TrimSpace(fmt.Sprintln(a...))))
}
func (s *stand) Fatalf(f string, a ...any) { s.Fatal(fmt.Sprintf(f, a...)) }
func (s *stand) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, f+"\n", a...) }

// TempDir is a folder on a disk, with a short path.
func (s *stand) TempDir() string {
	dir, err := os.MkdirTemp("", "gf-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
