package boot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The names and sizes of pstore's records in EFI variables, as
// drivers/firmware/efi/efi-pstore.c reads them since Linux 5.2: type, part, count,
// seconds, and D for text that is not compressed. Part 1 is the end of a log.
const (
	efiVars   = "/sys/firmware/efi/efivars"
	efiPrefix = "dump-type0-"
	efiVendor = "-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0" // LINUX_EFI_CRASH_GUID, include/linux/efi.h
	// efiCount is where the kernel has a counter from 1: it tells our records from its own.
	efiCount = 999
	// efiAttributes: kept without power, for boot and run time (PSTORE_EFI_ATTRIBUTES).
	efiAttributes = 7
	// efiRecord is what a record may have: the kernel reads 1024 bytes of each.
	efiRecord = 1000
	// efiRecords bounds how many are written.
	efiRecords = 12
	// efiUnknown is how much may be in use where the kernel does not tell the store's
	// size: half of the smallest that firmware has.
	efiUnknown = 32 << 10
	// efiOverhead is what the firmware needs for a variable beside name and text.
	efiOverhead = 64
)

// EFILog saves text where it outlives a reboot without any disk: in variables of the
// machine's firmware, as records that the next system's pstore shows as
// dmesg-efi-NUMBER and systemd-pstore copies to /var/lib/systemd/pstore. The zero
// value works on the running system.
type EFILog struct {
	// Dir is efivarfs; empty means /sys/firmware/efi/efivars, and that it is
	// mounted first.
	Dir string
	// Space tells the store's size and what is free of it, in bytes; a size of 0 means
	// that it is not known. nil means statfs(2), which tells since Linux 6.5.
	Space func(dir string) (size, free uint64, err error)
}

// Save saves the end of text, about 12 KB at most, in lines, under the time at. Records
// of an earlier Save are replaced, those of the kernel left alone. A store of which less
// than half is free is not written to. It ends between two records when ctx ends; a
// call into the firmware may hang. records is how many were written: the last of the
// text first, so that an error leaves the end of it.
func (e EFILog) Save(ctx context.Context, text []byte, at time.Time) (records int, err error) {
	dir := e.Dir
	if dir == "" {
		if dir, err = mountEFI(); err != nil {
			return 0, err
		}
	}
	if err := e.clear(dir); err != nil {
		return 0, err
	}
	for part, record := range efiText(text) {
		if ctx.Err() != nil {
			return records, fmt.Errorf("save to EFI variables: %w", context.Cause(ctx))
		}
		name := fmt.Sprintf("%s%d-%d-%d-D%s", efiPrefix, part+1, efiCount, at.Unix(), efiVendor)
		if err := writeEFI(filepath.Join(dir, name), record); err != nil {
			return records, fmt.Errorf("save to EFI variables: %w", err)
		}
		records++
	}
	return records, nil
}

func mountEFI() (string, error) {
	if _, err := os.Stat(efiVars); err != nil {
		return "", fmt.Errorf("the firmware shows no EFI variables: %w", err)
	}
	if err := Mount("efivarfs", efiVars, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return "", fmt.Errorf("%w%s", err, mountHint(err, "efivarfs"))
	}
	return efiVars, nil
}

// clear removes what an earlier Save left, and sees that there is room.
func (e EFILog) clear(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var used uint64
	for _, v := range list {
		path := filepath.Join(dir, v.Name())
		if isEFILog(v.Name()) {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if b, err := os.ReadFile(path); err == nil && len(b) >= 4 && b[0]&1 != 0 { // kept without power
			used += uint64(len(b) + 2*len(v.Name()) + efiOverhead)
		}
	}
	space := e.Space
	if space == nil {
		space = efiSpace
	}
	size, free, err := space(dir)
	switch {
	case err != nil:
		return err
	case size > 0 && free < size/2:
		return fmt.Errorf("of the firmware's %d bytes for variables only %d are free, less than half: nothing is written there", size, free)
	case size == 0 && used > efiUnknown:
		return fmt.Errorf("the firmware's variables take %d bytes, and this kernel does not tell of how many: nothing is written there beyond %d", used, efiUnknown)
	}
	return nil
}

func efiSpace(dir string) (size, free uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Blocks * uint64(st.Bsize), st.Bfree * uint64(st.Bsize), nil
}

// isEFILog knows the names of our records.
func isEFILog(name string) bool {
	in, ok := strings.CutPrefix(name, efiPrefix)
	if !ok || !strings.HasSuffix(in, efiVendor) {
		return false
	}
	f := strings.Split(in, "-")
	return len(f) > 3 && f[1] == fmt.Sprint(efiCount) && f[3] == "D"
}

// efiText cuts the end of text into records, the last one first; each has whole
// lines unless one is longer than a record.
func efiText(text []byte) [][]byte {
	var out [][]byte
	text = bytes.TrimRight(text, "\n")
	for len(text) > 0 && len(out) < efiRecords {
		head := fmt.Appendf(nil, "Panic#1 Part%d (written by kdump-init)\n", len(out)+1)
		from := max(0, len(text)-(efiRecord-len(head)-1))
		if from > 0 && text[from-1] != '\n' {
			if n := bytes.IndexByte(text[from:], '\n'); n >= 0 {
				from += n + 1
			}
		}
		out = append(out, append(append(head, text[from:]...), '\n'))
		text = bytes.TrimRight(text[:from], "\n")
	}
	return out
}

// writeEFI makes one variable: attributes and value, in one call.
func writeEFI(path string, value []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, efiAttributes), value...))
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // efivarfs keeps no empty variable, and says so here
	}
	return err
}
