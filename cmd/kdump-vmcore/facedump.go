package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// errIncomplete says that a dump had to end early: it is there, and is a sound
// one of fewer pages.
type errIncomplete struct {
	name string
	res  *capture.SaveResult
}

func (e *errIncomplete) Error() string {
	return fmt.Sprintf("%s is incomplete: %v; %s", e.name, e.res.Cause, partialHint(e.name, e.res))
}

// open opens the core that is named first.
func (f *face) open(ctx context.Context) (vmcore.Source, error) {
	path := f.opt.operands[0]
	src, mended, err := openSource(ctx, path, source.Options{VMCoreInfo: f.opt.vmcoreinfo})
	if err != nil {
		return nil, err
	}
	for _, m := range mended {
		f.common("%s: %s", path, m)
	}
	f.tell(src)
	if f.opt.vmlinux != "" {
		if err := checkKernel(src, f.opt.vmlinux); err != nil {
			src.Close()
			return nil, err
		}
	}
	return src, nil
}

// dump makes a dump, or a set of files of one.
func (f *face) dump(ctx context.Context) error {
	if f.opt.flat && !f.opt.dryRun && f.stdoutIsTerminal() {
		return hinted{errors.New("a dump is not for a terminal"), "give standard output to a file or a pipe"}
	}
	src, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	for i, level := range f.opt.levels {
		opt := capture.SaveOptions{Level: level, Codec: f.opt.codec, Workers: f.opt.threads, Event: f.event}
		last := i == len(f.opt.levels)-1
		var name string
		var res *capture.SaveResult
		name, res, err = f.once(ctx, src, opt)
		f.warn(res.Warnings)
		cause := err
		if err == nil && res.Partial {
			cause = res.Cause
		}
		if cause != nil && isFull(cause) && !last && !f.started() {
			f.common("level %d: %v: level %d is next", level, cause, f.opt.levels[i+1])
			if strings.HasSuffix(name, target.Incomplete) {
				os.Remove(name)
			}
			continue
		}
		if err == nil && res.Partial {
			err = f.keep(name, res)
		}
		f.report(level, res)
		if err == nil && !f.opt.dryRun {
			f.common("%s: %s, %d of %d pages, level %d", name, capture.Bytes(uint64(res.Bytes)), res.StoredPages, res.RAMPages, level)
		}
		if err == nil && f.opt.dryRun {
			f.common("%s would take %d bytes (%s): %d of %d pages, level %d; nothing was written",
				name, res.Bytes, capture.Bytes(uint64(res.Bytes)), res.StoredPages, res.RAMPages, level)
		}
		break
	}
	return err
}

// keep gives a dump that had to end early its name: who calls makedumpfile looks
// for the file where it was to be, and at the exit code. The header says that it
// is incomplete. The error, never nil, tells why it is.
func (f *face) keep(name string, res *capture.SaveResult) error {
	whole := strings.TrimSuffix(name, target.Incomplete)
	if whole != name {
		if err := os.Rename(name, whole); err != nil {
			return errors.Join(&errIncomplete{name, res}, err)
		}
	}
	return &errIncomplete{whole, res}
}

// started tells whether what was written cannot be taken back.
func (f *face) started() bool { return f.opt.flat && !f.opt.dryRun }

// isFull tells whether err says that there is no more room, or that the limit of
// -L was reached.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// once makes a dump of one level. The result is never nil.
func (f *face) once(ctx context.Context, src vmcore.Source, opt capture.SaveOptions) (string, *capture.SaveResult, error) {
	in, outs := f.opt.operands[0], f.opt.operands[1:]
	limit := f.opt.limit
	switch {
	case f.opt.dryRun:
		name := "the dump"
		if len(outs) > 0 {
			name = strings.Join(outs, ", ")
		}
		res, err := capture.DryRun(ctx, src, f.opt.elf, opt)
		if err == nil && limit > 0 && res.Bytes > limit {
			err = &limitError{limit}
		}
		return name, res, err
	case f.opt.flat:
		res, err := capture.SaveFlat(ctx, src, limitWriter(f.stdout, limit), f.opt.elf, opt)
		return "standard output", res, err
	case f.opt.mode == modeSplit:
		res, err := makeSet(ctx, src, in, outs, f.opt.force, opt, limit)
		return strings.Join(outs, ", "), res, err
	}
	save := capture.Save
	if f.opt.elf {
		save = capture.SaveELF
	}
	limited := func(ctx context.Context, src vmcore.Source, out capture.SaveOutput, opt capture.SaveOptions) (*capture.SaveResult, error) {
		return save(ctx, src, limitOutput(out, limit), opt)
	}
	return makeFile(ctx, src, in, outs[0], f.opt.force, opt, limited)
}

// reassemble makes one file of a set.
func (f *face) reassemble(ctx context.Context) error {
	ins, out := f.opt.operands[:len(f.opt.operands)-1], f.opt.operands[len(f.opt.operands)-1]
	src, err := openSet(ctx, ins)
	if err != nil {
		return err
	}
	defer src.Close()
	for _, in := range ins {
		if err := checkOut(in, out); err != nil {
			return err
		}
	}
	opt := capture.SaveOptions{Codec: codecOf(src), Workers: f.opt.threads, Event: f.event}
	name, res, err := makeFile(ctx, src, ins[0], out, f.opt.force, opt, capture.Save)
	f.warn(res.Warnings)
	if err == nil && res.Partial {
		err = &errIncomplete{name, res}
	}
	if err == nil {
		f.report(0, res)
		f.common("%s: %s, %d of %d pages", name, capture.Bytes(uint64(res.Bytes)), res.StoredPages, res.RAMPages)
	}
	return err
}

// unflatten makes a dump of a flattened one from standard input.
func (f *face) unflatten(context.Context) error {
	out := f.opt.operands[0]
	name, u, err := unflattenFile(os.Stdin, out, f.opt.force)
	if err != nil && name != "" {
		return fmt.Errorf("%w; %d records are in %s", err, u.Records, name)
	}
	if err == nil {
		f.common("%s: %s from %d records", out, capture.Bytes(uint64(u.Size)), u.Records)
	}
	return err
}
