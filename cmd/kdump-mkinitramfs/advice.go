package main

import (
	"errors"
	"os"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"github.com/gokdump/gokdump/initramfs/modules"
)

// hinted is an error that knows what to do next.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// advice is the next step after err, empty when the error says it all.
func advice(err error) string {
	var (
		h        *hinted
		missing  *modules.MissingError
		notFound *modules.NotFoundError
		line     *config.Error
		stack    *drivers.StackedError
	)
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &missing):
		return "install that kernel's package, name one that is there with --kernel, or say with --root where its files are unpacked"
	case errors.As(err, &notFound):
		return "if the crash kernel can do without it, name the disk drivers with --drivers or take it out of extra_modules; else install the kernel's package with more modules"
	case errors.As(err, &line):
		return "correct the file; " + name + " --help lists the words that it takes"
	case errors.As(err, &stack):
		return "name a file system that is not on such a device in " + config.File
	case errors.Is(err, blkid.ErrNotFound):
		return "blkid lists the file systems of this host; name one by UUID= or LABEL="
	case errors.Is(err, os.ErrPermission):
		return "run it as root"
	}
	return ""
}
