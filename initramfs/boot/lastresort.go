package boot

import (
	"sync"
	"time"
)

// LastResort is a timer that nothing but itself can stop from firing: it is
// started before anything that may hang, and moved as the plan's deadlines
// become known.
type LastResort struct {
	mu    sync.Mutex
	timer *time.Timer
	fire  func()
	done  bool
}

// StartLastResort calls fire, in a goroutine of its own, after d.
func StartLastResort(d time.Duration, fire func()) *LastResort {
	l := &LastResort{fire: fire}
	l.timer = time.AfterFunc(d, l.run)
	return l
}

// Reset makes it fire d from now instead. Once fired it stays fired.
func (l *LastResort) Reset(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.timer.Reset(d)
	}
}

// Stop takes it back; only for a machine that is to stay halted.
func (l *LastResort) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	l.timer.Stop()
}

func (l *LastResort) run() {
	l.mu.Lock()
	if l.done {
		l.mu.Unlock()
		return
	}
	l.done = true
	l.mu.Unlock()
	// A panic here would end PID 1, and with it the kernel, which then
	// restarts by panic=: the second best of all ends, but not a silent one.
	l.fire()
}
