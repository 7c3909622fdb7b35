package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/script"
)

// deviceTime is how long a disk may take to appear.
const deviceTime = 20 * time.Second

func mount(m script.Mount) error {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return err
	}
	err := unix.Mount(m.Device, m.Dir, m.FSType, 0, "")
	if errors.Is(err, unix.EBUSY) { // the kernel mounted devtmpfs by itself
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount %s %s on %s: %w", m.FSType, m.Device, m.Dir, err)
	}
	return nil
}

func mountDisk(m script.Mount) error {
	for end := time.Now().Add(deviceTime); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(m.Device); err == nil {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("%s did not appear in %v", m.Device, deviceTime)
		}
	}
	return mount(m)
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("module %s: %w", path, err)
	}
	return nil
}

// list says every file below dir with its size, and how many there are.
func list(dir string) (int, error) {
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		n++
		say("file %d %s", st.Size(), path)
		return nil
	})
	if err == nil {
		say("files %d in %s", n, dir)
	}
	return n, err
}

// tasks says the name of every thread. It goes straight to the console: a record
// of the kernel's log is too short for it.
func tasks() error {
	names := map[string]string{}
	comms, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/comm")
	if err != nil {
		return err
	}
	for _, path := range comms {
		if name, err := os.ReadFile(path); err == nil { // else it is gone
			names[filepath.Base(filepath.Dir(path))] = strings.TrimSuffix(string(name), "\n")
		}
	}
	b, err := json.Marshal(names)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s%s%s\n", script.Marker, script.TasksPrefix, b)
	return nil
}

// crash does not return when all goes well.
func crash(p script.Panic) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(p.CPU)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("move to CPU %d: %w", p.CPU, err)
	}
	say("panicking on CPU %d", p.CPU)
	time.Sleep(settle)
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		return err
	}
	return errors.New("the kernel did not panic")
}
