// Package dmesg reads the log of a crashed kernel from its memory.
//
// It owns the three layouts that the log has had: the lockless printk_ringbuffer
// (5.10 and later), the buffer of records (3.5 to 5.9) and the plain ring of
// bytes before. It needs address translation only, never struct pages, so that
// no trouble with the memory map costs the log; and it never holds more than
// a few hundred KiB of it: the log stays in the dump and is walked twice, once
// by [Read] to judge it, once for each use.
//
// Every number that comes from memory is checked before use. A record that is
// torn, overwritten or unreadable is left out and counted, the good ones stay.
//
// Facts: kernel/printk/printk_ringbuffer.{c,h} (5.10 to 7.2), kernel/printk/printk.c
// (3.5 to 5.9), kernel/printk.c (before), and the keys which log_buf_vmcoreinfo_setup
// puts into VMCOREINFO; all offsets and sizes are taken from there.
package dmesg

import (
	"errors"
	"fmt"
	"iter"

	"github.com/gokdump/gokdump/capture/kernel"
)

// ErrNoLog is wrapped by the error of [Read] when VMCOREINFO names no log of
// any known layout, as with a kernel built without CONFIG_PRINTK.
var ErrNoLog = errors.New("VMCOREINFO describes no kernel log")

// Record is one message. Text is only good until the next record is taken.
type Record struct {
	Seq      uint64 // number of the record; counted from 0 where the kernel's is not in memory
	TimeNS   uint64 // nanoseconds since boot; 0 when not Timed
	Timed    bool   // false only in a byte ring, for a line without a time
	Facility uint8  // syslog facility, 0 is the kernel
	Level    uint8  // syslog level 0 (emergency) to 7 (debug)
	HasLevel bool   // false where the layout does not tell level and facility
	Caller   uint32 // task id, or CPU number with the top bit set; 0 if not recorded
	Text     []byte // the message as the kernel stored it, without its last newline
}

// Log is the kernel log of one crashed kernel. It keeps the memory it was read
// from, and is used by one goroutine at a time.
type Log struct {
	// Warnings tells what could not be read, one line for each kind of damage.
	Warnings []string
	// Layout is "printk_ringbuffer", "records" or "bytes".
	Layout string
	// Count is the number of good records.
	Count int
	// Callers makes [Log.WriteText] write the caller of each record. Read sets it
	// where the kernel was evidently built to show it (CONFIG_PRINTK_CALLER), which
	// only the layout of 5.1 to 5.9 tells: from 5.10 on, every kernel records the
	// caller and nothing says whether it showed it, so there the choice is free.
	Callers bool
	// Panic is the last line that tells of a panic, Oops the last one before it
	// that tells its cause (BUG, Oops, general protection fault); "" if none.
	// Both are at most 1000 bytes and escaped as in [Log.WriteText].
	Panic, Oops string

	mem  memory
	ring walker
}

// memory is the kernel's virtual memory; *kernel.Space is one.
type memory interface {
	ReadVirt(p []byte, va uint64) error
}

// walker gives the records of one layout, oldest first, until yield says false.
type walker interface {
	walk(mem memory, bad *tally, yield func(*Record) bool)
}

// Read finds the log that info describes in s and checks it from end to end.
// It returns an error only if no log can be found at all: no keys (it then
// wraps [ErrNoLog]), or a head that is unreadable or absurd.
func Read(info *kernel.Info, s *kernel.Space) (*Log, error) {
	return read(info, s)
}

func read(info *kernel.Info, mem memory) (*Log, error) {
	l := &Log{mem: mem}
	var err error
	var note string
	switch f := (fields{info: info}); {
	case f.has("prb"), f.has("printk_rb_static"):
		l.Layout = "printk_ringbuffer"
		l.ring, note, err = findRingbuffer(info, mem)
	case f.has("log_buf") && f.has("log_first_idx"):
		l.Layout = "records"
		_, l.Callers = info.Offset("printk_log.caller_id")
		l.ring, err = newRecords(&f, mem)
	case f.has("log_buf") && f.has("log_end"):
		l.Layout = "bytes"
		l.ring, err = newByteRing(&f, mem)
	default:
		err = ErrNoLog
	}
	if err != nil {
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	var bad tally
	l.ring.walk(mem, &bad, func(r *Record) bool {
		l.Count++
		l.noteCause(r.Text)
		return true
	})
	l.Warnings = bad.lines()
	if note != "" {
		l.Warnings = append([]string{note}, l.Warnings...)
	}
	return l, nil
}

// Records gives the good records, oldest first. The text of one is overwritten
// by the next.
func (l *Log) Records() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		l.ring.walk(l.mem, new(tally), yield)
	}
}
