package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// MaxFirmware bounds the firmware of one image, in bytes: the largest that a NIC or a
// disk controller is known to take has some MiB.
const MaxFirmware = 16 << 20

// Blob is one file of firmware, plain.
type Blob struct {
	// Name is its place below /lib/firmware.
	Name string
	Data []byte
	// For is the module that may ask for it.
	For string
}

// firmwareRoots are where the kernel looks for firmware, in its order (FW_LOADER's
// Kconfig help; drivers/base/firmware_loader/main.c).
func (t *Tree) firmwareRoots() []string {
	return []string{"lib/firmware/updates/" + t.release, "lib/firmware/updates", "lib/firmware/" + t.release, "lib/firmware", "usr/lib/firmware"}
}

// Firmware gives the files that the modules of a set may ask for, as far as they are
// there: which of them a device takes only its driver knows, and many need none. The
// order is that of the modules, each file once. left are the names of those for which
// there is no more room in [MaxFirmware].
func (t *Tree) Firmware(set *Set) (out []Blob, left []string, err error) {
	total := 0
	for _, m := range set.Modules {
		for _, name := range m.Info.Firmware {
			if !fs.ValidPath(name) || slices.ContainsFunc(out, func(b Blob) bool { return b.Name == name }) {
				continue
			}
			data, err := t.firmware(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, nil, fmt.Errorf("firmware %s of module %s: %w", name, m.Name, err)
			}
			if total+len(data) > MaxFirmware {
				left = append(left, name)
				continue
			}
			total += len(data)
			out = append(out, Blob{name, data, m.Name})
		}
	}
	return out, left, nil
}

// firmware reads a file, which may be packed. The error wraps [fs.ErrNotExist] when
// there is none.
func (t *Tree) firmware(name string) ([]byte, error) {
	for _, root := range t.firmwareRoots() {
		for _, ext := range []string{"", ".zst", ".xz"} {
			f, err := t.fsys.Open(path.Join(root, name+ext))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			defer f.Close()
			// A plain one may be called .xz all the same: only what we added counts.
			return unpack(f, "firmware"+ext, MaxFirmware)
		}
	}
	return nil, fs.ErrNotExist
}
