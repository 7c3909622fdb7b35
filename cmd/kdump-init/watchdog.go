package main

import (
	"errors"
	"os"
	"time"

	"github.com/gokdump/gokdump/initramfs/boot"
)

// findWatchdog opens the hardware watchdog if there is one by now. Another
// error than that there is none is told once, and is the last try.
func (s *supervisor) findWatchdog(keep time.Duration) {
	dev, err := s.openWatchdog()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		s.dogGone = true
		s.log.Warnf("no hardware watchdog: %v", err)
		return
	}
	dog, timeout := boot.StartWatchdog(dev, keep)
	s.dog = dog
	if timeout == 0 {
		s.log.Infof("hardware watchdog: running, with a timeout that it does not tell")
		return
	}
	s.log.Infof("hardware watchdog: running, with a timeout of %v", timeout)
}
