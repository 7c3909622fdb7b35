package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// Power ends a machine's run. The functions are the system's; see [NewPower].
type Power struct {
	// Sync writes back the file system that holds dir, and no other: one whose
	// server or disk is gone must not keep the rest from being left in order.
	Sync func(dir string) error
	// Unmount is umount2(2).
	Unmount func(dir string, flags int) error
	// Mount is mount(2).
	Mount MountFunc
	// Reboot is reboot(2); it does not return when it works.
	Reboot func(cmd int) error
	// SysRq writes one command to /proc/sysrq-trigger.
	SysRq func(command byte) error
	// Sleep is time.Sleep.
	Sleep func(time.Duration)
	// Say is told what fails; may be nil.
	Say func(string)
}

// NewPower gives the running system's. Call it when /proc is mounted: it keeps
// /proc/sysrq-trigger open, since opening it may need memory or a disk that is
// not there any more.
func NewPower(say func(string)) *Power {
	trigger, openErr := os.OpenFile("/proc/sysrq-trigger", os.O_WRONLY, 0)
	return &Power{
		Sync:    syncFS,
		Unmount: unix.Unmount,
		Mount:   Mount,
		Reboot:  unix.Reboot,
		SysRq: func(c byte) error {
			if openErr != nil {
				return openErr
			}
			_, err := trigger.Write([]byte{c})
			return err
		},
		Sleep: time.Sleep,
		Say:   say,
	}
}

// Quiesce writes everything back and unmounts dir, within ctx. A file system
// that is still busy is made read-only instead, which leaves it as clean.
func (p *Power) Quiesce(ctx context.Context, dir string) error {
	// What cannot be written back does not keep it from being unmounted.
	syncErr := Within(ctx, "sync "+dir, func() error { return p.Sync(dir) })
	var stuck *StuckError
	if errors.As(syncErr, &stuck) {
		return syncErr
	}
	return errors.Join(syncErr, Within(ctx, "unmount "+dir, func() error {
		err := p.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // not mounted
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		if roErr := p.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); roErr != nil {
			return fmt.Errorf("unmount %s: %w; make it read-only: %w", dir, err, roErr)
		}
		return nil
	}))
}

// syncFS is syncfs(2) of a directory; one that is not there needs none.
func syncFS(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

// commands are reboot(2)'s.
func command(a plan.Action) int {
	switch a {
	case plan.Poweroff:
		return unix.LINUX_REBOOT_CMD_POWER_OFF
	case plan.Halt:
		return unix.LINUX_REBOOT_CMD_HALT
	}
	return unix.LINUX_REBOOT_CMD_RESTART
}

// Do carries out a, where anything but poweroff and halt means reboot, by
// reboot(2) with patience for the drivers' shutdown, then by [Power.Emergency].
// On a real machine it does not return.
func (p *Power) Do(a plan.Action, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	err := Within(ctx, "reboot(2)", func() error { return p.Reboot(command(a)) })
	cancel()
	if err == nil {
		err = errors.New("returned, and we still run")
	}
	p.say("%s: %v; now by sysrq", a, err)
	p.Emergency(a)
}

// Emergency ends the run without asking anybody: sysrq sync and remount
// read-only, which the kernel does on its own threads, then its reboot. A
// machine that was to be powered off or halted is not restarted unless that
// fails too.
func (p *Power) Emergency(a plan.Action) {
	type step struct {
		name string
		f    func() error
		wait time.Duration
	}
	sysrq := func(c byte, wait time.Duration) step {
		return step{"sysrq " + string(c), func() error { return p.SysRq(c) }, wait}
	}
	call := func(cmd int) step {
		return step{"reboot(2)", func() error { return p.Reboot(cmd) }, 5 * time.Second}
	}
	steps := []step{sysrq('s', 3*time.Second), sysrq('u', 3*time.Second)}
	switch a {
	case plan.Poweroff:
		steps = append(steps, sysrq('o', 10*time.Second), call(unix.LINUX_REBOOT_CMD_HALT))
	case plan.Halt:
		steps = append(steps, call(unix.LINUX_REBOOT_CMD_HALT))
	}
	steps = append(steps, sysrq('b', 5*time.Second), call(unix.LINUX_REBOOT_CMD_RESTART))
	for _, s := range steps {
		// Any of them may hang; the next one must have its turn all the same.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := Within(ctx, s.name, s.f); err != nil {
			p.say("%s: %v", s.name, err)
		}
		cancel()
		p.Sleep(s.wait)
	}
}

func (p *Power) say(format string, a ...any) {
	if p.Say != nil {
		_ = Guard(func() error { p.Say(fmt.Sprintf(format, a...)); return nil })
	}
}
