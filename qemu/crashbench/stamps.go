package main

import (
	"bytes"
	"time"
)

// Marks on the console of a machine that crashes, in their order: where what is the
// same for all crash images ends.
var marks = [...]string{
	"Kernel panic - not syncing: sysrq triggered crash",
	"Linux version ",            // the crash kernel is unpacked and runs
	"Run /init as init process", // so does the image
	"reboot: Restarting system", // all is done but the reset
	"reboot: machine restart",   // behind the drivers' shutdown
}

// stamps is what a console is written to; it notes when it first showed each mark
// behind the one before.
type stamps struct {
	at   [len(marks)]time.Time
	next int
	tail []byte
}

func (s *stamps) Write(p []byte) (int, error) {
	s.tail = append(s.tail, p...)
	for s.next < len(marks) {
		i := bytes.Index(s.tail, []byte(marks[s.next]))
		if i < 0 {
			break
		}
		s.tail = s.tail[i+len(marks[s.next]):]
		s.at[s.next] = time.Now()
		s.next++
	}
	if n := len(s.tail) - 128; n > 0 {
		s.tail = append(s.tail[:0], s.tail[n:]...)
	}
	return len(p), nil
}

// since is the time from the panic to a mark; 0 when it was not seen.
func (s *stamps) since(mark int) time.Duration {
	if s.next <= mark {
		return 0
	}
	return s.at[mark].Sub(s.at[0])
}
