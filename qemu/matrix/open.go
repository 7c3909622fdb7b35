package matrix

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

//go:embed kdf.py
var kdfScript string

//go:embed facts.py
var factsScript string

// libkdumpfile reads every page that a dump stores from dump and core through
// libkdumpfile and compares them, asks for every other page of RAM, and says how many
// were equal and how many absent.
func (c *checker) libkdumpfile(ctx context.Context, path string, stored *pfnset.Set) (string, error) {
	script, err := c.file("kdf.py", []byte(kdfScript))
	if err != nil {
		return "", err
	}
	b := make([]byte, (c.mem.limit+7)/8)
	stored.Bytes(b, 0)
	bits, err := c.file("stored.pfns", b)
	if err != nil {
		return "", err
	}
	c.mem.ram.Bytes(b, 0)
	ram, err := c.file("ram.pfns", b)
	if err != nil {
		return "", err
	}
	out, err := c.Readers.Run(ctx, []string{script, c.core.Path, path, bits, ram}, "python3", "@0", "@1", "@2", "@3", strconv.FormatUint(c.mem.limit, 10), "@4")
	if err != nil {
		return "", err
	}
	var equal, absent uint64
	if _, err := fmt.Sscan(out, &equal, &absent); err != nil || equal != stored.Len() || equal+absent != c.mem.ram.Len() {
		return "", fmt.Errorf("libkdumpfile found %.100q: want %d pages equal and all %d of RAM looked at", out, stored.Len(), c.mem.ram.Len())
	}
	return fmt.Sprintf("%d, %d absent", equal, absent), nil
}

func (c *checker) file(name string, data []byte) (string, error) {
	path := filepath.Join(c.work, name)
	return path, os.WriteFile(path, data, 0o644)
}

// facts are what facts.py says; only what is judged by itself is named here.
type facts struct {
	Release string                     `json:"release"`
	Frames  []string                   `json:"frames"`
	CPUs    map[string]json.RawMessage `json:"cpus"`
	Tasks   map[string]struct {
		Comm    string   `json:"comm"`
		Running bool     `json:"running"`
		Trace   []string `json:"trace"`
	} `json:"tasks"`
	Modules map[string]string `json:"modules"`
	Slabs   map[string]struct {
		Objects int `json:"objects"`
	} `json:"slabs"`
	Dmesg   string   `json:"dmesg"`
	Records []record `json:"records"`
}

// drgn finds the same in the dump as in the core, and what must be there.
func (c *checker) drgn(ctx context.Context, path string) (string, *facts, error) {
	script, err := c.file("facts.py", []byte(factsScript))
	if err != nil {
		return "", nil, err
	}
	run := func(path string) (string, error) {
		return c.Readers.Run(ctx, []string{script, c.core.Kernel.Debug, path}, "drgn", "-q", "-s", "@1", "-c", "@2", "@0")
	}
	want, err := c.kept("drgn", c.drgnVersion+factsScript, func() (string, error) { return run(c.core.Path) })
	if err != nil {
		return "", nil, fmt.Errorf("the core itself: %w", err)
	}
	got, err := run(path)
	if err != nil {
		return "", nil, err
	}
	if got != want {
		return "", nil, fmt.Errorf("not the same as in the core: %s", firstDifference(want, got))
	}
	var f facts
	if err := json.Unmarshal([]byte(got), &f); err != nil {
		return "", nil, err
	}
	objects := 0
	for _, s := range f.Slabs {
		objects += s.Objects
	}
	five, _ := c.mem.info.Number("pgtable_l5_enabled")
	errs := f.judge(c.core, objects)
	if (five != 0) != (c.core.Case.fiveLevel() && fiveLevel(c.core.Kernel)) {
		errs = append(errs, fmt.Errorf("five-level paging: %d", five))
	}
	return fmt.Sprintf("%d tasks, %d modules, %d objects in %d slab caches", len(f.Tasks), len(f.Modules), objects, len(f.Slabs)), &f, errors.Join(errs...)
}

// judge says what is not in the facts that must be.
func (f *facts) judge(core *Core, objects int) (errs []error) {
	must := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, a...))
		}
	}
	must(f.Release == core.Kernel.Release, "release %q", f.Release)
	must(len(f.CPUs) == 2, "%d CPUs", len(f.CPUs))
	must(len(f.Tasks) >= 50, "%d tasks", len(f.Tasks))
	must(len(f.Slabs) >= 60, "%d slab caches", len(f.Slabs))
	must(objects >= 20000, "%d objects in slab caches", objects)
	for _, fn := range []string{"panic", "sysrq_handle_crash"} {
		must(slices.Contains(f.Frames, fn), "the backtrace %q lacks %s", f.Frames, fn)
	}
	for _, mod := range []string{"virtio_blk", "virtio_balloon"} {
		must(f.Modules[mod] != "", "no module %s", mod)
	}
	workers := 0
	for pid, t := range f.Tasks {
		if t.Comm == spec.WorkerName {
			workers++
		}
		must(t.Running || len(t.Trace) > 0, "task %s, %s, has no backtrace", pid, t.Comm)
	}
	must(workers >= core.Case.Spec.Workers, "%d workers of %d", workers, core.Case.Spec.Workers)
	return errs
}

// fiveLevel tells whether a kernel can have five levels of page tables; all can since
// the option is gone.
func fiveLevel(k *debian.Kernel) bool {
	for _, name := range []string{"boot/config-" + k.Release, "lib/modules/" + k.Release + "/config"} {
		if b, err := os.ReadFile(filepath.Join(k.Root, name)); err == nil {
			return !strings.Contains(string(b), "# CONFIG_X86_5LEVEL is not set")
		}
	}
	return true
}

// crashCommands work without a terminal and look at most of what a dump must hold:
// kmem -S walks the slabs of every cache.
var crashCommands = []string{"sys", "bt -a", "foreach bt", "ps", "mod", "kmem -S", "kmem -i"}

// logMark stands in front of the log in what crash says.
const logMark = "=== log\n"

// crash prints the same for the dump as for the core, warnings and all. A kernel that
// crash cannot open even as a core is said so. Its log comes back too, empty where
// there is none.
func (c *checker) crash(ctx context.Context, path string) (text, log string, err error) {
	commands := strings.Join(crashCommands, "\n") + "\n!echo " + logMark + "log\nquit\n"
	script, err := c.file("commands", []byte(commands))
	if err != nil {
		return "", "", err
	}
	run := func(path string) (string, error) {
		out, err := c.Readers.Run(ctx, []string{c.core.Kernel.Debug, path, script}, "crash", "-s", "@0", "@1", "-i", "@2")
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "DUMPFILE:") { // tells a dump from a core
				b.WriteString(line)
			}
		}
		return b.String(), nil
	}
	want, err := c.kept("crash", c.crashVersion+commands, func() (string, error) {
		out, err := run(c.core.Path)
		// Only what crash itself says is about the kernel.
		if err != nil && complaintOf(err.Error()) != "" {
			return unsupported + err.Error(), nil
		}
		return out, err
	})
	if err != nil {
		return "", "", err
	}
	if complaint, ok := strings.CutPrefix(want, unsupported); ok {
		return "not this kernel, nor its core: " + complaintOf(complaint), "", nil
	}
	got, err := run(path)
	if err != nil {
		return "", "", err
	}
	if got != want {
		return "", "", fmt.Errorf("not the same as in the core: %s", firstDifference(want, got))
	}
	if !strings.Contains(got, "sysrq_handle_crash") || !strings.Contains(got, spec.WorkerName) {
		return "", "", errors.New("the panic's backtrace or the workers are not there")
	}
	_, log, ok := strings.Cut(got, logMark)
	if !ok || log == "" {
		return "", "", errors.New("there is no log")
	}
	return fmt.Sprintf("%d lines", strings.Count(got, "\n")), log, nil
}

// complaintOf is why crash gave up, in its own words, in a long error; empty where it did
// not end by itself.
func complaintOf(text string) string {
	if !strings.Contains(text, "exit status 1") {
		return ""
	}
	for line := range strings.Lines(text) {
		if said, ok := strings.CutPrefix(line, "crash: "); ok {
			return strings.TrimSpace(said)
		}
	}
	return ""
}

// unsupported begins what is kept of a core that crash cannot open.
const unsupported = "UNSUPPORTED "

// kept gives what a reader said of the core, which it is asked once. An answer to an
// older question only takes room.
func (c *checker) kept(reader, question string, ask func() (string, error)) (string, error) {
	name := filepath.Join(c.core.Dir, fmt.Sprintf("%s-%.6x.txt", reader, sha256.Sum256([]byte(question))))
	if b, err := os.ReadFile(name); err == nil {
		return string(b), nil
	}
	out, err := ask()
	if err != nil {
		return "", err
	}
	old, _ := filepath.Glob(filepath.Join(c.core.Dir, reader+"-*.txt"))
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return "", err
		}
	}
	return out, errors.Join(os.WriteFile(name+".part", []byte(out), 0o644), os.Rename(name+".part", name))
}

// firstDifference shows where two texts part.
func firstDifference(want, got string) string {
	n := min(len(want), len(got))
	at := n
	for i := range n {
		if want[i] != got[i] {
			at = i
			break
		}
	}
	from := max(0, at-80)
	return fmt.Sprintf("at byte %d: want %.200q, got %.200q", at, want[from:], got[from:])
}
