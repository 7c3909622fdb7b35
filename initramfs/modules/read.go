package modules

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// MaxSize bounds a module file, in bytes, as stored and as unpacked. nouveau and amdgpu,
// with debug information left in, come to some tens of MiB.
const MaxSize = 256 << 20

// Module is one module file, read and checked.
type Module struct {
	// Name is canonical, as in /proc/modules.
	Name string
	// File is its place under the tree's root folder, as stored.
	File string
	// Data is the plain .ko file, with its signature when it has one.
	Data []byte
	// Info is what it says about itself.
	Info *Info
	// For says why it is there: the module or the setting that asked for it.
	For string
}

// read gives the module called name, canonical.
func (t *Tree) read(name string) (*Module, error) {
	file, ok, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("module %s: %w", name, errNotThere)
	}
	full := path.Join(t.dir, file)
	fail := func(err error) (*Module, error) {
		return nil, fmt.Errorf("module %s: /%s: %w", name, full, err)
	}
	f, err := t.fsys.Open(full)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(fmt.Errorf("%w, though modules.dep lists it: run depmod %s", errNotThere, t.release))
	}
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	data, err := unpack(f, file, MaxSize)
	if err != nil {
		return fail(err)
	}
	info, err := ParseInfo(data)
	if err != nil {
		return fail(err)
	}
	if b := info.BuiltFor(); b != t.release {
		return fail(fmt.Errorf("it was built for kernel %q, not for %s", b, t.release))
	}
	if t.machine == elf.EM_NONE {
		t.machine = info.Machine
	}
	if info.Machine != t.machine {
		return fail(fmt.Errorf("it is for %v, other modules of the tree for %v", info.Machine, t.machine))
	}
	return &Module{Name: name, File: file, Data: data, Info: info}, nil
}

// unpack reads a module file whole, plain. What is not unpacked to its very end
// without an error is refused, and so is more than limit bytes.
func unpack(r io.Reader, file string, limit int64) ([]byte, error) {
	plain := r
	switch path.Ext(file) {
	case ".xz":
		x, err := xz.NewReader(r, xz.DefaultDictMax)
		if err != nil {
			return nil, fmt.Errorf("unpack xz: %w", err)
		}
		plain = x
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxSize))
		if err != nil {
			return nil, fmt.Errorf("unpack zstd: %w", err)
		}
		defer z.Close()
		plain = z
	case ".gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
		plain = z
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(plain, limit+1))
	if err != nil {
		return nil, fmt.Errorf("unpack after %d bytes: %w", n, err)
	}
	if n > limit {
		return nil, fmt.Errorf("more than %d bytes when unpacked", limit)
	}
	if n == 0 {
		return nil, errors.New("the file is empty")
	}
	return b.Bytes(), nil
}
