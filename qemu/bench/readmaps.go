package main

import (
	"fmt"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// readMapsFlag makes this program read the struct pages of a core, and nothing else,
// to compare the filter with.
const readMapsFlag = "--read-maps"

// readMaps reads all struct pages of a core, section by section, and throws them away.
func readMaps(core string) error {
	src, err := vmcore.OpenPath(core)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		return err
	}
	r, err := src.NewReader()
	if err != nil {
		return err
	}
	defer r.Close()
	space, err := kernel.NewSpace(info, src.Machine(), r)
	if err != nil {
		return err
	}
	m, err := kernel.NewMemMap(info, space, src.RAM())
	if err != nil {
		return err
	}
	size, _ := info.Size("page")
	var buf []byte
	read := uint64(0)
	for _, s := range m.Sections {
		n := (s.End - s.Start) * size
		if uint64(len(buf)) < n {
			buf = make([]byte, n)
		}
		if space.ReadVirt(buf[:n], s.Map) == nil {
			read += n
		}
	}
	fmt.Printf("%d bytes of struct pages of %d sections\n", read, len(m.Sections))
	return nil
}
