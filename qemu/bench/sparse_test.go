package main

import (
	"fmt"
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
	for _, varied := range []bool{false, true} {
		t.Run(fmt.Sprintf("varied=%v", varied), func(t *testing.T) { checkSparse(t, varied) })
	}
}

func checkSparse(t *testing.T, varied bool) {
	name := filepath.Join(t.TempDir(), "core")
	const size = 16 << 30
	if err := writeSparse(name, size, varied); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(name); err != nil || st.Sys().(*syscall.Stat_t).Blocks*512 > 32<<20 {
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
	used := uint64(mapsAt+size/sectionSize*mapSize+sectionSize-1) / sectionSize * sectionSize
	free, kept := (size-used)/pageSize, used/pageSize
	if varied {
		free, kept = free/2, kept+free/32
	}
	if res.Counts[filter.Free] != free || res.Keep.Len() != kept {
		t.Errorf("%d free pages, want %d; %d kept, want %d; all: %v", res.Counts[filter.Free], free, res.Keep.Len(), kept, res.Counts)
	}
}
