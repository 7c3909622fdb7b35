package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/canary"
)

// canaryArg is argument 0 of the process that holds the canaries; argument 1 is
// a directory on the disk.
const canaryArg = "canary"

// holder is the process that holds the canaries: it is told by lines to give some of
// them back, and answers with reports.
type holder struct {
	say     io.Writer
	reports *json.Decoder
}

// canaries starts the process that holds them and says its report.
func canaries(dir string) (*holder, error) {
	// what is dirty stays so
	const vm, thp = "/proc/sys/vm/", "/sys/kernel/mm/transparent_hugepage/"
	for name, value := range map[string]string{
		vm + "dirty_writeback_centisecs": "0", vm + "dirty_expire_centisecs": "360000",
		vm + "dirty_background_ratio": "90", vm + "dirty_ratio": "95", vm + "nr_hugepages": "4",
		thp + "enabled": "madvise", thp + "defrag": "madvise", // off by default on small machines
	} {
		if err := os.WriteFile(name, []byte(value), 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Cmd{
		Path: "/init", Args: []string{canaryArg, dir}, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h := &holder{say: in, reports: json.NewDecoder(out)}
	return h, h.report(canary.ReportPrefix)
}

// report says on the console what the holder reports next.
func (h *holder) report(prefix string) error {
	var rep canary.Report
	if err := h.reports.Decode(&rep); err != nil {
		return fmt.Errorf("the canaries did not come up: %w", err)
	}
	b, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	say("%s%s", prefix, b)
	return nil
}

// free has some canaries given back and waits for a line on the console: the host
// looks at memory now.
func (h *holder) free() error {
	if h == nil {
		return fmt.Errorf("no canaries to free")
	}
	runtime.LockOSThread()
	if err := pin(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(h.say, "free"); err != nil {
		return err
	}
	if err := h.report(canary.FreedPrefix); err != nil {
		return err
	}
	console, err := os.Open("/dev/console")
	if err != nil {
		return err
	}
	typed := make(chan error)
	go func() {
		_, err := bufio.NewReader(console).ReadString('\n')
		typed <- err
	}()
	// Again and again: a line may sit in the emulated serial port until the next one
	// pushes it out.
	for waiting := true; waiting; {
		say("waiting for the host")
		select {
		case err := <-typed:
			if waiting = false; err != nil {
				return fmt.Errorf("waiting for the host: %w", err)
			}
		case <-time.After(time.Second):
		}
	}
	return nil
}

// hold is the life of the process that holds the canaries.
func hold(dir string) {
	runtime.LockOSThread()
	err := pin(0)
	if err == nil {
		err = obey(dir)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "canaries: %v\n", err)
		os.Exit(1)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// pin lets the calling thread, and those that it makes, run on one CPU only.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("move to CPU %d: %w", cpu, err)
	}
	return nil
}

// obey marks the canaries, and gives some back when it is told to.
func obey(dir string) error {
	answer := json.NewEncoder(os.Stdout)
	m, err := markAll(dir)
	if err != nil {
		return err
	}
	if err := answer.Encode(m.report); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for _, p := range m.free {
		// not unix.Munmap: that takes back whole mappings only
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, address(p), uintptr(len(p)), 0); errno != 0 {
			return fmt.Errorf("munmap: %w", errno)
		}
	}
	// A CPU's last pages of page cache wait to come onto the LRU: on one that has
	// nothing else to do.
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes
		err := pin(1)
		if err == nil {
			canary.Mark(m.young, canary.Young, 0)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return err
	}
	if m.report.Held, err = heldByCPUs(); err != nil {
		return err
	}
	return answer.Encode(m.report)
}
