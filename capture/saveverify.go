package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// verifyGrace is how long a dump may be read back after the time for the capture
// is over. Only what no dump can do without is read then.
const verifyGrace = 10 * time.Second

// One of so many pages is decoded when not all are: of those that readers cannot
// do without, where their bytes cannot be compared with what was written, and of the
// others. What a bad disk or bad memory does to a file, it does to more than a page.
const (
	mustEvery   = 8
	sampleEvery = 64
	maxSample   = 64 << 10 // pages, which tell as much of a large dump
)

// verify reads back what was written: bitmaps and descriptors, which must have the
// pages that readers cannot do without, and the bytes of those; the kernel's name,
// the way to which is through its page tables; and as many pages as is asked for.
// When the time is over, those that readers can do without are left alone.
//
// What cannot be read back is taken at the word of the output, which then has to
// prove what it has: target.Prover.
func (s *save) verify(ctx context.Context) error {
	if s.once {
		s.res.Opens = s.likely()
		return nil
	}
	if out, ok := s.out.(interface{ Uncache() error }); ok && s.opt.VerifyMust {
		if err := out.Uncache(); err != nil { // then it is the page cache that is read
			s.warn("%v", err)
		}
	}
	s.sel.Keep, s.sel.RAM = nil, nil // the dump has its own, and both may be large
	k, err := vmcore.OpenKdump(vmcore.NewFile(s.out, s.out.Size()))
	if err != nil {
		return err
	}
	defer k.Close()
	if n := k.Stored().Len(); n != s.res.StoredPages {
		return fmt.Errorf("%w: it has %d pages, %d were written", dump.ErrUnsound, n, s.res.StoredPages)
	}
	if err := s.opens(k); err == nil {
		s.res.Opens = true
	} else if s.named && !s.res.Partial {
		return fmt.Errorf("%w: %w", dump.ErrUnsound, err)
	}
	every := max(sampleEvery, k.Stored().Len()/maxSample)
	opt := dump.VerifyOptions{Every: every, Must: s.must(k), MustEvery: mustEvery, Workers: s.opt.Workers, Progress: func(p dump.Progress) {
		s.progress(Progress{Done: p.Done, Total: p.Total, BytesIn: p.BytesIn})
	}}
	switch {
	case s.proof != nil: // what is on the disk is what was encoded
		opt.Written, opt.MustEvery = s.proof, every
	case s.opt.VerifyMust:
		opt.MustEvery = 1
	}
	if d, ok := s.out.(interface{ Doubtful() bool }); s.opt.VerifyAll || ok && d.Doubtful() {
		opt.Every, opt.MustEvery = 1, 1
	}
	check, err := dump.Verify(ctx, k, opt)
	s.res.VerifiedPages = check.Decoded + check.Compared
	if err == nil || errors.Is(err, dump.ErrUnsound) || ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyGrace)
	defer cancel()
	opt.Every = 0
	check, late := dump.Verify(ctx, k, opt)
	s.res.VerifiedPages = max(s.res.VerifiedPages, check.Decoded+check.Compared)
	if errors.Is(late, dump.ErrUnsound) || late != nil && ctx.Err() == nil {
		return late
	}
	if late != nil {
		s.warn("there was no time to read back what was written: %v", late)
		s.res.Partial, s.res.Cause = true, cmp.Or(s.res.Cause, err)
	} else if !s.res.Partial {
		s.warn("there was no time to read back more than the pages that every reader needs")
	}
	return nil
}

// likely tells of a dump that cannot be read back that it opens: the kernel's name
// could be read from the core, and nothing of the kernel's own is missing.
func (s *save) likely() bool { return s.named && s.res.EssentialMissing == 0 }

// opens reads the kernel's name from the dump as its readers will.
func (s *save) opens(k vmcore.Source) error {
	info, err := kernel.ParseInfo(k.VMCoreInfo())
	if err != nil {
		return err
	}
	_, _, err = identity(k, info)
	return err
}

// must is the pages that have to be in the dump k. In one that lacks pages for
// a reason that is known already, it is those that are there.
func (s *save) must(k vmcore.Kdump) *pfnset.Set {
	if s.sel.First == nil {
		return nil
	}
	must := s.sel.First.Clone()
	if old, ok := s.src.(interface{ Stored() *pfnset.Set }); ok {
		must.KeepOnly(old.Stored())
	}
	if s.res.Partial || s.res.UnreadablePages > 0 {
		must.KeepOnly(k.Stored())
	}
	return must
}
