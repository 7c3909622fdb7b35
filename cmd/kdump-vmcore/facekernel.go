package main

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// mismatchError says that a core is of another kernel than a vmlinux.
type mismatchError struct{ error }

// maxNotes bounds the notes of a vmlinux, in bytes.
const maxNotes = 1 << 20

// checkKernel compares the build ID of a vmlinux with the core's.
func checkKernel(src vmcore.Source, vmlinux string) error {
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		return err
	}
	e, err := elf.Open(vmlinux)
	if err != nil {
		return fmt.Errorf("%s: %w", vmlinux, err)
	}
	defer e.Close()
	var ids []string
	for _, s := range e.Sections {
		if s.Type != elf.SHT_NOTE || s.Size > maxNotes {
			continue
		}
		b, err := s.Data()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", vmlinux, s.Name, err)
		}
		const buildID = 3 // NT_GNU_BUILD_ID of elf.h
		for n := range vmcore.EachNote(b) {
			if n.Name == "GNU" && n.Type == buildID {
				ids = append(ids, hex.EncodeToString(n.Desc))
			}
		}
	}
	if info.BuildID == "" || len(ids) == 0 {
		return fmt.Errorf("%s: the build ID of the vmlinux, or of the core, is not known: leave out -x, VMCOREINFO is enough", vmlinux)
	}
	if !slices.Contains(ids, info.BuildID) {
		return mismatchError{fmt.Errorf("%s has the build ID %s, the kernel that crashed, %s, has %s", vmlinux, ids[0], info.Release, info.BuildID)}
	}
	return nil
}
