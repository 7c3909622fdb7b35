package main

import (
	"fmt"
	"io"
	"syscall"

	"github.com/gokdump/gokdump/capture"
)

// limitError says that a dump would get larger than its user wants. It is what a
// file system says of a file that is too large, so that the dump is finished
// with what fits.
type limitError struct{ limit int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the size limit of %d bytes is reached", e.limit)
}
func (e *limitError) Unwrap() error { return syscall.EFBIG }

// limitOutput makes out fail beyond limit bytes; 0 is no limit.
func limitOutput(out capture.SaveOutput, limit int64) capture.SaveOutput {
	if limit == 0 {
		return out
	}
	return &limitedOutput{out, limit}
}

type limitedOutput struct {
	capture.SaveOutput
	limit int64
}

func (l *limitedOutput) WriteAt(p []byte, off int64) (int, error) {
	fits := int(min(int64(len(p)), max(0, l.limit-off)))
	n, err := l.SaveOutput.WriteAt(p[:fits], off)
	if err == nil && fits < len(p) {
		err = &limitError{l.limit}
	}
	return n, err
}

// Allocate is the output's own, if it has one.
func (l *limitedOutput) Allocate(off, n int64) error {
	if off+n > l.limit {
		return &limitError{l.limit}
	}
	if a, ok := l.SaveOutput.(interface{ Allocate(off, n int64) error }); ok {
		return a.Allocate(off, n)
	}
	return syscall.ENOTSUP
}

// limitWriter makes w fail beyond limit bytes; 0 is no limit.
func limitWriter(w io.Writer, limit int64) io.Writer {
	if limit == 0 {
		return w
	}
	return &limitedWriter{w, limit, limit}
}

type limitedWriter struct {
	w           io.Writer
	left, limit int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, &limitError{l.limit}
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	return n, err
}
