package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets this binary stand in for the programs that the package runs, so
// that a machine's life is tested without one.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case Program:
		os.Exit(fakeQEMU())
	case "debugfs":
		os.Exit(0) // reads nothing and says nothing, as the real one may
	case "e2fsck":
		fmt.Println("Inode 12 was part of the orphaned inode list.")
		os.Exit(4)
	}
	os.Exit(m.Run())
}

// fakeQEMU does what its -append asks for.
func fakeQEMU() int {
	line := strings.Join(os.Args, " ")
	fmt.Print("Linux version 6.1\r\nsecond line\r\n")
	switch {
	case strings.Contains(line, "do=echo"):
		s, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Printf("typed: %s\r\n", strings.TrimSpace(s))
	case strings.Contains(line, "do=hang"):
		time.Sleep(time.Hour)
	case strings.Contains(line, "do=fail"):
		fmt.Fprintln(os.Stderr, "could not open disk")
		return 1
	}
	return 0
}

// standIn puts the test binary into PATH under the tools' names.
func standIn(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{Program, "debugfs", "e2fsck"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func start(t *testing.T, o Opts) *VM {
	t.Helper()
	standIn(t)
	o.Kernel = "k"
	vm, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return vm
}

func TestConversation(t *testing.T) {
	log := filepath.Join(t.TempDir(), "console.log")
	vm := start(t, Opts{Append: "do=echo", Log: log})
	ctx := t.Context()
	got, err := vm.ExpectMatch(ctx, regexp.MustCompile(`version [0-9.]+`))
	if err != nil || got != "version 6.1" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := vm.Send("hello\n"); err != nil {
		t.Fatal(err)
	}
	if err := vm.Expect(ctx, "typed: hello"); err != nil {
		t.Fatal(err)
	}
	if err := vm.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(log)
	if err != nil || string(kept) != vm.Console() || !strings.Contains(vm.Console(), "second line") {
		t.Errorf("log %q, console %q, %v", kept, vm.Console(), err)
	}
}

func TestExpectGoesForward(t *testing.T) {
	vm := start(t, Opts{})
	if err := vm.Expect(t.Context(), "second line"); err != nil {
		t.Fatal(err)
	}
	err := vm.Expect(t.Context(), "Linux version")
	if !errors.Is(err, errEnded) {
		t.Fatalf("found text behind the last match, or waited on: %v", err)
	}
	if !strings.Contains(err.Error(), "second line") {
		t.Errorf("error does not show the console: %v", err)
	}
}

func TestDeadline(t *testing.T) {
	vm := start(t, Opts{Append: "do=hang", Timeout: 100 * time.Millisecond, Log: filepath.Join(t.TempDir(), "log")})
	err := vm.Expect(t.Context(), "never printed")
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "deadline of 100ms passed") || !strings.Contains(err.Error(), "whole console: /") {
		t.Errorf("expect: %v", err)
	}
	if err := vm.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "deadline of 100ms passed") {
		t.Errorf("wait: %v", err)
	}
}

func TestCallersContext(t *testing.T) {
	vm := start(t, Opts{Append: "do=hang"})
	if err := vm.Expect(t.Context(), "second line"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	cancel(why)
	if err := vm.Expect(ctx, "never printed"); !errors.Is(err, why) {
		t.Errorf("expect: %v", err)
	}
	if err := vm.Wait(ctx); !errors.Is(err, why) {
		t.Errorf("wait: %v", err)
	}
}

func TestFailingEmulator(t *testing.T) {
	vm := start(t, Opts{Append: "do=fail"})
	err := vm.Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "could not open disk") {
		t.Errorf("got %v", err)
	}
}

func TestMissingEmulator(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := lookTool("no-such-" + Program); err == nil || !strings.Contains(err.Error(), "scripts/setup") {
		t.Errorf("got %v", err)
	}
}

func TestDiskToolsThatFail(t *testing.T) {
	standIn(t)
	img := filepath.Join(t.TempDir(), "img")
	if err := (Disk{SizeMiB: 1}).Make(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(img); err != nil || st.Size() != 1<<20 {
		t.Fatalf("blank disk: %v, %v", st, err)
	}
	if err := (Disk{}).Make(t.Context(), img); err == nil {
		t.Error("made a disk of no size")
	}
	if err := Extract(t.Context(), img, t.TempDir()); err == nil || !strings.Contains(err.Error(), "not an ext4") {
		t.Errorf("extract from a blank disk: %v", err)
	}
	if err := Extract(t.Context(), img, "/tmp/with space"); err == nil || !strings.Contains(err.Error(), "debugfs") {
		t.Errorf("extract to a path with a space: %v", err)
	}
	if err := CheckExt4(t.Context(), img); err == nil || !strings.Contains(err.Error(), "orphaned inode") {
		t.Errorf("check: %v", err)
	}
}
