package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// ledger notes calls in order.
type ledger struct {
	mu    sync.Mutex
	calls []string
}

func (l *ledger) note(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, fmt.Sprintf(format, a...))
}

func (l *ledger) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

func fakePower(l *ledger) *Power {
	return &Power{
		Sync:    func(string) error { l.note("sync"); return nil },
		Unmount: func(dir string, _ int) error { l.note("umount %s", dir); return nil },
		Mount: func(_, dir, _ string, flags uintptr, _ string) error {
			l.note("mount %s %#x", dir, flags)
			return nil
		},
		Reboot: func(cmd int) error { l.note("reboot %#x", uint32(cmd)); return unix.EPERM },
		SysRq:  func(c byte) error { l.note("sysrq %c", c); return nil },
		Sleep:  func(time.Duration) {},
	}
}

const (
	restart  = "reboot 0x1234567"
	halt     = "reboot 0xcdef0123"
	poweroff = "reboot 0x4321fedc"
)

func TestDo(t *testing.T) {
	for action, want := range map[plan.Action][]string{
		plan.Reboot:   {restart, "sysrq s", "sysrq u", "sysrq b", restart},
		plan.Shell:    {restart, "sysrq s", "sysrq u", "sysrq b", restart},
		plan.Poweroff: {poweroff, "sysrq s", "sysrq u", "sysrq o", halt, "sysrq b", restart},
		plan.Halt:     {halt, "sysrq s", "sysrq u", halt, "sysrq b", restart},
	} {
		l := &ledger{}
		fakePower(l).Do(action, time.Minute)
		if got := l.list(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
}

func TestDoWhenRebootHangs(t *testing.T) {
	l := &ledger{}
	p := fakePower(l)
	hang := make(chan struct{})
	defer close(hang)
	var calls atomic.Int32
	p.Reboot = func(int) error {
		if calls.Add(1) == 1 {
			<-hang
		}
		return errors.New("no")
	}
	p.SysRq = func(c byte) error { l.note("sysrq %c", c); panic("driver") }
	var said []string
	p.Say = func(s string) { said = append(said, s); panic("console") }
	p.Do(plan.Reboot, time.Millisecond)
	if got, want := l.list(), []string{"sysrq s", "sysrq u", "sysrq b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(strings.Join(said, "\n"), "reboot(2) does not return") {
		t.Errorf("said %q", said)
	}
}

func TestQuiesce(t *testing.T) {
	for name, tt := range map[string]struct {
		umount error
		ro     error
		want   error
	}{
		"good":        {nil, nil, nil},
		"not mounted": {unix.EINVAL, nil, nil},
		"busy":        {unix.EBUSY, nil, nil},
		"very busy":   {unix.EBUSY, unix.EIO, unix.EIO},
		"error":       {unix.EPERM, nil, unix.EPERM},
	} {
		l := &ledger{}
		p := fakePower(l)
		p.Unmount = func(string, int) error { l.note("umount"); return tt.umount }
		p.Mount = func(_, _, _ string, flags uintptr, _ string) error {
			l.note("mount %#x", flags)
			return tt.ro
		}
		if err := p.Quiesce(t.Context(), "/mnt"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		want := []string{"sync", "umount"}
		if tt.umount == unix.EBUSY {
			want = append(want, "mount 0x21")
		}
		if got := l.list(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	p := fakePower(&ledger{})
	hang := make(chan struct{})
	defer close(hang)
	p.Sync = func(string) error { <-hang; return nil }
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	var s *StuckError
	if err := p.Quiesce(ctx, "/mnt"); !errors.As(err, &s) || s.What != "sync /mnt" {
		t.Errorf("sync hangs: %v", err)
	}
}

func TestLastResort(t *testing.T) {
	fired := make(chan int, 10)
	l := StartLastResort(time.Hour, func() { fired <- 1 })
	l.Reset(time.Millisecond)
	<-fired
	l.Reset(time.Nanosecond) // once is enough
	stopped := StartLastResort(time.Hour, func() { fired <- 2 })
	stopped.Stop()
	stopped.Reset(time.Nanosecond)
	stopped.run() // as if it had been under way
	third := StartLastResort(0, func() { fired <- 3 })
	if got := <-fired; got != 3 {
		t.Errorf("timer %d fired", got)
	}
	third.Stop()
}

// dog is a watchdog's hardware.
type dog struct {
	ledger
	timeout int
	err     error
	fed     chan struct{}
}

func (d *dog) Feed() error {
	d.note("feed")
	select {
	case d.fed <- struct{}{}:
	default:
	}
	return nil
}
func (d *dog) SetTimeout(s int) (int, error) { d.note("timeout %d", s); return d.timeout, d.err }
func (d *dog) Close(disarm bool) error       { d.note("close %v", disarm); return nil }

func TestWatchdog(t *testing.T) {
	d := &dog{timeout: 30, fed: make(chan struct{})}
	w, got := StartWatchdog(d, time.Hour)
	if got != 30*time.Second {
		t.Errorf("timeout %v", got)
	}
	<-d.fed
	w.Close(false)
	w.Close(true) // only the first counts
	calls := d.list()
	if calls[0] != "timeout 60" || !slices.Equal(calls[len(calls)-2:], []string{"feed", "close false"}) {
		t.Errorf("calls %q", calls)
	}

	// Without progress the hardware is not fed, and a disarm feeds no more.
	d = &dog{err: unix.EOPNOTSUPP, fed: make(chan struct{}, 1)}
	w = newWatchdog(d, time.Millisecond)
	w.Keep(-time.Second)
	go w.run()
	time.Sleep(20 * time.Millisecond)
	if slices.Contains(d.list(), "feed") {
		t.Error("fed without progress")
	}
	w.Keep(time.Hour)
	<-d.fed
	w.Keep(-1)
	w.Close(true)
	if calls := d.list(); calls[len(calls)-1] != "close true" {
		t.Errorf("calls %q", calls)
	}

	(*Watchdog)(nil).Keep(time.Second) // a machine without one
	(*Watchdog)(nil).Close(true)
}

func TestFeedEvery(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		0: 2 * time.Second, time.Second: time.Second, 15 * time.Second: 5 * time.Second, time.Hour: 10 * time.Second,
	} {
		if got := feedEvery(timeout); got != want {
			t.Errorf("%v: %v, want %v", timeout, got, want)
		}
	}
}
