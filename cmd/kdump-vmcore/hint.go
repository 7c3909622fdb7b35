package main

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// hinted is an error that brings its own advice.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// hint says what to do about err; "" when there is nothing to say.
func hint(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	for _, c := range []struct {
		is   error
		hint string
	}{
		{vmcore.ErrNotCore, "give an ELF core (/proc/vmcore, a copy of it, or one of dump-guest-memory) or a kdump-compressed file"},
		{vmcore.ErrHopeless, "without its headers and bitmaps no page of a dump can be found; only a new dump helps"},
		{vmcore.ErrTruncated, "dump, info and dmesg take what is left of it with --salvage"},
		{dmesg.ErrNoLog, "kdump-vmcore info tells what else is known of this core"},
		{syscall.ENOSPC, "free some room, or write to another file system; a higher dump level (-d 31) stores less"},
		{syscall.EROFS, "write to a file system that is not read-only"},
		{fs.ErrExist, "-f overwrites it"},
		{fs.ErrPermission, "dumps are mostly readable by root alone: try again as root"},
		{fs.ErrNotExist, "check the path"},
	} {
		if errors.Is(err, c.is) {
			return c.hint
		}
	}
	return ""
}
