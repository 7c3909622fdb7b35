package sshtarget

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"golang.org/x/crypto/ssh"
)

// catFile is a File of a catDir: a stream into a shell's cat.
type catFile struct {
	dir  *catDir
	name string
	path string // of NAME.incomplete

	mu        sync.Mutex // over all below
	conn      *conn
	session   *ssh.Session
	stdin     io.WriteCloser
	stderr    little
	ended     chan error // gets what the session came to
	held      *bufio.Writer
	sum       hash.Hash
	size      int64 // written, held or sent
	err       error // that ended the stream
	closed    bool
	committed string
	proof     string
}

var _ target.Prover = (*catFile)(nil)

// heldBytes is how much is gathered before it is sent: records are small.
const heldBytes = 256 << 10

// start starts the shell on c and waits for its word.
func (f *catFile) start(c *conn, text string) error {
	s, err := c.ssh.NewSession()
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	f.stderr.Reset()
	s.Stderr = &f.stderr
	stdin, err := s.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.Start(script(text)); err != nil {
		s.Close()
		return err
	}
	if !follows(stdout, "ready\n") {
		stdin.Close()
		err := failure(s.Wait(), &f.stderr)
		if err == nil {
			err = errors.New("the shell there did not say that it is ready")
		}
		return err
	}
	go io.Copy(io.Discard, stdout)
	f.conn, f.session, f.stdin, f.ended = c, s, stdin, make(chan error, 1)
	go func() { f.ended <- s.Wait() }()
	f.held = bufio.NewWriterSize(sender{f}, heldBytes)
	return nil
}

// follows tells whether word follows the mark, within what is bounded.
func follows(r io.Reader, word string) bool {
	in := bufio.NewReader(io.LimitReader(r, 64<<10))
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.HasSuffix(line, mark+"\n") {
			next, _ := in.ReadString('\n')
			return next == word
		}
	}
}

// sender sends, bounded in time.
type sender struct{ f *catFile }

func (s sender) Write(p []byte) (n int, err error) {
	f := s.f
	err = f.conn.within(f.dir.link.cfg.Timeout+moving(len(p)), func() error {
		n, err = f.stdin.Write(p)
		return err
	})
	return n, err
}

// fail ends the stream. Why the shell there ended tells more than that it did.
func (f *catFile) fail(err error) error {
	if f.err != nil {
		return f.err
	}
	f.stdin.Close()
	select {
	case end := <-f.ended:
		if why := failure(end, &f.stderr); why != nil && !isLost(why) {
			err = why
		}
	case <-time.After(f.dir.link.cfg.Timeout):
	}
	if isLost(err) {
		f.dir.link.drop(f.conn, err)
	}
	f.err = fmt.Errorf("write %s, %d bytes: %w", f.path, f.size, err)
	return f.err
}

// Write implements [target.File].
func (f *catFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(p)
}

func (f *catFile) write(p []byte) (int, error) {
	if f.closed {
		return 0, f.refuse("write", fs.ErrClosed)
	}
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.held.Write(p)
	f.sum.Write(p[:n])
	f.size += int64(n)
	if err != nil {
		return n, f.fail(err)
	}
	return n, nil
}

// WriteAt writes at the end only.
func (f *catFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && off != f.size {
		return 0, f.refuse(fmt.Sprintf("write at %d of %d bytes", off, f.size), errors.ErrUnsupported)
	}
	return f.write(p)
}

// ReadAt always fails.
func (f *catFile) ReadAt([]byte, int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.refuse("read", fs.ErrClosed)
	}
	return 0, f.refuse("read", errors.ErrUnsupported)
}

// Truncate takes the present size only.
func (f *catFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return f.refuse("truncate", fs.ErrClosed)
	case size != f.size:
		return f.refuse(fmt.Sprintf("truncate %d bytes to %d", f.size, size), errors.ErrUnsupported)
	}
	return nil
}

// Sync sends what is held back. Only Commit makes it durable.
func (f *catFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.refuse("sync", fs.ErrClosed)
	}
	return f.flush()
}

func (f *catFile) flush() error {
	if f.err != nil {
		return f.err
	}
	if err := f.held.Flush(); err != nil {
		return f.fail(err)
	}
	return nil
}

func (f *catFile) refuse(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

// Abandon implements [target.File].
func (f *catFile) Abandon() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	return f.end()
}

// end ends the stream and waits for the shell.
func (f *catFile) end() error {
	f.closed = true
	if err := f.flush(); err != nil {
		return err
	}
	err := f.conn.within(f.dir.link.cfg.Timeout+moving(heldBytes), func() error {
		f.stdin.Close()
		return failure(<-f.ended, &f.stderr)
	})
	if err == nil {
		return nil
	}
	if isLost(err) {
		f.dir.link.drop(f.conn, err)
	}
	f.err = fmt.Errorf("write %s, %d bytes: %w", f.path, f.size, err)
	return f.err
}

// Commit implements [target.File].
func (f *catFile) Commit() error { return f.CommitAs(f.name) }

// CommitAs implements [target.File]. The server counts what it has and, where it
// has sha256sum(1), reads it back.
func (f *catFile) CommitAs(name string) error {
	if err := target.CheckName(name); err != nil {
		return fmt.Errorf("commit as %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.refuse("commit", fs.ErrClosed)
	}
	if err := f.end(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := f.prove(); err != nil {
		return fmt.Errorf("commit: %s: %w", f.path, err)
	}
	// link(2) never replaces; some file systems do not have it.
	from, to := shellPath(f.path), shellPath(path.Join(f.dir.path, name))
	_, err := f.dir.link.run("commit", fmt.Sprintf(`if [ -e %[2]s ] || [ -L %[2]s ]; then exit %[4]d; fi
if ln %[1]s %[2]s 2>/dev/null; then rm -f %[1]s; else mv %[1]s %[2]s; fi || exit
sync %[3]s 2>/dev/null || sync`, from, to, shellPath(f.dir.path), exists), f.settle())
	if err != nil {
		return fmt.Errorf("commit: rename %s to %s: %w", f.path, name, err)
	}
	f.committed = name
	return nil
}

// settle is how much longer than an answer the server may take to read all of the
// file, or to bring it to its disk.
func (f *catFile) settle() time.Duration {
	const rate = 16 << 20 // bytes per second
	return time.Duration(f.size/rate) * time.Second
}

// prove syncs the file and compares it with what was written.
func (f *catFile) prove() error {
	p := shellPath(f.path)
	out, err := f.dir.link.run("check", fmt.Sprintf(`sync %[1]s 2>/dev/null || sync
wc -c <%[1]s || exit
if command -v sha256sum >/dev/null; then sha256sum <%[1]s; else echo unknown; fi`, p), f.settle())
	if err != nil {
		return err
	}
	words := strings.Fields(out)
	if len(words) < 2 || words[0] != fmt.Sprint(f.size) {
		return fmt.Errorf("%d bytes were sent, the server says %q", f.size, out)
	}
	if words[1] == "unknown" {
		f.proof = "the size of the file on the server, which has no sha256sum"
		return nil
	}
	if want := hex.EncodeToString(f.sum.Sum(nil)); words[1] != want {
		return fmt.Errorf("its SHA-256 on the server is %s, that of what was sent %s", words[1], want)
	}
	f.proof = "the SHA-256 of the file on the server"
	return nil
}

// Proof implements [target.Prover].
func (f *catFile) Proof() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proof
}

// Size implements [target.File].
func (f *catFile) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Name implements [target.File].
func (f *catFile) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.committed != "" {
		return f.committed
	}
	return f.name + target.Incomplete
}
