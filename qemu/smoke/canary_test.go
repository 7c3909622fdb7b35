//go:build vm

package smoke

import (
	"fmt"
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
	canary.Shmem: 2 | 4, canary.Memfd: 2 | 4, canary.Young: 2 | 4, canary.Clean: 2 | 4, canary.Dirty: 4,
	canary.Freed: 16, canary.FreedTHP: 16, canary.FreedLock: 16,
}

// canaryLevels are a row each: no bit, each bit, and all.
var canaryLevels = []int{0, 1, 2, 4, 8, 16, 31}

// Marked pages of every kind are in a dump or not, as its level says; level 31 by
// the crash kernel itself, all levels by the same machine's whole memory. Not a byte
// is left of what a level leaves out once pages are where the kernel has them in time;
// right after they were given back, some are on lists of CPUs and nothing on them says
// that they are free.
func TestCanaries(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "canary") // the monitor's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	raw, rawFreed := filepath.Join(short, "raw"), filepath.Join(short, "freed")
	o, err := shared.Run(t.Context(), dir(t), lab.Story{
		MemoryMiB: 768, Canaries: true, Raw: raw, RawFreed: rawFreed,
		Fill: script.Fill{Workers: 1, AnonMiB: 1, CacheMiB: 1},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("panic after %.1f s, end %.1f s later", o.ToPanic.Seconds(), o.ToEnd.Seconds())
	rep, freed := canaryReport(t, o, canary.ReportPrefix), canaryReport(t, o, canary.FreedPrefix)
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
		spoilReal(t, src, "")
	})
	inCapture := countCanaries(t, captured)
	t.Run("drained", func(t *testing.T) {
		counts := countLevels(t, raw, info)
		showCanaries(t, marked, counts, &inCapture)
		for c := canary.Anon; c < canary.NumClasses; c++ {
			all := counts[0][c]
			for level, n := range counts {
				expectCanaries(t, c, level, n[c], all, 0)
			}
			expectCanaries(t, c, 31, inCapture[c], all, 0)
			expectAll(t, c, all, marked[c])
		}
	})
	t.Run("just-freed", func(t *testing.T) {
		counts := countLevels(t, rawFreed, info)
		showCanaries(t, marked, counts, nil)
		t.Logf("%d free pages are on lists of CPUs", freed.Held)
		for c := canary.Anon; c < canary.NumClasses; c++ {
			waiting := waitingPages(c, freed.Held) * canary.Pieces
			for level, n := range counts {
				expectCanaries(t, c, level, n[c], counts[0][c], waiting)
			}
			expectAll(t, c, counts[0][c], marked[c])
		}
	})
}

func canaryReport(t *testing.T, o *lab.Outcome, prefix string) *canary.Report {
	t.Helper()
	rep, err := o.Canaries(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// countLevels counts the canaries in a dump of each level of a machine's memory.
func countLevels(t *testing.T, raw, info string) map[int][canary.NumClasses]int {
	t.Helper()
	counts := map[int][canary.NumClasses]int{}
	for _, level := range canaryLevels {
		out := raw + ".kdump"
		if s, code := command(t, "kdump-vmcore", "dump", "-f", "-d", strconv.Itoa(level), "-c", "snappy", "--vmcoreinfo", info, raw, out); code != 0 {
			t.Fatalf("kdump-vmcore dump -d %d: exit %d\n%s", level, code, s)
		}
		counts[level] = countCanaries(t, out)
	}
	return counts
}

// showCanaries prints the table; captured may be nil.
func showCanaries(t *testing.T, marked [canary.NumClasses]int, counts map[int][canary.NumClasses]int, captured *[canary.NumClasses]int) {
	t.Helper()
	line := fmt.Sprintf("%-14s %8s", "pieces of", "marked")
	for _, level := range canaryLevels {
		line += fmt.Sprintf(" %8s", "-d "+strconv.Itoa(level))
	}
	if captured != nil {
		line += " captured"
	}
	t.Log(line)
	for c := canary.Anon; c < canary.NumClasses; c++ {
		line := fmt.Sprintf("%-14v %8d", c, marked[c])
		for _, level := range canaryLevels {
			line += fmt.Sprintf(" %8d", counts[level][c])
		}
		if captured != nil {
			line += fmt.Sprintf(" %8d", captured[c])
		}
		t.Log(line)
	}
}

// waitingPages is how many pages of a class may be on lists of the two CPUs, which
// leave no mark on them: free ones as many as the kernel says, new ones of page cache
// up to 15 of each CPU (include/linux/pagevec.h, PAGEVEC_SIZE of 6.1).
func waitingPages(c canary.Class, held int) int {
	switch bits := canaryBits[c]; {
	case bits == 16:
		return held
	case bits&4 != 0:
		return 2 * 15
	}
	return 0
}

// expectAll checks that a class's pieces are all in the memory.
func expectAll(t *testing.T, c canary.Class, all, marked int) {
	t.Helper()
	// what was given back may have been used again
	if canaryBits[c] == 16 {
		if all < marked/2 || all > marked {
			t.Errorf("%v: %d of %d marked pieces are in the memory, want most", c, all, marked)
		}
	} else if all != marked {
		t.Errorf("%v: %d of %d marked pieces are in the memory, want all", c, all, marked)
	}
}

// expectCanaries checks the count of one class at one level. Of what the level leaves
// out, no more than the waiting pieces may be there.
func expectCanaries(t *testing.T, c canary.Class, level, got, all, waiting int) {
	t.Helper()
	switch gone := canaryBits[c]&level != 0; {
	case !gone && got != all:
		t.Errorf("level %d: %d of %d pieces of %v are in the dump, want all", level, got, all, c)
	case gone && got > waiting:
		t.Errorf("level %d: %d of %d pieces of %v are in the dump, want %d at most", level, got, all, c, waiting)
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
