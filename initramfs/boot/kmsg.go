package boot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Paths of the running kernel's log.
const (
	kmsgPath   = "/dev/kmsg"
	printkPath = "/proc/sys/kernel/printk"
	devkmsg    = "/proc/sys/kernel/printk_devkmsg"
)

// MaxKmsg bounds what [ReadKmsg] gives, in bytes: the kernel's buffer is rarely
// larger, and an absurd one must not cost the capture its memory.
const MaxKmsg = 1 << 20

// OpenKmsg opens the kernel's log for writing and takes away the limit on how
// fast user space may write (kernel.printk_devkmsg), as far as the kernel
// allows. consoleLevel is for [NewLog].
func OpenKmsg() (f *os.File, consoleLevel int, err error) {
	_ = os.WriteFile(devkmsg, []byte("on\n"), 0) // refused when the command line sets it
	if b, err := os.ReadFile(printkPath); err == nil {
		consoleLevel = parsePrintk(b)
	}
	f, err = os.OpenFile(kmsgPath, os.O_WRONLY, 0)
	return f, consoleLevel, err
}

// parsePrintk gives the console level out of /proc/sys/kernel/printk; 0, at
// which the kernel prints nothing, for anything else.
func parsePrintk(b []byte) int {
	f := strings.Fields(string(b))
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.Atoi(f[0])
	if err != nil {
		return 0
	}
	return n
}

// Kmsg reads the running kernel's log; see [ReadKmsg].
func Kmsg() ([]byte, error) {
	// Not os.Open: its poller would wait for records yet to come.
	fd, err := unix.Open(kmsgPath, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: kmsgPath, Err: err}
	}
	defer unix.Close(fd)
	return ReadKmsg(func(p []byte) (int, error) { return unix.Read(fd, p) })
}

// CaptureLog gives the text of capture.log: this log's own lines, then what kmsg,
// mostly [Kmsg], gives of the running kernel's log.
func (l *Log) CaptureLog(kmsg func() ([]byte, error)) []byte {
	out := append([]byte("== kdump-init ==\n"), l.Own()...)
	out = append(out, "\n== the capture kernel's log ==\n"...)
	b, err := kmsg()
	out = append(out, b...)
	if err != nil {
		out = fmt.Appendf(out, "(%v)\n", err)
	}
	return out
}

// ReadKmsg reads records until there are no more, as lines like dmesg(1) shows
// them, the last [MaxKmsg] bytes. read is read(2) of a /dev/kmsg that does not
// block: one record per call, EAGAIN at the end, EPIPE where records were
// overwritten.
func ReadKmsg(read func([]byte) (int, error)) ([]byte, error) {
	var out []byte
	buf := make([]byte, 8192) // CONSOLE_EXT_LOG_MAX
	for lost := 0; ; {
		n, err := read(buf)
		switch {
		case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
			return out, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE) && lost < 1000:
			lost++
			continue
		case err != nil:
			return out, fmt.Errorf("read the kernel log: %w", err)
		case n < 0 || n > len(buf):
			return out, fmt.Errorf("read the kernel log: %d bytes of at most %d", n, len(buf))
		}
		out = appendRecord(out, buf[:n])
		if len(out) > 2*MaxKmsg {
			out = append(out[:0], out[len(out)-MaxKmsg:]...)
		}
	}
}

// appendRecord turns "prio,sequence,microseconds,flags;text\n KEY=value\n" into
// "[seconds] text\n". What does not look like that is taken as it is.
func appendRecord(out, rec []byte) []byte {
	head, text, ok := bytes.Cut(rec, []byte(";"))
	if !ok {
		return append(append(out, bytes.TrimRight(rec, "\n")...), '\n')
	}
	text, _, _ = bytes.Cut(text, []byte("\n")) // the rest is the dictionary
	f := bytes.Split(head, []byte(","))
	if len(f) >= 3 {
		if us, err := strconv.ParseUint(string(f[2]), 10, 64); err == nil {
			out = fmt.Appendf(out, "[%5d.%06d] ", us/1e6, us%1e6)
		}
	}
	return append(append(out, text...), '\n')
}
