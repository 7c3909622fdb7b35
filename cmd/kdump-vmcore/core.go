package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// core is an open core with what its kernel tells of itself.
type core struct {
	path string
	src  vmcore.Source
	mem  vmcore.Reader
	// mended tells what was found, mended or dropped on opening.
	mended []string
	// info is nil, and infoErr says why, when the core does not describe its
	// kernel; space likewise when its addresses cannot be translated.
	info     *kernel.Info
	infoErr  error
	space    *kernel.Space
	spaceErr error
}

// openCore opens a core. What cannot be told of the kernel is no error here.
func openCore(ctx context.Context, path string, opt source.Options) (*core, error) {
	src, mended, err := openSource(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	c := &core{path: path, src: src, mended: mended}
	if c.mem, err = src.NewReader(); err != nil {
		src.Close()
		return nil, err
	}
	if src.VMCoreInfo() == nil {
		c.infoErr = hinted{fmt.Errorf("%s: there is no VMCOREINFO note", path), "--vmcoreinfo FILE gives it, from a core of the same boot"}
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

// searchLimit bounds the search of a core's memory for VMCOREINFO. It reads a
// few GiB in each second, and finds it early.
const searchLimit = 10 * time.Minute

// openSource opens a core of any kind, mended. The strings tell what was mended.
func openSource(ctx context.Context, path string, opt source.Options) (vmcore.Source, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	return source.Open(ctx, path, opt)
}

// sourceFlags adds the flags that say how a core is opened.
func sourceFlags(fs *flag.FlagSet) *source.Options {
	var opt source.Options
	fs.BoolVar(&opt.Salvage, "salvage", false, "")
	fs.StringVar(&opt.VMCoreInfo, "vmcoreinfo", "", "")
	return &opt
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
