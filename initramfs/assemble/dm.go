package assemble

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dmLine is a line of a device-mapper table.
type dmLine struct {
	start, length uint64 // sectors of the new device
	target        string
	params        string
}

// Linear is a line of a device-mapper table that maps sectors of 512 bytes to
// another device.
type Linear struct {
	// Start and Length are sectors of the new device.
	Start, Length uint64
	// Device is the other device's number, as MAJOR:MINOR; Offset is a sector of it.
	Device string
	Offset uint64
}

// The device mapper's interface (include/uapi/linux/dm-ioctl.h); the numbers of the
// calls and the structures are in x/sys/unix.
const (
	dmControl = "mapper/control"
	dmMajor   = 4 // of the interface's version; 4.0 has all that is used
	dmBuffer  = 64 << 10

	dmSecureData = 1 << 15 // DM_SECURE_DATA_FLAG: the kernel wipes its copy
)

func makeLinear(dev, name, uuid string, lines []Linear) error {
	table := make([]dmLine, len(lines))
	for i, l := range lines {
		table[i] = dmLine{l.Start, l.Length, "linear", fmt.Sprintf("%s %d", l.Device, l.Offset)}
	}
	return makeDevice(dev, name, uuid, table)
}

// makeDevice makes a device of lines and activates it.
func makeDevice(dev, name, uuid string, lines []dmLine) (err error) {
	f, err := os.OpenFile(filepath.Join(dev, dmControl), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("device mapper: %w (is dm_mod in the image?)", err)
	}
	defer f.Close()
	if err := dmCall(f, unix.DM_DEV_CREATE, name, uuid, nil); err != nil {
		return fmt.Errorf("device mapper: create %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			// Nothing to be done where this fails too.
			_ = dmCall(f, unix.DM_DEV_REMOVE, name, "", nil)
		}
	}()
	if err := dmCall(f, unix.DM_TABLE_LOAD, name, "", lines); err != nil {
		return fmt.Errorf("device mapper: load the table of %s: %w", name, err)
	}
	// Without the flag that asks for the contrary, this resumes.
	if err := dmCall(f, unix.DM_DEV_SUSPEND, name, "", nil); err != nil {
		return fmt.Errorf("device mapper: activate %s: %w", name, err)
	}
	return nil
}

// dmCall does one call about the device called name.
func dmCall(f *os.File, call uint, name, uuid string, lines []dmLine) error {
	buf := make([]byte, dmBuffer)
	defer clear(buf) // a table may hold a key
	h := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	h.Version = [3]uint32{dmMajor, 0, 0}
	h.Data_size, h.Data_start = uint32(len(buf)), unix.SizeofDmIoctl
	if len(name) >= len(h.Name) || len(uuid) >= len(h.Uuid) {
		return fmt.Errorf("%w: a name of %d bytes", unix.ENAMETOOLONG, max(len(name), len(uuid)))
	}
	copy(h.Name[:], name)
	copy(h.Uuid[:], uuid)
	h.Target_count, h.Flags = uint32(len(lines)), dmSecureData
	at := unix.SizeofDmIoctl
	for _, l := range lines {
		size := (unix.SizeofDmTargetSpec + len(l.params) + 1 + 7) &^ 7
		if size > len(buf)-at {
			return fmt.Errorf("%w: a table of %d lines", unix.E2BIG, len(lines))
		}
		spec := (*unix.DmTargetSpec)(unsafe.Pointer(&buf[at]))
		spec.Sector_start, spec.Length, spec.Next = l.start, l.length, uint32(size)
		copy(spec.Target_type[:], l.target)
		copy(buf[at+unix.SizeofDmTargetSpec:], l.params)
		at += size
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(call), uintptr(unsafe.Pointer(&buf[0])))
	runtime.KeepAlive(f)
	if errno != 0 {
		return errno
	}
	return nil
}

// dmName is a logical volume's name in the device mapper: a dash in a part is
// doubled.
func dmName(group, volume string) string {
	return strings.ReplaceAll(group, "-", "--") + "-" + strings.ReplaceAll(volume, "-", "--")
}
