package main

import (
	"fmt"

	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// core is an open core with what its kernel tells of itself.
type core struct {
	path string
	src  vmcore.Source
	mem  vmcore.Reader
	// info is nil, and infoErr says why, when the core does not describe its
	// kernel; space likewise when its addresses cannot be translated.
	info     *kernel.Info
	infoErr  error
	space    *kernel.Space
	spaceErr error
}

// openCore opens a core. What cannot be told of the kernel is no error here.
func openCore(path string, salvage bool) (*core, error) {
	src, err := openSource(path, salvage)
	if err != nil {
		return nil, err
	}
	c := &core{path: path, src: src}
	if c.mem, err = src.NewReader(); err != nil {
		src.Close()
		return nil, err
	}
	if src.VMCoreInfo() == nil {
		c.infoErr = fmt.Errorf("%s: there is no VMCOREINFO note", path)
	} else if c.info, err = kernel.ParseInfo(src.VMCoreInfo()); err != nil {
		c.infoErr = fmt.Errorf("%s: %w", path, err)
	}
	if c.spaceErr = c.infoErr; c.infoErr == nil {
		if c.space, err = kernel.NewSpace(c.info, src.Machine(), c.mem); err != nil {
			c.spaceErr = fmt.Errorf("%s: %w", path, err)
		}
	}
	return c, nil
}

// openSource opens a core; with salvage also one that is cut short.
func openSource(path string, salvage bool) (vmcore.Source, error) {
	if salvage {
		return vmcore.OpenPath(path, vmcore.Salvage())
	}
	return vmcore.OpenPath(path)
}

func (c *core) Close() {
	c.mem.Close()
	c.src.Close()
}

// log reads the kernel log.
func (c *core) log() (*dmesg.Log, error) {
	if c.spaceErr != nil {
		return nil, c.spaceErr
	}
	log, err := dmesg.Read(c.info, c.space)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return log, nil
}

func (c *core) uname() (vmcore.Uname, error) {
	if c.spaceErr != nil {
		return vmcore.Uname{}, c.spaceErr
	}
	return kernel.ReadUname(c.info, c.space)
}
