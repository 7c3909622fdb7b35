package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The array driver's interface (include/uapi/linux/raid/md_u.h), and its device
// numbers.
const (
	mdMajorNumber  = 9
	mdSetArrayInfo = 1<<30 | unsafe.Sizeof(mdArrayInfo{})<<16 | mdMajorNumber<<8 | 0x23
	mdAddNewDisk   = 1<<30 | unsafe.Sizeof(mdDiskInfo{})<<16 | mdMajorNumber<<8 | 0x21
	mdRunArray     = 1<<30 | unsafe.Sizeof(mdParam{})<<16 | mdMajorNumber<<8 | 0x30
	mdStopArray    = mdMajorNumber<<8 | 0x32

	// mdFirst is the number that is tried first, the one from which the tools
	// count down as well.
	mdFirst = 127
	mdTries = 64
)

type mdArrayInfo struct {
	major, minor, patch int32
	_                   [15]int32 // what the superblocks say better
}

type mdDiskInfo struct {
	number, major, minor, role, state int32
}

type mdParam struct{ _ [3]int32 }

// runArray starts the array that consists of members, given as MAJOR:MINOR, with
// superblocks of version major.minor, and gives its name. It comes up read-only until
// the first write, and then without a resync: a machine that reboots in some minutes
// must not copy disks, and the next system does it anyway.
func runArray(sys, dev string, major, minor int, members []string) (name string, err error) {
	params := filepath.Join(sys, "module/md_mod/parameters")
	if err := os.WriteFile(filepath.Join(params, "start_ro"), []byte("1"), 0); err != nil {
		return "", fmt.Errorf("array driver: %w (is md_mod in the image?)", err)
	}
	name, f, err := newArray(sys, dev, params)
	if err != nil {
		return "", err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			_ = mdCall(f, mdStopArray, nil) // nothing to be done where this fails too
		}
	}()
	info := mdArrayInfo{major: int32(major), minor: int32(minor)}
	if err := mdCall(f, mdSetArrayInfo, unsafe.Pointer(&info)); err != nil {
		return "", fmt.Errorf("array %s: set up: %w", name, err)
	}
	var errs []error
	added := 0
	for _, m := range members {
		var d mdDiskInfo
		if _, err := fmt.Sscanf(m, "%d:%d", &d.major, &d.minor); err != nil {
			return "", fmt.Errorf("array %s: device number %q: %w", name, m, err)
		}
		if err := mdCall(f, mdAddNewDisk, unsafe.Pointer(&d)); err != nil {
			errs = append(errs, fmt.Errorf("add device %s: %w", m, err))
			continue
		}
		added++
	}
	if added == 0 {
		return "", fmt.Errorf("array %s: %w", name, errors.Join(errs...))
	}
	var param mdParam
	if err := mdCall(f, mdRunArray, unsafe.Pointer(&param)); err != nil {
		return "", fmt.Errorf("array %s: start with %d of %d members: %w", name, added, len(members), errors.Join(append(errs, err)...))
	}
	if err := os.WriteFile(filepath.Join(sys, "class/block", name, "md/sync_action"), []byte("frozen"), 0); err != nil {
		return "", fmt.Errorf("array %s: hold the resync back: %w", name, err)
	}
	return name, nil
}

// newArray makes an array that consists of nothing yet. It lives as long as the
// file is open.
func newArray(sys, dev, params string) (name string, f *os.File, err error) {
	for n := mdFirst; n > mdFirst-mdTries; n-- {
		name = fmt.Sprintf("md%d", n)
		if _, err := os.Stat(filepath.Join(sys, "class/block", name)); err == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(params, "new_array"), []byte(name), 0); err != nil {
			return "", nil, fmt.Errorf("array driver: make %s: %w", name, err)
		}
		f, err = openSoon(filepath.Join(dev, name))
		if err != nil {
			return "", nil, fmt.Errorf("array driver: %w", err)
		}
		return name, f, nil
	}
	return "", nil, fmt.Errorf("array driver: no number from %d to %d is free", mdFirst-mdTries+1, mdFirst)
}

// nodeTime is how long devtmpfs may take to show a node.
const nodeTime = 2 * time.Second

func openSoon(path string) (*os.File, error) {
	for end := time.Now().Add(nodeTime); ; time.Sleep(10 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			return f, err
		}
	}
}

func mdCall(f *os.File, call uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), call, uintptr(arg))
	runtime.KeepAlive(f)
	if errno != 0 {
		return errno
	}
	return nil
}

// isArray tells whether a kernel's name is an array's: md0, md127, md_home.
func isArray(name string) bool { return strings.HasPrefix(name, "md") }
