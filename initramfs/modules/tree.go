// Package modules turns names of kernel modules into plain .ko files in the order
// in which finit_module(2) must take them.
//
// It owns what a tree of modules means: /lib/modules/RELEASE, installed (with
// depmod's files) or merely unpacked, .ko files plain or compressed,
// what is built into the kernel, aliases, dependencies and soft dependencies. It
// never loads a module, runs a program or changes the tree.
//
// The truth about a module is its own .modinfo section (include/linux/moduleinfo.h,
// scripts/mod/modpost.c); of depmod's files only modules.dep (where files are) and
// modules.alias (an index) are read, modules.dep(5). What is built in stands in
// modules.builtin and modules.builtin.modinfo (scripts/Makefile.modinst,
// Documentation/kbuild/kbuild.rst).
package modules

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// roots are where trees of modules lie under a root directory.
func roots() []string { return []string{"lib/modules", "usr/lib/modules"} }

// Tree is the modules of one kernel. It is not for use by several goroutines.
type Tree struct {
	fsys    fs.FS
	dir     string // in fsys
	release string

	files   map[string]string // canonical name to path under dir
	walked  bool              // files holds everything on disk
	builtin map[string]bool

	builtinAliases []alias
	installed      []alias // modules.alias; nil when there is none
	hasInstalled   bool
	scanned        map[string][]alias // by path under dir, of what was scanned

	machine elf.Machine // EM_NONE until a module was read
}

// MissingError says that there are no modules for a kernel.
type MissingError struct {
	Release string
	Found   []string // the releases that are there, sorted
}

// Error names the kernels that are there.
func (e *MissingError) Error() string {
	found := "there are none of any kernel"
	if len(e.Found) > 0 {
		found = "found are " + strings.Join(e.Found, ", ")
	}
	return fmt.Sprintf("modules: no modules of kernel %q in lib/modules or usr/lib/modules: %s", e.Release, found)
}

// Releases lists the kernels that have a tree of modules under root, sorted.
func Releases(root fs.FS) []string {
	var out []string
	for _, r := range roots() {
		list, err := fs.ReadDir(root, r)
		if err != nil {
			continue // the other place may have some; none at all is an empty list
		}
		for _, e := range list {
			if hasModules(root, path.Join(r, e.Name())) {
				out = append(out, e.Name())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hasModules tells a tree from the empty folder that a removed kernel leaves.
func hasModules(root fs.FS, dir string) bool {
	for _, name := range []string{"kernel", "modules.builtin", "modules.order"} {
		if _, err := fs.Stat(root, path.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// Open finds the modules of kernel release under root, in lib/modules or
// usr/lib/modules. The error is a *[MissingError] when there are none.
func Open(root fs.FS, release string) (*Tree, error) {
	if release == "" || release == "." || release == ".." || strings.Contains(release, "/") {
		return nil, fmt.Errorf("modules: %q is not a kernel release, as uname -r prints it", release)
	}
	for _, r := range roots() {
		t := &Tree{fsys: root, dir: path.Join(r, release), release: release, scanned: map[string][]alias{}}
		if !hasModules(root, t.dir) {
			continue
		}
		if err := t.load(); err != nil {
			return nil, fmt.Errorf("modules: kernel %s: %w", release, err)
		}
		return t, nil
	}
	return nil, &MissingError{Release: release, Found: Releases(root)}
}

// Release is the kernel that the tree belongs to.
func (t *Tree) Release() string { return t.release }

// Dir is the tree's place under the root, as in lib/modules/6.1.0.
func (t *Tree) Dir() string { return t.dir }

// Machine is the architecture of the tree's modules, told by any one of them;
// EM_NONE when the tree has no module files.
func (t *Tree) Machine() (elf.Machine, error) {
	if t.machine != elf.EM_NONE {
		return t.machine, nil
	}
	var name string
	for n := range t.files {
		if name == "" || n < name { // the same one each time
			name = n
		}
	}
	if name == "" {
		return elf.EM_NONE, nil
	}
	m, err := t.read(name)
	if err != nil {
		return elf.EM_NONE, err
	}
	t.machine = m.Info.Machine
	return t.machine, nil
}

// Has reports whether name is a module of the tree or built into the kernel.
func (t *Tree) Has(name string) bool {
	name = Canonical(name)
	_, ok := t.files[name]
	return ok || t.builtin[name]
}

// Canonical is a module's name as the kernel knows it: - and _ are the same to it,
// and /proc/modules shows _.
func Canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleName gives the canonical name of a module file, false for other files.
func moduleName(file string) (string, bool) {
	base := path.Base(file)
	for _, ext := range extensions() {
		if name, ok := strings.CutSuffix(base, ext); ok && name != "" {
			return Canonical(name), true
		}
	}
	return "", false
}

func extensions() []string { return []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} }

var errNotThere = errors.New("the file is not there")
