//go:build vm

package smoke

import (
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/matrix"
	"github.com/gokdump/gokdump/qemu/spoiled"
)

// spoiledLevels are where the classes of pages differ most: each page that is user
// memory or a poisoned one at 31 is page cache, or stays, at one of the others.
var spoiledLevels = []int{2, 8, 31}

// spoilReal spoils what a real kernel says of itself, and pieces of its memory: no
// page of a good run is lost, what grows is told, the log is saved. release takes the
// place of the kernel's own, if it is not empty.
func spoilReal(t *testing.T, src vmcore.Source, release string) {
	t.Helper()
	rep, err := spoiled.Check(t.Context(), src, spoiled.Options{Levels: spoiledLevels, Release: release, Workers: runtime.GOMAXPROCS(0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range rep.Warnings {
		t.Logf("the good run warns: %s", w)
	}
	for _, d := range rep.Defects {
		t.Error(d)
	}
	keys := make([]string, 0, len(rep.Grew))
	for key := range rep.Grew {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if n := rep.Grew[key]; n > 0 {
			t.Logf("wrong %s: up to %d pages more are kept", key, n)
		}
	}
	t.Logf("%d texts and %d pieces of memory spoiled, %d dumps compared", rep.Texts, rep.Pieces, rep.Scans)
}

// The same with the kernels whose cores the matrix left in the cache. A clean machine
// has none yet: there it is the one core that make test-matrix-short wants next, made
// here. All ways to spoil, all cores and all levels are make test-spoiled.
func TestSpoiledCores(t *testing.T) {
	cache, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := spoiled.Cached(cache, "usual")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Logf("no core of the matrix in %s: one is made", cache)
		m := &matrix.Maker{Cache: cache, Work: dir(t)}
		if err := m.Compile(t.Context()); err != nil {
			t.Fatal(err)
		}
		core, err := m.Core(t.Context(), shared.Kernel, matrix.ShortCase(), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		paths = []string{core.Path}
	}
	for i, p := range paths {
		t.Run(filepath.Base(filepath.Dir(p)), func(t *testing.T) {
			src, err := vmcore.OpenPath(p)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			spoilReal(t, src, "")
			if i == len(paths)-1 { // a kernel that nobody knows yet has its memory only
				spoilReal(t, src, "99.0.0")
			}
		})
	}
}
