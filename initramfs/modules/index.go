package modules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// maxIndex bounds each of the tree's index files, in bytes. The largest known
// modules.alias of a distribution has about 1.5 MB.
const maxIndex = 64 << 20

// load reads the small index files. Modules themselves are read when asked for.
func (t *Tree) load() error {
	t.files, t.builtin = map[string]string{}, map[string]bool{}

	text, err := t.index("modules.builtin")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if name, ok := moduleName(strings.TrimSpace(line)); ok {
			t.builtin[name] = true
		}
	}
	text, err = t.index("modules.builtin.modinfo")
	if err != nil {
		return err
	}
	t.loadBuiltinInfo(text)

	text, err = t.index("modules.dep")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		file, _, ok := strings.Cut(line, ":")
		if name, is := moduleName(file); ok && is {
			t.files[name] = strings.TrimPrefix(file, "/"+t.dir+"/")
		}
	}
	if len(t.files) == 0 {
		return t.walk()
	}
	return nil
}

// loadBuiltinInfo reads NAME.key=value, each ended by NUL. Every module that is
// built in has a file= since Linux 5.3; some that modules.builtin leaves out.
func (t *Tree) loadBuiltinInfo(text string) {
	for entry := range strings.SplitSeq(text, "\x00") {
		left, value, ok := strings.Cut(entry, "=")
		name, key, ok2 := strings.Cut(left, ".")
		if !ok || !ok2 {
			continue
		}
		switch key {
		case "file":
			t.builtin[Canonical(name)] = true
		case "alias":
			t.builtinAliases = append(t.builtinAliases, alias{value, Canonical(name)})
		}
	}
}

// index reads one of the tree's index files whole; absent is the same as empty.
func (t *Tree) index(name string) (string, error) {
	f, err := t.fsys.Open(path.Join(t.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxIndex {
		return "", fmt.Errorf("%s is larger than %d bytes", name, maxIndex)
	}
	return string(text), nil
}

// walk adds the module files on disk that no index named. It is how an
// unpacked tree is read, and how a module newer than the last depmod is found.
func (t *Tree) walk() error {
	if t.walked {
		return nil
	}
	t.walked = true
	found := map[string]string{}
	err := fs.WalkDir(t.fsys, t.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "build" || d.Name() == "source") {
			return fs.SkipDir // a kernel's sources, not its modules
		}
		if d.IsDir() {
			return nil
		}
		name, ok := moduleName(p)
		if !ok {
			return nil
		}
		rel := strings.TrimPrefix(p, t.dir+"/")
		if old, dup := found[name]; !dup || rank(rel) < rank(old) {
			found[name] = rel
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list modules: %w", err)
	}
	for name, file := range found {
		if _, ok := t.files[name]; !ok {
			t.files[name] = file
		}
	}
	return nil
}

// rank orders folders as depmod searches them by default (depmod.d(5), with
// "search updates extra built-in").
func rank(file string) int {
	switch first, _, _ := strings.Cut(file, "/"); first {
	case "updates":
		return 0
	case "extra":
		return 1
	}
	return 2
}

// find gives the file of a module, looking on disk when the index has none.
func (t *Tree) find(name string) (string, bool, error) {
	if f, ok := t.files[name]; ok {
		return f, true, nil
	}
	if err := t.walk(); err != nil {
		return "", false, err
	}
	f, ok := t.files[name]
	return f, ok, nil
}
