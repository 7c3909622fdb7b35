package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/rescue"
	"golang.org/x/sys/unix"
)

// initMain is PID 1. It never returns: the end of PID 1 is the kernel's.
func initMain() {
	var end atomic.Pointer[boot.Power]
	emergency := func() {
		p := end.Load()
		if p == nil { // /proc may not even be mounted; reboot(2) needs nothing
			p = boot.NewPower(nil)
		}
		p.Emergency(plan.Reboot)
	}
	// First of all: from here on, everything ends.
	last := boot.StartLastResort(startLimit, emergency)
	err := boot.Guard(func() error { return superviseMachine(last, &end) })
	fmt.Fprintf(os.Stderr, "kdump: PID 1: %v\n", err)
	var p *boot.PanicError
	if errors.As(err, &p) {
		fmt.Fprintf(os.Stderr, "%s\n", p.Stack)
	}
	for {
		emergency()
		time.Sleep(30 * time.Second)
	}
}

// superviseMachine makes the real machine's supervisor and runs it.
func superviseMachine(last *boot.LastResort, end *atomic.Pointer[boot.Power]) error {
	mountErr := boot.MountKernel("", boot.Mount)
	terminal := openConsole()
	console := boot.NewConsole(terminal)
	opts := boot.ReadOptions()
	log := newLog(console, opts)
	power := boot.NewPower(func(s string) { log.Errorf("%s", s); console.Flush(time.Second) })
	end.Store(power)
	log.Infof("kdump-init is PID 1 of this kernel")
	if mountErr != nil {
		log.Errorf("mount the kernel's file systems: %v", mountErr)
	}

	var person *rescue.Console
	s := &supervisor{
		log:          log,
		opts:         opts,
		readPlan:     readPlan,
		haveCore:     haveCore,
		start:        func(first int) (process, error) { return startWorker(first, terminal, log) },
		openWatchdog: boot.OpenWatchdog,
		keepLog:      func(p *plan.Plan, v verdict) (string, error) { return keepLog(log, p, v) },
		power:        power,
		lastResort:   last.Reset,
		flush:        func() { console.Flush(5 * time.Second) },
		kill:         killLimit,
	}
	s.talk = func(p *plan.Plan, v verdict, alive func(time.Duration)) rescue.Choice {
		return talk(&person, terminal, machine{log, power, p, v, alive})
	}
	s.run()
	return errors.New("the end of the run did not come")
}

// openConsole gives /dev/console, also as standard input, output and error:
// the kernel starts init without them when the image has no such node. A
// blocking descriptor of our own keeps Go's poller out of it.
func openConsole() *os.File {
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.Stdout
	}
	for std := range 3 {
		_ = unix.Dup3(fd, std, 0)
	}
	return os.NewFile(uintptr(fd), "/dev/console")
}

// newLog is the log of either process.
func newLog(console *boot.Console, opts boot.Options) *boot.Log {
	kmsg, level, err := boot.OpenKmsg()
	if err != nil {
		l := boot.NewLog(nil, console, 0, opts.Debug)
		l.Warnf("no kernel log: %v", err)
		return l
	}
	return boot.NewLog(kmsg, console, level, opts.Debug)
}

func readPlan() (*plan.Plan, error) {
	f, err := os.Open(plan.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return plan.Decode(f)
}

// haveCore tells whether this kernel was started by a crash.
func haveCore() error {
	st, err := os.Stat(corePath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s", corePath)
	case err != nil:
		return err
	case st.Size() == 0:
		return fmt.Errorf("%s is empty", corePath)
	}
	return nil
}
