package matrix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

var versionLine = regexp.MustCompile(`version (\d+(?:\.\d+)+)`)

// Reference is the version of the makedumpfile that is compared with.
func (m *Matrix) Reference(ctx context.Context) (string, error) {
	if m.reference == "" {
		out, err := m.Readers.Run(ctx, nil, "makedumpfile", "-v")
		if err != nil {
			return "", err
		}
		v := versionLine.FindStringSubmatch(out)
		if v == nil {
			return "", fmt.Errorf("matrix: makedumpfile -v says %.100q", out)
		}
		m.reference = v[1]
	}
	return m.reference, nil
}

// cyclic makes makedumpfile look at memory in parts, as it does by itself where it has
// less room than a byte for 4 pages: KiB of that room.
var cyclic = []string{"--cyclic-buffer", "4"}

// referenceSet is the set of pages that makedumpfile stores of a core at a level, in
// cycles or in one. It does not change, so it is kept beside the core.
func (m *Matrix) referenceSet(ctx context.Context, core *Core, level int, limit uint64, cycles bool) (*pfnset.Set, error) {
	version, err := m.Reference(ctx)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(core.Dir, "makedumpfile-"+version+"-d"+strconv.Itoa(level))
	argv := []string{"makedumpfile", "-f", "-l", "-d", strconv.Itoa(level)}
	if cycles {
		name += "-cycles"
		argv = append(argv, cyclic...)
	}
	name += ".pfns"
	set := pfnset.New(limit)
	if b, err := os.ReadFile(name); err == nil {
		set.SetBytes(b, 0)
		return set, nil
	}
	out := filepath.Join(m.Work, "reference")
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer os.Remove(out)
	if _, err := m.Readers.Run(ctx, []string{core.Path, out}, append(argv, "@0", "@1")...); err != nil {
		return nil, err
	}
	stored, err := storedIn(out)
	if err != nil {
		return nil, err
	}
	bits := make([]byte, (limit+7)/8)
	stored.Bytes(bits, 0)
	if _, more := stored.Next(limit); more {
		return nil, fmt.Errorf("matrix: makedumpfile stores a page beyond the last one of RAM, %#x", limit)
	}
	set.SetBytes(bits, 0)
	// Written whole or not at all.
	err = errors.Join(os.WriteFile(name+".part", bits, 0o644), os.Rename(name+".part", name))
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	return set, nil
}

// storedIn is the set of pages that a kdump-compressed file stores.
func storedIn(path string) (*pfnset.Set, error) {
	src, err := vmcore.OpenPath(path)
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer src.Close()
	k, ok := src.(vmcore.Kdump)
	if !ok {
		return nil, fmt.Errorf("matrix: %s is %s, not kdump", path, src.Format())
	}
	return k.Stored().Clone(), nil
}

var (
	drgnVersion  = regexp.MustCompile(`drgn (\d+(?:\.\d+)+)`)
	crashVersion = regexp.MustCompile(`(?m)^crash (\d+(?:\.\d+)+)`)
)

// Versions is an empty result that names the readers.
func (m *Matrix) Versions(ctx context.Context) (*Result, error) {
	r := &Result{Uncovered: map[string][]string{}, Chosen: map[string]string{}}
	var err error
	if r.Reference, err = m.Reference(ctx); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		to      *string
		version *regexp.Regexp
		program string
	}{{&r.Drgn, drgnVersion, "drgn"}, {&r.Crash, crashVersion, "crash"}} {
		out, err := m.Readers.Run(ctx, nil, p.program, "--version")
		if err != nil {
			return nil, err
		}
		v := p.version.FindStringSubmatch(out)
		if v == nil {
			return nil, fmt.Errorf("matrix: %s --version says %.100q", p.program, out)
		}
		*p.to = v[1]
	}
	m.drgnVersion, m.crashVersion = r.Drgn, r.Crash
	return r, nil
}

// uncoveredLine is a worker that the kernel refused its memory, or that did not find what
// the kernel should have. One that died of a memory error was not refused.
var uncoveredLine = regexp.MustCompile(regexp.QuoteMeta(spec.Marker+spec.Uncovered) + `(\w+): .*(?:invalid argument|no such )`)

// uncovered names for a person what the guest's workers could not have.
var uncovered = map[string]string{
	"thp": "transparent huge pages", "poison": "memory errors in small pages",
	"soft": "pages taken out of use by hand", "poisonhuge": "memory errors in huge pages",
	"poisontail": "a memory error inside a block of the kernel's own",
}

// Note takes from a core's console what its kernel could not be made to do.
func (r *Result) Note(core *Core) {
	b, err := os.ReadFile(filepath.Join(core.Dir, "console.log"))
	if err != nil {
		return
	}
	where := core.Kernel.Release + ", " + core.Case.Name
	if core.Case.fiveLevel() && !fiveLevel(core.Kernel) {
		r.Uncovered[where] = append(r.Uncovered[where], "five levels of page tables")
	}
	// hugetlb_free_vmemmap= came with 5.14, and says so when it is at work.
	if core.Case.Spec.Gigantic && !strings.Contains(string(b), "vmemmap can be freed") && !strings.Contains(string(b), "HugeTLB: can") {
		r.Uncovered[where] = append(r.Uncovered[where], "hugetlb pages whose struct pages are freed")
	}
	for _, m := range uncoveredLine.FindAllStringSubmatch(string(b), -1) {
		r.Uncovered[where] = append(r.Uncovered[where], uncovered[m[1]])
	}
}
