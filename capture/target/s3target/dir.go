package s3target

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gokdump/gokdump/capture/target"
)

// dir is a prefix of keys.
type dir struct {
	c      *client
	prefix string // "" or with a slash at its end
	names  *names
	closed atomic.Bool
}

var _ target.Warner = (*dir)(nil)

// names are the keys that are being written: the store does not know them yet.
type names struct {
	mu sync.Mutex
	in map[string]bool
}

func newNames() *names { return &names{in: map[string]bool{}} }

// take tells whether a key was free.
func (n *names) take(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.in[key] {
		return false
	}
	n.in[key] = true
	return true
}

func (n *names) drop(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.in, key)
}

// String is an address as most tools take it, with the store's own before it.
func (d *dir) String() string {
	if d.c.cfg.Presigned != nil {
		return "presigned URLs: "
	}
	return fmt.Sprintf("%s s3://%s/%s", d.c.cfg.Endpoint, d.c.cfg.Bucket, d.prefix)
}

// Free is not known: a store has no end, and no word for its quotas.
func (d *dir) Free() (uint64, error) {
	return 0, fmt.Errorf("free space of %s: %w", d, errors.ErrUnsupported)
}

func (d *dir) errorf(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errTaken) {
		err = fmt.Errorf("%w (%w)", fs.ErrExist, err)
	}
	if errors.Is(err, errDenied) {
		err = fmt.Errorf("%w (%w)", fs.ErrPermission, err)
	}
	return &fs.PathError{Op: op, Path: d.String() + name, Err: err}
}

// Create starts an object. Nothing of it is to be seen until it is committed.
func (d *dir) Create(name string) (target.File, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	key := d.prefix + name
	if !d.names.take(key) {
		return nil, d.errorf("create", name, fs.ErrExist)
	}
	// Found now rather than at the end of a long dump. Who may only write is not
	// told; the store refuses to replace in the end.
	for _, at := range []string{key, key + target.Incomplete} {
		if _, err := d.c.head(at); err == nil || !errors.Is(err, errNotFound) && !errors.Is(err, errDenied) {
			d.names.drop(key)
			if err == nil {
				err = fs.ErrExist
			}
			return nil, d.errorf("create", name, err)
		}
	}
	return newFile(d, name), nil
}

// Sub makes a prefix, which an empty object stands for: nobody else gets the same.
func (d *dir) Sub(name string) (target.Target, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("make directory %w", err)
	}
	if d.c.cfg.Presigned != nil { // who made the URLs chose the keys
		d.c.refs.Add(1)
		return &dir{c: d.c, names: d.names}, nil
	}
	sub := &dir{c: d.c, prefix: d.prefix + name + "/", names: d.names}
	// Some stores take directories for something else, and do not look.
	if _, err := d.c.head(sub.prefix); err == nil {
		return nil, d.errorf("make directory", name, fs.ErrExist)
	}
	if err := d.c.mark(sub.prefix, true); err != nil {
		return nil, d.errorf("make directory", name, err)
	}
	d.c.refs.Add(1)
	return sub, nil
}

// Warnings implements [target.Warner].
func (d *dir) Warnings() []string {
	d.c.warnMu.Lock()
	defer d.c.warnMu.Unlock()
	return slices.Clone(d.c.warnings)
}

func (c *client) warn(format string, a ...any) {
	c.warnMu.Lock()
	defer c.warnMu.Unlock()
	c.warnings = append(c.warnings, fmt.Sprintf(format, a...))
}

// Close gives the connections back when it is the last directory's.
func (d *dir) Close() error {
	if d.closed.CompareAndSwap(false, true) && d.c.refs.Add(-1) < 0 {
		d.c.end(net.ErrClosed)
		d.c.http.CloseIdleConnections()
	}
	return nil
}
