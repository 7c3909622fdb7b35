//go:build vm

package smoke

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
	"github.com/gokdump/gokdump/qemu/steps"
)

// work is where the machines' files lie, in the tree's build folder.
const work = "../../build/smoke"

// What TestMain made once for all tests.
var (
	shared *lab.Lab
	newer  *readers.Readers // crash 8.0.4 or later, and a newer drgn
)

func TestMain(m *testing.M) {
	// An interrupt must reach the deferred ends of machines and downloads.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := steps.New(os.Stdout).Do("preparing the machines", func(step *steps.Step) error {
		dir, err := filepath.Abs(work)
		if err != nil {
			return err
		}
		cache, err := debian.CacheDir()
		if err != nil {
			return err
		}
		if newer, err = readers.Get(ctx, cache, step); err != nil {
			return err
		}
		shared, err = lab.New(ctx, dir, step)
		return err
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "smoke: error: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("    kernel %s under %s\n", shared.Kernel.Release, shared.Accel)
	os.Exit(m.Run())
}

// generic is made by the first test that needs it.
var generic struct {
	once sync.Once
	lab  *lab.Lab
	err  error
}

// dir is a folder for the test's machine. It stays when the test fails.
func dir(t *testing.T) string {
	t.Helper()
	d, err := filepath.Abs(filepath.Join(work, t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what is left of the machine: %s", d)
		} else if err := os.RemoveAll(d); err != nil {
			t.Error(err)
		}
	})
	return d
}

// crash plays a story to its end.
func crash(t *testing.T, s lab.Story) *lab.Outcome {
	t.Helper()
	t.Parallel()
	o, err := shared.Run(t.Context(), dir(t), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("panic after %.1f s, end %.1f s later", o.ToPanic.Seconds(), o.ToEnd.Seconds())
	return o
}

// left is the one dump that a story left.
func left(t *testing.T, o *lab.Outcome) lab.Left {
	t.Helper()
	all, err := o.Left(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d directories below %s, want 1; console: %s", len(all), lab.CrashDir, o.Log)
	}
	if all[0].Report == nil {
		t.Fatalf("no report among %q", all[0].Names())
	}
	return all[0]
}

// console fails the test for each text that the machine did not print.
func console(t *testing.T, o *lab.Outcome, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(o.Console, s) {
			t.Errorf("the console does not show %q; see %s", s, o.Log)
		}
	}
}

// command runs one of ours on the host and returns its output and exit code.
func command(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.Command(name), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
