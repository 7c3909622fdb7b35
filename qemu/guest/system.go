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
	// A driver whose device is not there (an instruction of the CPU) may be optional.
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
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

// tasks says the name of every thread, in as many lines as it takes. They go
// through the kernel's log like all others: what a process writes to the console
// itself may have another line in its middle.
func tasks() error {
	comms, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/comm")
	if err != nil {
		return err
	}
	names := map[string]string{}
	flush := func() error {
		b, err := json.Marshal(names)
		if err == nil {
			say("%s%s", script.TasksPrefix, b)
		}
		clear(names)
		return err
	}
	for _, path := range comms {
		name, err := os.ReadFile(path)
		if err != nil { // it is gone
			continue
		}
		names[filepath.Base(filepath.Dir(path))] = strings.TrimSuffix(string(name), "\n")
		if len(names) == tasksPerLine {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(names) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	say("%s", script.TasksEnd)
	return nil
}

// tasksPerLine keeps a line below the kernel's limit for a record of its log, of
// about 1000 bytes: a name has up to 64 and rarely more than 15.
const tasksPerLine = 20

// crash does not return when all goes well.
func crash(p script.Panic) error {
	runtime.LockOSThread()
	if err := pin(p.CPU); err != nil {
		return err
	}
	trigger, err := os.OpenFile("/proc/sysrq-trigger", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var drain *os.File
	if p.Drain {
		if drain, err = drainFile(); err != nil {
			return err
		}
	}
	say("panicking on CPU %d", p.CPU)
	time.Sleep(settle)
	// Nothing in between: what is allocated takes free pages to a CPU's list again.
	if drain != nil {
		if err := drainCPUs(drain); err != nil {
			return err
		}
	}
	if _, err := trigger.WriteString("c"); err != nil {
		return err
	}
	return errors.New("the kernel did not panic")
}
