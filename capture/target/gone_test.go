package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A server that is gone costs one deadline and not one for each operation. What was not
// whole by then never gets its name.
func TestGivenUp(t *testing.T) {
	slow := func(d time.Duration, err error) func() error {
		return func() error { time.Sleep(d); return err }
	}
	for name, tt := range map[string]struct {
		patience time.Duration
		op       func() error
		given    bool
	}{
		"a slow failure":          {10 * time.Second, slow(45*time.Second, unix.EIO), true},
		"a fast failure":          {10 * time.Second, slow(time.Second, unix.EIO), false},
		"slow, and went well":     {10 * time.Second, slow(45*time.Second, nil), false},
		"slow, and full":          {10 * time.Second, slow(45*time.Second, fmt.Errorf("write: %w", unix.ENOSPC)), false},
		"there is no other place": {0, slow(45*time.Second, unix.EIO), false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				d, err := NewDir(folder)
				if err != nil {
					t.Fatal(err)
				}
				d.GiveUpAfter(tt.patience)
				sub, err := d.Sub("sub")
				if err != nil {
					t.Fatal(err)
				}
				f, err := sub.Create("f")
				if err != nil {
					t.Fatal(err)
				}
				_ = d.gone.do(tt.op)
				_, werr := f.WriteAt([]byte("x"), 0)
				_, cerr := d.Create("g")
				err = f.Commit()
				for _, e := range []error{werr, cerr, err} {
					if tt.given != (e != nil) || tt.given && (!errors.Is(e, unix.EIO) || !strings.Contains(e.Error(), "45s")) {
						t.Errorf("afterwards: %v", e)
					}
				}
				if _, err := os.Stat(filepath.Join(folder, "sub", "f")); tt.given == (err == nil) {
					t.Errorf("the file's name: %v", err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
