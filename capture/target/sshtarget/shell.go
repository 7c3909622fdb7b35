package sshtarget

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// exists is the status with which a script says that a name is taken. Shells use
// 126 and more for themselves.
const exists = 117

// mark is what every script prints first: what comes before is of the files with
// which the user's own shell begins.
const mark = "gokdump-begins"

// script makes a command of a POSIX shell script, whatever the user's own shell
// is. Messages are asked for in English, to be understood here.
func script(text string) string {
	return "LC_ALL=C exec sh -c " + quote("umask 077\necho "+mark+"\n"+text)
}

// quote makes one word of s for any shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// run runs a script that may take extra longer than an answer, and gives what it
// prints.
func (l *link) run(op, text string, extra time.Duration) (out string, err error) {
	err = l.do(op, extra, func(c *conn) error {
		s, err := c.ssh.NewSession()
		if err != nil {
			return fmt.Errorf("session: %w", err)
		}
		defer s.Close()
		var stdout, stderr little
		s.Stdout, s.Stderr = &stdout, &stderr
		if err := failure(s.Run(script(text)), &stderr); err != nil {
			return err
		}
		var found bool
		if _, out, found = strings.Cut(stdout.String(), mark+"\n"); !found {
			return fmt.Errorf("the shell there says %.200q", stdout.String())
		}
		return nil
	})
	return out, err
}

// failure is why a script failed.
func failure(err error, stderr *little) error {
	var status *ssh.ExitError
	var missing *ssh.ExitMissingError
	text := strings.TrimSpace(stderr.String())
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing): // killed, or the connection is gone
		return fmt.Errorf("%w: %w", errEnded, err)
	case !errors.As(err, &status):
		return err
	case status.ExitStatus() == exists:
		return fs.ErrExist
	}
	if text == "" {
		text = "no message"
	}
	for message, errno := range map[string]syscall.Errno{
		"No space left on device": syscall.ENOSPC,
		"Disk quota exceeded":     syscall.EDQUOT,
		"File too large":          syscall.EFBIG,
		"Read-only file system":   syscall.EROFS,
		"Permission denied":       syscall.EACCES,
		"Input/output error":      syscall.EIO,
	} {
		if strings.Contains(text, message) {
			return fmt.Errorf("%w (status %d: %s)", errno, status.ExitStatus(), text)
		}
	}
	return fmt.Errorf("status %d: %s", status.ExitStatus(), text)
}

// little keeps the first 64 KiB of what is written to it.
type little struct{ bytes.Buffer }

func (b *little) Write(p []byte) (int, error) {
	const most = 64 << 10
	b.Buffer.Write(p[:min(len(p), max(0, most-b.Len()))])
	return len(p), nil
}
