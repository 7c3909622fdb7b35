//go:build vm

package smoke

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/qemu/guest/canary"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
)

// canaryBits says by which bits of the level each kind of page goes. It follows
// from the order in which a page is judged: free first, then page cache, then
// memory of processes.
//
//   - tmpfs and memfd are page cache: they are on the LRU and their mapping is an
//     inode's, not anonymous. That they are swap-backed matters only while they
//     are in the swap cache.
//   - a file that was only read has no private data, one that was written has
//     buffers; so 2 takes the first and 4 takes both.
//   - mlocked pages stay anonymous, and on the list of unevictable pages.
//   - hugetlb pages are on no list and fall under user memory only.
var canaryBits = map[canary.Class]int{
	canary.Anon: 8, canary.THP: 8, canary.Hugetlb: 8, canary.Locked: 8,
	canary.Shmem: 2 | 4, canary.Memfd: 2 | 4, canary.Clean: 2 | 4, canary.Dirty: 4,
	canary.Freed: 16, canary.FreedTHP: 16, canary.FreedLock: 16,
}

// Marked pages of every kind are in a dump or not, as its level says; level 31 by
// the crash kernel itself, all levels by the same machine's whole memory.
func TestCanaries(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "canary") // the monitor's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	raw := filepath.Join(short, "raw")
	o, err := shared.Run(t.Context(), dir(t), lab.Story{
		MemoryMiB: 768, Canaries: true, Raw: raw,
		Fill: script.Fill{Workers: 1, AnonMiB: 1, CacheMiB: 1},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("panic after %.1f s, end %.1f s later", o.ToPanic.Seconds(), o.ToEnd.Seconds())
	rep, err := o.Canaries()
	if err != nil {
		t.Fatal(err)
	}
	marked := checkReport(t, rep)
	l := left(t, o)
	whole(t, l)
	captured := l.Path(capture.DumpName)

	// QEMU does not know the kernel in its guest; the crash kernel was told
	core, err := vmcore.OpenPath(captured)
	if err != nil {
		t.Fatal(err)
	}
	info := filepath.Join(short, "vmcoreinfo")
	err = os.WriteFile(info, core.VMCoreInfo(), 0o600)
	core.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("spoiled", func(t *testing.T) { // the same memory serves that test too
		src, said, err := source.Open(t.Context(), raw, source.Options{VMCoreInfo: info})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		t.Logf("mended: %q", said)
		spoilReal(t, src)
	})
	counts := map[int][canary.NumClasses]int{}
	for _, level := range []int{0, 1, 2, 4, 8, 16, 31} {
		out := filepath.Join(short, "vmcore")
		if s, code := command(t, "kdump-vmcore", "dump", "-f", "-d", strconv.Itoa(level), "-c", "snappy", "--vmcoreinfo", info, raw, out); code != 0 {
			t.Fatalf("kdump-vmcore dump -d %d: exit %d\n%s", level, code, s)
		}
		counts[level] = countCanaries(t, out)
	}
	t.Logf("%-14s %8s %8s %8s %8s %8s %8s %8s %8s %8s", "pieces of", "marked", "-d 0", "-d 1", "-d 2", "-d 4", "-d 8", "-d 16", "-d 31", "captured")
	inCapture := countCanaries(t, captured)
	expectFreed(t, "level 16", counts[16], rep)
	expectFreed(t, "level 31", counts[31], rep)
	expectFreed(t, "captured", inCapture, rep)
	t.Logf("%d free pages are on lists of CPUs", rep.Held)
	for c := canary.Anon; c < canary.NumClasses; c++ {
		t.Logf("%-14v %8d %8d %8d %8d %8d %8d %8d %8d %8d", c, marked[c],
			counts[0][c], counts[1][c], counts[2][c], counts[4][c], counts[8][c], counts[16][c], counts[31][c], inCapture[c])
		for level, n := range counts {
			expectCanaries(t, c, level, n[c], counts[0][c])
		}
		expectCanaries(t, c, 31, inCapture[c], counts[0][c])
		// what was given back may have been used again
		if all := counts[0][c]; canaryBits[c] == 16 {
			if all < marked[c]/2 || all > marked[c] {
				t.Errorf("%v: %d of %d marked pieces are in the memory, want most", c, all, marked[c])
			}
		} else if all != marked[c] {
			t.Errorf("%v: %d of %d marked pieces are in the memory, want all", c, all, marked[c])
		}
	}
}

// expectCanaries checks the count of one class at one level.
func expectCanaries(t *testing.T, c canary.Class, level, got, all int) {
	t.Helper()
	switch gone := canaryBits[c]&level != 0; {
	case !gone && got != all:
		t.Errorf("level %d: %d of %d pieces of %v are in the dump, want all", level, got, all, c)
	case gone && canaryBits[c] != 16 && got != 0:
		t.Errorf("level %d: %d of %d pieces of %v are in the dump, want none", level, got, all, c)
	}
}

// expectFreed checks what is left of pages that were given back, in a dump
// without free pages. Those on a CPU's own list are not marked free, and nothing
// tells them from pages in use.
func expectFreed(t *testing.T, name string, n [canary.NumClasses]int, rep *canary.Report) {
	t.Helper()
	got := n[canary.Freed] + n[canary.FreedTHP] + n[canary.FreedLock]
	if rep.Held > 2048 {
		t.Errorf("%d free pages are on lists of CPUs: too many to see anything", rep.Held)
	}
	if most := rep.Held * canary.Pieces; got > most {
		t.Errorf("%s: %d pieces of pages that were given back are in the dump, want at most the %d on lists of CPUs", name, got, most)
	}
}

// checkReport makes sure that the guest made what it was to make, and returns the
// pieces by class.
func checkReport(t *testing.T, rep *canary.Report) (marked [canary.NumClasses]int) {
	t.Helper()
	for c := canary.Anon; c < canary.NumClasses; c++ {
		if marked[c] = rep.Pages[c.String()] * canary.Pieces; marked[c] == 0 {
			t.Errorf("the guest marked no page of %v", c)
		}
	}
	if want := rep.Pages[canary.THP.String()] * canary.PageSize / 1024; rep.HugeKiB != want {
		t.Errorf("%d KiB are in transparent huge pages, want %d", rep.HugeKiB, want)
	}
	// the kernel counts by CPU, so its sum is some pages off
	if want := rep.Pages[canary.Dirty.String()] * canary.PageSize / 1024 * 9 / 10; rep.DirtyKiB < want {
		t.Errorf("%d KiB are dirty, want %d or more", rep.DirtyKiB, want)
	}
	return marked
}

// countCanaries looks at every byte of every stored page.
func countCanaries(t *testing.T, path string) (n [canary.NumClasses]int) {
	t.Helper()
	src, err := vmcore.OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stored := src.(vmcore.Kdump).Stored()
	page := make([]byte, src.PageSize())
	for pfn, ok := stored.Next(0); ok; pfn, ok = stored.Next(pfn + 1) {
		if err := r.ReadPhys(page, pfn*src.PageSize()); err != nil {
			t.Fatal(err)
		}
		canary.Count(page, &n)
	}
	return n
}
