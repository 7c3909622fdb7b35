package blkid

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// ErrNotFound is wrapped by [Finder.Find]'s error when no device fits (yet).
var ErrNotFound = errors.New("no such block device")

// ErrAmbiguous is wrapped by [Finder.Find]'s error when several devices fit.
var ErrAmbiguous = errors.New("several block devices fit")

// Pending says why a device cannot be put together yet. It wraps
// [ErrNotFound]: looking again may help.
type Pending struct {
	Layer plan.Layer
	Err   error
}

// Error names the layer and what is missing.
func (p *Pending) Error() string { return fmt.Sprintf("%s: %v", p.Layer, p.Err) }

// Unwrap gives what is missing, and [ErrNotFound].
func (p *Pending) Unwrap() []error { return []error{p.Err, ErrNotFound} }

// DefaultTimeout is how long one device may take to answer a probe.
const DefaultTimeout = 3 * time.Second

// Finder looks for a plan's device among those that the kernel shows. The zero
// value looks at the running system. A Finder remembers what it has recognised
// and which devices do not answer, so that asking again is cheap; it is for one
// goroutine.
type Finder struct {
	// Sys is the directory of block devices; "" means /sys/class/block.
	Sys string
	// Dev is the directory of device nodes; "" means /dev.
	Dev string
	// Timeout bounds the probe of one device; 0 means [DefaultTimeout]. A
	// device that takes longer stays a goroutine's business and is listed as
	// not answering until it does.
	Timeout time.Duration

	probe   func(path string, size int64) ([]Info, error) // for tests
	known   map[string]Seen
	pending map[string]<-chan Seen
}

// Find looks once. It gives the path of the one device that d names and, always,
// what was seen on the way. It waits for nothing but slow devices.
//
// UUIDs are compared without regard to case, all else exactly. When several
// devices show the same file system, those that another device is built on
// (they have holders in sysfs) step back, then a whole disk before a partition
// of its own: that happens when the partition starts at the first sector, and
// the partition is what by-uuid links mean. What is left must be one device:
// else the error wraps [ErrAmbiguous] and names them. With none the error wraps
// [ErrNotFound]. A ctx that ends stops the search with its error.
func (f *Finder) Find(ctx context.Context, d plan.Device) (string, []Seen, error) {
	seen, err := f.List(ctx)
	if err != nil {
		return "", seen, err
	}
	if d.By == plan.ByPath {
		return f.byPath(d, seen)
	}
	all := map[string]Seen{}
	for _, s := range seen {
		all[s.Name] = s
	}
	var match []Seen
	for _, s := range seen {
		if s.fits(d, all) {
			match = append(match, s)
		}
	}
	match = prefer(match)
	switch len(match) {
	case 0:
		return "", seen, fmt.Errorf("find %s: %w", d, ErrNotFound)
	case 1:
		return match[0].Path, seen, nil
	}
	names := make([]string, len(match))
	for i, s := range match {
		names[i] = s.Path
	}
	return "", seen, fmt.Errorf("find %s: %w: %s", d, ErrAmbiguous, strings.Join(names, ", "))
}

// byPath takes the device by the kernel's own name, whatever it holds.
func (f *Finder) byPath(d plan.Device, seen []Seen) (string, []Seen, error) {
	want := filepath.Join(f.dev(), strings.TrimPrefix(d.Value, "/dev/"))
	for _, s := range seen {
		if s.Path != want {
			continue
		}
		if s.Size == 0 {
			return "", seen, fmt.Errorf("find %s: no medium in it: %w", d, ErrNotFound)
		}
		return s.Path, seen, nil
	}
	return "", seen, fmt.Errorf("find %s: %w", d, ErrNotFound)
}

// prefer leaves out devices that others in the list stand for; see [Finder.Find].
func prefer(match []Seen) []Seen {
	match = slices.DeleteFunc(slices.Clone(match), func(s Seen) bool {
		return slices.ContainsFunc(match, func(o Seen) bool { return slices.Contains(s.Holders, o.Name) })
	})
	return slices.DeleteFunc(slices.Clone(match), func(s Seen) bool {
		return slices.ContainsFunc(match, func(o Seen) bool { return o.Disk == s.Name })
	})
}
