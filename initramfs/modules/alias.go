package modules

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// alias is a pattern and the module that answers to it.
type alias struct{ pattern, module string }

// byAlias gives the modules that answer to name: builtin when the kernel itself
// does, else those of the tree, sorted.
func (t *Tree) byAlias(name string) (builtin bool, found []string, err error) {
	for _, a := range t.builtinAliases {
		if match(a.pattern, name) {
			return true, nil, nil
		}
	}
	if err := t.loadInstalled(); err != nil {
		return false, nil, err
	}
	if t.hasInstalled {
		return false, preferred(t, matching(t.installed, name)), nil
	}
	// Nobody ran depmod: ask the modules themselves. An algorithm's name is answered by
	// few places, which spares unpacking thousands of files.
	likely := func(file string) bool { return strings.Contains(file, "crypto/") || strings.Contains(file, "/lib/") }
	if !strings.Contains(name, ":") {
		if found = matching(t.scan(likely), name); len(found) > 0 {
			return false, preferred(t, found), nil
		}
	}
	return false, preferred(t, matching(t.scan(func(string) bool { return true }), name)), nil
}

// matching gives the modules of list that answer to name, sorted, each once.
func matching(list []alias, name string) []string {
	var out []string
	for _, a := range list {
		if match(a.pattern, name) {
			out = append(out, a.module)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// preferred leaves out drivers of crypto hardware where the processor can do the
// work: an image needs one sound implementation, not every one.
func preferred(t *Tree, names []string) []string {
	soft := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return strings.Contains(t.files[n], "drivers/crypto/")
	})
	if len(soft) > 0 {
		return soft
	}
	return names
}

// loadInstalled reads depmod's modules.alias, once: "alias PATTERN MODULE".
func (t *Tree) loadInstalled() error {
	if t.installed != nil {
		return nil
	}
	text, err := t.index("modules.alias")
	if err != nil {
		return err
	}
	t.installed = []alias{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
			t.installed = append(t.installed, alias{f[1], Canonical(f[2])})
			t.hasInstalled = true
		}
	}
	return nil
}

// scan collects the aliases of all module files that pass; a file that cannot be read
// has none here, and is reported when it is asked for by name.
func (t *Tree) scan(pass func(file string) bool) []alias {
	var out []alias
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		file := t.files[name]
		if !pass(file) {
			continue
		}
		list, done := t.scanned[file]
		if !done {
			for _, p := range t.peek(file) {
				list = append(list, alias{p, name})
			}
			t.scanned[file] = list
		}
		out = append(out, list...)
	}
	return out
}

// peek reads a module's aliases; from a plain file only the few KiB that hold them.
func (t *Tree) peek(file string) []string {
	f, err := t.fsys.Open(path.Join(t.dir, file))
	if err != nil {
		return nil
	}
	defer f.Close()
	var info *Info
	if ra, ok := f.(io.ReaderAt); ok && path.Ext(file) == ".ko" {
		var st fs.FileInfo
		if st, err = f.Stat(); err == nil {
			info, err = parseInfo(ra, st.Size())
		}
	} else {
		var data []byte
		if data, err = unpack(f, file, MaxSize); err == nil {
			info, err = ParseInfo(data)
		}
	}
	if err != nil {
		return nil
	}
	return info.Aliases
}
