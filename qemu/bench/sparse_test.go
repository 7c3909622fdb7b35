package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// The scan must believe a sparse core: else it would measure something else.
func TestSparse(t *testing.T) {
	name := filepath.Join(t.TempDir(), "core")
	const size = 16 << 30
	if err := writeSparse(name, size); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(name); err != nil || st.Sys().(*syscall.Stat_t).Blocks*512 > size/60 {
		t.Errorf("it is not sparse: %d blocks, %v", st.Sys().(*syscall.Stat_t).Blocks, err)
	}
	src, err := vmcore.OpenPath(name)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		t.Fatal(err)
	}
	res, err := filter.Scan(t.Context(), src, info, filter.Options{Level: 31})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) > 0 {
		t.Errorf("warnings: %q", res.Warnings)
	}
	used := uint64(mapsAt + size/sectionSize*mapSize)
	if got, want := res.Counts[filter.Free], (size-used)/pageSize; got != want {
		t.Errorf("%d free pages, want %d; all: %v", got, want, res.Counts)
	}
}
