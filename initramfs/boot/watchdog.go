package boot

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// watchdogPath is the first hardware watchdog.
const watchdogPath = "/dev/watchdog"

// WatchdogTimeout is what a hardware watchdog is asked for: long enough for a
// disk's own error recovery, short enough to be a deadline.
const WatchdogTimeout = 60 * time.Second

// WatchdogDevice is an open watchdog, as Documentation/watchdog/watchdog-api.rst
// describes it.
type WatchdogDevice interface {
	// Feed restarts the countdown.
	Feed() error
	// SetTimeout asks for a timeout in whole seconds and gives the one that
	// the hardware took; 0 when it does not tell.
	SetTimeout(seconds int) (int, error)
	// Close closes the device; with disarm the hardware is told to stop, which
	// some never do.
	Close(disarm bool) error
}

// Watchdog feeds a hardware watchdog as long as it is told that there is
// progress, and then no longer: what hangs is reset by the hardware.
type Watchdog struct {
	dev      WatchdogDevice
	every    time.Duration
	start    time.Time
	until    atomic.Int64 // ns after start, which no change of the clock moves
	stop     chan struct{}
	stopped  chan struct{}
	disarmed atomic.Bool
}

// OpenWatchdog opens /dev/watchdog, which starts it. The error is
// [os.ErrNotExist] when the machine has none.
func OpenWatchdog() (WatchdogDevice, error) {
	f, err := os.OpenFile(watchdogPath, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return watchdogFile{f}, nil
}

// StartWatchdog sets dev's timeout and feeds it from a goroutine for the first
// keep of time; see [Watchdog.Keep]. It gives the timeout that is in force, 0 if
// unknown.
func StartWatchdog(dev WatchdogDevice, keep time.Duration) (*Watchdog, time.Duration) {
	seconds, err := dev.SetTimeout(int(WatchdogTimeout / time.Second))
	timeout := time.Duration(seconds) * time.Second
	if err != nil || seconds <= 0 {
		timeout = 0
	}
	w := newWatchdog(dev, feedEvery(timeout))
	w.Keep(keep)
	go w.run()
	return w, timeout
}

// feedEvery is a third of the timeout, 1 s to 10 s; 2 s if it is not known.
func feedEvery(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return 2 * time.Second
	}
	return min(max(timeout/3, time.Second), 10*time.Second)
}

func newWatchdog(dev WatchdogDevice, every time.Duration) *Watchdog {
	return &Watchdog{dev: dev, every: every, start: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// Keep says that there is progress and that the next sign of it comes within
// d: so long the hardware is fed. Later calls move the end, both ways.
func (w *Watchdog) Keep(d time.Duration) {
	if w != nil {
		w.until.Store(int64(time.Since(w.start) + d))
	}
}

// Close ends the feeding. With disarm the hardware is stopped, for a machine
// that is to stay powered down or halted; without, it goes on counting, which
// resets a machine whose reboot hangs. Only the first call counts.
func (w *Watchdog) Close(disarm bool) {
	if w == nil || !w.disarmed.CompareAndSwap(false, true) {
		return
	}
	close(w.stop)
	<-w.stopped
	if !disarm {
		_ = w.dev.Feed() // a full countdown for the reboot
	}
	_ = w.dev.Close(disarm)
}

func (w *Watchdog) run() {
	defer close(w.stopped)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		if int64(time.Since(w.start)) < w.until.Load() {
			_ = w.dev.Feed()
		}
		select {
		case <-tick.C:
		case <-w.stop:
			return
		}
	}
}

// watchdogFile is /dev/watchdog.
type watchdogFile struct{ f *os.File }

// Feed writes anything but 'V', the magic character.
func (w watchdogFile) Feed() error {
	_, err := w.f.Write([]byte{0})
	return err
}

func (w watchdogFile) SetTimeout(seconds int) (int, error) {
	defer runtime.KeepAlive(w.f)
	fd := int(w.f.Fd())
	setErr := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, seconds)
	got, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return 0, errors.Join(setErr, fmt.Errorf("watchdog: get the timeout: %w", err))
	}
	return got, nil // what it has counts, whether or not it could be set
}

func (w watchdogFile) Close(disarm bool) error {
	var err error
	if disarm {
		_, err = w.f.Write([]byte{'V'})
	}
	return errors.Join(err, w.f.Close())
}
