package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/raw"
	"github.com/gokdump/gokdump/initramfs"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"github.com/gokdump/gokdump/initramfs/hostnet"
	"github.com/gokdump/gokdump/initramfs/modules"
	"golang.org/x/sys/unix"
)

// machine is the one that the image is for.
type machine struct {
	root    fs.FS
	dir     string // of root
	release string
	name    string
	unnamed bool // nothing told the name
	// running is the running kernel's release when the image is for this host, and
	// empty when it is for another.
	running     string
	reservation int64 // bytes; 0 is not known
	notes       []string
	// net is what the plan's network was made of, once that is known; see network.
	net *hostnet.Network
}

func newMachine(f *flags) (*machine, error) {
	dir, err := filepath.Abs(f.root)
	if err != nil {
		return nil, err
	}
	m := &machine{dir: dir, release: f.kernel, name: f.host}
	if dir == "/" {
		m.root = os.DirFS("/")
		if err := m.lookAround(); err != nil {
			return nil, err
		}
	} else {
		r, err := os.OpenRoot(dir) // links in it must not lead out of it
		if err != nil {
			return nil, fmt.Errorf("--root: %w", err)
		}
		m.root = r.FS()
	}
	if m.release == "" {
		if m.release, err = onlyRelease(m); err != nil {
			return nil, err
		}
	}
	if m.name == "" {
		m.name, m.unnamed = "localhost", true
		if b, err := fs.ReadFile(m.root, "etc/hostname"); err == nil && len(strings.Fields(string(b))) > 0 {
			m.name, m.unnamed = strings.Fields(string(b))[0], false
		}
	}
	if f.reservation != "" {
		if m.reservation, err = parseSize(f.reservation); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// lookAround asks the running kernel who it is and what it reserves.
func (m *machine) lookAround() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	m.running = unix.ByteSliceToString(u.Release[:])
	if m.release == "" {
		m.release = m.running
	}
	if n := unix.ByteSliceToString(u.Nodename[:]); m.name == "" && n != "" && n != "(none)" {
		m.name = n
	}
	// The first name is new in Linux 6.19 (Documentation/ABI/testing/sysfs-kernel-kexec-kdump).
	for _, name := range []string{"/sys/kernel/kexec/crash_size", "/sys/kernel/kexec_crash_size"} {
		if b, err := os.ReadFile(name); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				m.reservation = n
				break
			}
		}
	}
	return nil
}

// onlyRelease picks the kernel of another root when there is just one.
func onlyRelease(m *machine) (string, error) {
	switch found := modules.Releases(m.root); len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", withHint(fmt.Errorf("no kernel's modules in lib/modules or usr/lib/modules under %s", m.dir), "say with --root where a kernel's package is unpacked")
	default:
		return "", misuse("there are several kernels under %s, name one with --kernel: %s", m.dir, strings.Join(found, ", "))
	}
}

func (m *machine) loadConfig(f *flags) (*config.Config, error) {
	file := f.config
	if file == "" {
		file = filepath.Join(m.dir, config.File)
	}
	cfg, err := config.Load(file, f.config == "")
	if err != nil {
		return nil, err
	}
	if f.host != "" {
		cfg.Host = f.host
	}
	return cfg, nil
}

// host is what arm/config must know.
func (m *machine) host(ctx context.Context) config.Host {
	h := config.Host{Name: m.name, Release: m.release}
	if m.running == "" {
		return h
	}
	h.Lookup, h.Network = hostnet.Lookup, m.network
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	h.Local = &config.Local{
		MountInfo: mounts,
		Resolve: func(path string) (string, error) {
			if err != nil {
				return "", err
			}
			return resolve(path)
		},
		Identify: func(dev string) (config.FS, error) {
			id, err := drivers.Host{}.Identify(dev)
			return config.FS{Type: id.Type, UUID: id.UUID, Layers: id.Layers}, err
		},
		Locate: func(d plan.Device) (string, error) {
			name, err := drivers.Host{}.Find(ctx, d)
			if errors.Is(err, blkid.ErrNotFound) {
				err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
			}
			return "/dev/" + strings.ReplaceAll(name, "!", "/"), err
		},
		Raw: func(dev string) (plan.Device, error) { return m.raw(ctx, dev) },
	}
	return h
}

// raw checks that dumps can be written to a block device, and names it.
func (m *machine) raw(ctx context.Context, dev string) (plan.Device, error) {
	if st, err := raw.Check(dev); err != nil {
		if held, ferr := holds(dev); ferr == nil {
			err = fmt.Errorf("%w: it holds %s", err, held)
		}
		return plan.Device{}, withHint(err, "give another device, or, if nothing on this one is needed, clear its first and last MiB (wipefs --all, then blkdiscard --zeroout or dd)")
	} else if st.Waiting > 0 {
		m.note("%s holds dumps that were not recovered yet: kdump-arm recover copies them off it", dev)
	}
	d, durable, err := drivers.Host{}.Durable(ctx, dev)
	if err == nil && !durable {
		m.note("%s has nothing but its name to be known by, which the crash kernel may give to another disk: put it on a partition of a GPT", dev)
	}
	return d, err
}

// holds names what a device that is not ours holds.
func holds(dev string) (string, error) {
	f, err := os.Open(dev)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := blkid.Probe(f)
	return info.String(), err
}

func (m *machine) note(format string, a ...any) { m.notes = append(m.notes, fmt.Sprintf(format, a...)) }

// resolve follows links in the part of path that exists; the rest is made later.
func resolve(path string) (string, error) {
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return "", err
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = filepath.Dir(path)
	}
}

func (m *machine) compression(given string) (archive.Compression, error) {
	known, err := initramfs.Unpacks(m.root, m.release, m.release == m.running)
	if err != nil {
		return "", err
	}
	if given == "" {
		return known.Best(), nil
	}
	c, err := archive.ParseCompression(given)
	if err != nil {
		return "", misuse("--compress: %v", err)
	}
	return c, known.Check(c)
}

// fits refuses an image that would not start in the reservation, when it is known.
func (m *machine) fits(need initramfs.Need) error {
	if m.reservation == 0 {
		return nil
	}
	const round = 32 << 20
	advised := (need.Total() + 24<<20 + round - 1) / round * round >> 20
	return withHint(need.Fits(m.reservation), fmt.Sprintf(
		"set crashkernel=%dM or more on the kernel command line and reboot, or put less into the image (--drivers, extra_modules)", advised))
}

// parseSize reads a number of bytes with K, M or G behind it, as crashkernel= takes.
func parseSize(s string) (int64, error) {
	num, shift := s, 0
	if i := strings.IndexByte("KMG", s[len(s)-1]&^0x20); i >= 0 {
		num, shift = s[:len(s)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n <= 0 || n > 1<<60>>shift {
		return 0, misuse("--reservation %s: want a size such as 256M", s)
	}
	return n << shift, nil
}
