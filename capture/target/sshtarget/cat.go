package sshtarget

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gokdump/gokdump/capture/target"
)

// catDir is a directory that a shell reaches.
type catDir struct {
	link   *link
	path   string
	closed atomic.Bool
}

var (
	_ target.Sequential = (*catDir)(nil)
	_ target.Warner     = (*catDir)(nil)
)

// shellPath is a path that no command takes for an option.
func shellPath(p string) string {
	if strings.HasPrefix(p, "-") {
		p = "./" + p
	}
	return quote(p)
}

func newCatDir(l *link, where string) (*catDir, error) {
	d := &catDir{link: l, path: path.Clean(where)}
	_, err := l.run("make directory "+d.path, "mkdir -p "+shellPath(d.path), 0)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Sequential is true.
func (d *catDir) Sequential() bool { return true }

// String is an address as ssh(1) takes it.
func (d *catDir) String() string { return fmt.Sprintf("ssh://%s/%s", d.link, d.path) }

// Warnings implements [target.Warner].
func (d *catDir) Warnings() []string { return d.link.warnings() }

// Free is what df(1) calls available.
func (d *catDir) Free() (uint64, error) {
	out, err := d.link.run("free space", "df -Pk "+shellPath(d.path), 0)
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	words := strings.Fields(lines[len(lines)-1]) // device, blocks, used, available, percent, mount point
	if len(words) < 6 {
		return 0, fmt.Errorf("free space: df says %q", out)
	}
	n, err := strconv.ParseUint(words[3], 10, 53)
	if err != nil {
		return 0, fmt.Errorf("free space: df says %q: %w", out, err)
	}
	return n << 10, nil
}

// Sub makes a directory with mode 0700.
func (d *catDir) Sub(name string) (target.Target, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("make directory %w", err)
	}
	sub := &catDir{link: d.link, path: path.Join(d.path, name)}
	p := shellPath(sub.path)
	_, err := d.link.run("make directory "+sub.path, fmt.Sprintf(
		"[ ! -e %[1]s ] && [ ! -L %[1]s ] || exit %[2]d\nmkdir %[1]s", p, exists), 0)
	if err != nil {
		return nil, err
	}
	d.link.hold()
	return sub, nil
}

// Create starts a shell that takes what is written.
func (d *catDir) Create(name string) (target.File, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	f := &catFile{dir: d, name: name, path: path.Join(d.path, name+target.Incomplete), sum: sha256.New()}
	// With -C the shell opens with O_EXCL. A word on stdout says that it is so
	// far, before anything is sent.
	text := fmt.Sprintf(`set -C
[ ! -e %[1]s ] && [ ! -L %[1]s ] || exit %[3]d
(: >%[2]s) || { [ -e %[2]s ] && exit %[3]d; exit 1; }
echo ready
exec cat >>%[2]s`, shellPath(path.Join(d.path, name)), shellPath(f.path), exists)
	if err := d.link.do("create "+f.path, 0, func(c *conn) error { return f.start(c, text) }); err != nil {
		return nil, err
	}
	return f, nil
}

// Close ends the connection when it is the last directory's.
func (d *catDir) Close() error {
	if d.closed.CompareAndSwap(false, true) {
		d.link.release()
	}
	return nil
}
