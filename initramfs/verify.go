package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/modules"
)

// Contents is an image, read whole.
type Contents struct {
	// Compression is how it is packed, Plain its size when unpacked, in bytes.
	Compression archive.Compression
	Plain       int64
	// Files are its entries in their order.
	Files []archive.File
}

// Read unpacks an image. It takes any whole archive, of ours or not.
func Read(r io.Reader) (*Contents, error) {
	a, err := archive.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	c := &Contents{Compression: a.Compression()}
	for {
		f, err := a.Next()
		if err == io.EOF { // nothing else: io.ErrUnexpectedEOF is a cut file
			c.Plain = a.Plain()
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		c.Files = append(c.Files, f)
	}
}

// Plan gives the plan in the image.
func (c *Contents) Plan() (*plan.Plan, error) {
	f, ok := c.file(planFile)
	if !ok {
		return nil, fmt.Errorf("no %s in the image", plan.File)
	}
	return plan.Decode(bytes.NewReader(f.Data))
}

func (c *Contents) file(name string) (archive.File, bool) {
	i := slices.IndexFunc(c.Files, func(f archive.File) bool { return f.Name == name && f.Mode.IsRegular() })
	if i < 0 {
		return archive.File{}, false
	}
	return c.Files[i], true
}

// Verify checks that the image is one that [Build] could have written and that a crash
// kernel can use: init is a static program, the plan is valid, its modules are
// there, are for its kernel and for init's machine, come after what they need,
// and nothing else is in it. Everything that is wrong is reported, joined.
func (c *Contents) Verify() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf("image: "+format, a...)) }

	p, err := c.Plan()
	if err != nil {
		bad("%w", err)
		p = new(plan.Plan)
	}
	machine := elf.EM_NONE
	for i, m := range p.Modules {
		if want := "/" + path.Join(moduleDir, m.Name+".ko"); m.Path != want {
			bad("module %s lies at %s, not at %s", m.Name, m.Path, want)
		}
		f, ok := c.file(strings.TrimPrefix(m.Path, "/"))
		if !ok {
			bad("module %s is in the plan, but %s is not in the image", m.Name, m.Path)
			continue
		}
		info, err := modules.ParseInfo(f.Data)
		if err != nil {
			bad("module %s: %w", m.Name, err)
			continue
		}
		if b := info.BuiltFor(); b != p.Kernel {
			bad("module %s was built for kernel %q, the plan is for %q", m.Name, b, p.Kernel)
		}
		if machine == elf.EM_NONE {
			machine = info.Machine
		}
		if info.Machine != machine {
			bad("module %s is for %v, others for %v", m.Name, info.Machine, machine)
		}
		for _, d := range info.Depends {
			if slices.ContainsFunc(p.Modules[i:], func(o plan.Module) bool { return o.Name == d }) && d != m.Name {
				bad("module %s comes before %s, which it needs", m.Name, d)
			}
		}
	}
	for _, name := range p.Files {
		if f, ok := c.file(path.Join(fileDir, name)); !ok {
			bad("file %s is in the plan, and not in the image", name)
		} else if f.Mode.Perm()&0o077 != 0 {
			bad("file %s is open to others: mode %v", name, f.Mode)
		}
	}
	if f, ok := c.file(initFile); !ok {
		bad("no /init in it")
	} else {
		if f.Mode.Perm()&0o111 == 0 {
			bad("/init is not executable: mode %v", f.Mode)
		}
		if err := checkInit(f.Data, machine); err != nil {
			bad("/init: %w", err)
		}
	}
	errs = append(errs, c.unexpected(p)...)
	return errors.Join(errs...)
}

// unexpected compares the entries with those that the plan explains.
func (c *Contents) unexpected(p *plan.Plan) []error {
	var errs []error
	files := map[string]bool{initFile: true, planFile: true}
	for _, m := range p.Modules {
		files[strings.TrimPrefix(m.Path, "/")] = true
	}
	dirs := map[string]bool{moduleDir: true}
	for _, name := range p.Files {
		files[path.Join(fileDir, name)] = true
		dirs[fileDir] = true
	}
	for _, m := range p.Modules {
		f, ok := c.file(strings.TrimPrefix(m.Path, "/"))
		if !ok {
			continue
		}
		info, err := modules.ParseInfo(f.Data)
		if err != nil {
			continue // is said elsewhere
		}
		for _, name := range info.Firmware {
			name = path.Join(firmwareDir, name)
			if _, ok := c.file(name); !ok {
				continue // the host had none
			}
			files[name] = true
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				dirs[dir] = true
			}
		}
	}
	for _, d := range emptyDirs() {
		dirs[d] = true
	}
	seen := map[string]bool{}
	for _, f := range c.Files {
		switch {
		case seen[f.Name]:
			errs = append(errs, fmt.Errorf("image: %q is in it twice", f.Name))
		case f.Mode.IsRegular() && files[f.Name], f.Mode.IsDir() && dirs[f.Name]:
		default:
			errs = append(errs, fmt.Errorf("image: %q (%v) does not belong in it", f.Name, f.Mode))
		}
		seen[f.Name] = true
	}
	for d := range dirs {
		if !seen[d] {
			errs = append(errs, fmt.Errorf("image: directory /%s is missing", d))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
