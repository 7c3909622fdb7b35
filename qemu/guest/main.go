// Command guest is /init of the virtual machine that crashes: it stands for a
// production system. It loads modules, mounts a disk, starts processes, fills
// memory, arms the crash kernel by running kdump-arm and then panics, all as the
// script in its initramfs says.
//
// It owns nothing but that; it decides nothing, and is part of no product. It
// speaks on the console in lines that begin with a marker; see package script.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/script"
)

// settle is how long the guest waits before it ends, so that the serial line is
// drained.
const settle = 300 * time.Millisecond

func main() {
	if len(os.Args) == 4 && os.Args[0] == workerArg {
		work(os.Args[1], os.Args[2], os.Args[3])
	}
	if len(os.Args) == 2 && os.Args[0] == canaryArg {
		hold(os.Args[1])
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: error: this is /init of a test machine, not a program to run")
		os.Exit(2)
	}
	if err := run(); err != nil {
		say("failed: %v", err)
	}
	say("powering off")
	time.Sleep(settle)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// errEnd ends a script that has reached its end before its last step.
var errEnd = errors.New("end")

func run() error {
	for _, m := range []script.Mount{
		{Device: "proc", FSType: "proc", Dir: "/proc"},
		{Device: "sysfs", FSType: "sysfs", Dir: "/sys"},
		{Device: "devtmpfs", FSType: "devtmpfs", Dir: "/dev"},
		{Device: "tmpfs", FSType: "tmpfs", Dir: "/tmp"},
		{Device: "tmpfs", FSType: "tmpfs", Dir: "/run"},
	} {
		if err := mount(m); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(script.File)
	if err != nil {
		return err
	}
	s, err := script.Parse(b)
	if err != nil {
		return err
	}
	for _, m := range s.Modules {
		if err := loadModule(m); err != nil {
			return err
		}
	}
	var g state
	for i, st := range s.Steps {
		err := g.step(st)
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// state is what steps leave for later ones.
type state struct{ canaries *holder }

func (g *state) step(st script.Step) error {
	switch {
	case st.Mount != nil:
		return mountDisk(*st.Mount)
	case st.Fill != nil:
		return fill(*st.Fill)
	case st.Run != nil:
		command(st.Run)
		return nil
	case st.List != "":
		_, err := list(st.List)
		return err
	case st.EndIfAny != "":
		n, err := list(st.EndIfAny)
		if errors.Is(err, os.ErrNotExist) || err == nil && n == 0 {
			return nil
		}
		return errors.Join(err, errEnd)
	case st.Carry != nil:
		return carry(*st.Carry)
	case st.Canaries != "":
		h, err := canaries(st.Canaries)
		g.canaries = h
		return err
	case st.FreeCanaries:
		return g.canaries.free()
	case st.Network != nil:
		return network(st.Network)
	case st.Tasks:
		return tasks()
	case st.Panic != nil:
		return crash(*st.Panic)
	case st.SwitchRoot != nil:
		return switchRoot(*st.SwitchRoot)
	case st.Idle:
		say("idle")
		for {
			time.Sleep(time.Hour)
		}
	}
	return errors.New("nothing to do")
}

// say puts a line on the console by way of the kernel's log, so that it is in the
// dump's log as well. Each line opens the device anew: the kernel limits the rate
// of lines by open file.
func say(format string, a ...any) {
	line := script.Marker + fmt.Sprintf(format, a...)
	if k, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		_, err = k.WriteString("<4>" + line)
		k.Close()
		if err == nil {
			return
		}
	}
	fmt.Println(line)
}

// command runs a program and reports its exit status.
func command(argv []string) {
	var out bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	err := cmd.Run()
	for line := range strings.Lines(out.String()) {
		say("| %s", strings.TrimRight(line, "\n"))
	}
	if cmd.ProcessState == nil {
		say("exit -1: %s: %v", strings.Join(argv, " "), err)
		return
	}
	say("exit %d: %s", cmd.ProcessState.ExitCode(), strings.Join(argv, " "))
}
