package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/rescue"
)

// machine is what the rescue console acts on.
type machine struct {
	log   *boot.Log
	power *boot.Power
	plan  *plan.Plan
	last  verdict
	alive func(time.Duration)
}

// talk runs the rescue console on terminal. *person is made once: its reader of
// the terminal cannot be called off.
func talk(person **rescue.Console, terminal *os.File, m machine) rescue.Choice {
	commands := rescue.Machine{
		Status:  m.status,
		Log:     func() []byte { return m.log.CaptureLog(boot.Kmsg) },
		Mount:   m.mount,
		Unmount: m.unmount,
		Alive:   m.alive,
	}
	if *person == nil {
		*person = rescue.New(terminal, terminal, commands, rescue.DefaultIdle)
	} else {
		(*person).Machine(commands)
	}
	return (*person).Run(context.Background())
}

func (m machine) status() string {
	var b strings.Builder
	p := m.plan
	fmt.Fprintf(&b, "capture: %v\n", m.last)
	if err := haveCore(); err != nil {
		fmt.Fprintf(&b, "core:    %v\n", err)
	} else {
		fmt.Fprintf(&b, "core:    %s\n", corePath)
	}
	fmt.Fprintf(&b, "plan:    level %d, %s\n", p.Dump.Level, p.Dump.Codec)
	for i, t := range p.Targets {
		where := "not mounted"
		if dir := boot.MountPointOf(i); mounted(dir) {
			where = "mounted on " + dir
		}
		fmt.Fprintf(&b, "target:  %s (%s)\n", t, where)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	seen, err := new(blkid.Finder).List(ctx)
	fmt.Fprintf(&b, "devices: %s\n", strings.ReplaceAll(blkid.Describe(seen), "; ", "\n         "))
	if err != nil {
		fmt.Fprintf(&b, "         %v\n", err)
	}
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		if n, err := boot.MemAvailable(f); err == nil {
			fmt.Fprintf(&b, "memory:  %d MiB available\n", n>>20)
		}
	}
	return b.String()
}

// rescueWait is how long the console's mount waits for the plan's device.
const rescueWait = 10 * time.Second

// mount mounts the plan's target, or another device, where the target belongs.
func (m machine) mount(device, fstype string) (string, error) {
	d := m.plan.Deadlines.Mount.Duration()
	m.alive(d)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	// Before a retry, or without a core, no driver may be there yet.
	if err := (&boot.Loader{Log: m.log}).Load(ctx, m.plan.Modules); err != nil {
		m.log.Warnf("%s: %v", stepModules, err)
	}
	t := plan.Target{FSType: fstype}
	if device == "" {
		if len(m.plan.Targets) == 0 || m.plan.Targets[0].Kind != plan.KindFS {
			return "", fmt.Errorf("the plan names no file system: say which device, and its type")
		}
		t = m.plan.Targets[0]
		wait, done := context.WithTimeout(ctx, rescueWait)
		defer done()
		path, err := (&boot.Waiter{Find: finder(m.log)}).Wait(wait, t.Device)
		if err != nil {
			return "", err
		}
		device = path
	}
	return boot.MountPoint, boot.MountTarget(ctx, t, device, boot.MountPoint, boot.Mount)
}

func (m machine) unmount() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.plan.Deadlines.Reboot.Duration())
	defer cancel()
	return m.power.Quiesce(ctx, boot.MountPoint)
}

// mounted tells whether something is mounted on dir. It asks the kernel's list: to
// look at the directory itself might hang, where a server is gone.
func mounted(dir string) bool {
	list, err := os.ReadFile("/proc/self/mounts")
	return err == nil && inMounts(string(list), dir)
}

// inMounts looks for a mount point in the text of /proc/self/mounts.
func inMounts(list, dir string) bool {
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == dir {
			return true
		}
	}
	return false
}

// keepLimit is how long saving such a log may take.
const keepLimit = 20 * time.Second

// keepLog writes the log of an attempt that left no report, since its worker
// died or is stuck, beside what it left in the targets. It gives the files'
// paths; "" when none is mounted.
func keepLog(log *boot.Log, p *plan.Plan, v verdict) (string, error) {
	text := append([]byte(v.String()+"\n\n"), log.CaptureLog(boot.Kmsg)...)
	var kept []string
	var errs []error
	for i, t := range p.Targets {
		if dir := boot.MountPointOf(i); mounted(dir) {
			path, err := keepLogIn(dir, t.Path, p.Host, text)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			kept = append(kept, path)
		}
	}
	return strings.Join(kept, ", "), errors.Join(errs...)
}

func keepLogIn(dir, sub, host string, text []byte) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keepLimit)
	defer cancel()
	name := fmt.Sprintf("%s-%s-failed.log", host, time.Now().UTC().Format("2006-01-02T15-04-05Z"))
	path := filepath.Join(dir, sub, name)
	return path, boot.Within(ctx, "write "+path, func() error {
		if _, err := boot.DumpDir(dir, sub); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Write(text); err != nil {
			return err
		}
		return f.Sync()
	})
}
