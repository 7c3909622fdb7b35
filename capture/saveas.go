package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// SaveELF is [Save] with an ELF core as its output; Codec has no meaning. With
// level bit 1, long runs of pages of zeros are left out. VerifyAll compares every
// page that was written with the core.
func SaveELF(ctx context.Context, src vmcore.Source, out SaveOutput, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	s.out = out
	err := s.steps(ctx, func() error { return s.writeELF(ctx, out) }, func() error { return s.verifyELF(ctx) })
	return s.res, err
}

// SaveFlat is [Save], or with elf [SaveELF], into a stream in the flattened
// format, for a pipe. What went down a pipe cannot be read back: nothing is
// verified, and the result's Opens says that all of the kernel's own pages went
// down it. Bytes counts the stream. A dump that
// was cut short because ctx ended is a whole stream of a dump that is marked
// incomplete.
func SaveFlat(ctx context.Context, src vmcore.Source, w io.Writer, elf bool, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	err := s.steps(ctx, func() error {
		f, err := dump.NewFlat(w)
		if err != nil {
			return err
		}
		if elf {
			err = s.writeELF(ctx, f)
		} else {
			err = s.write(ctx, f, nil)
		}
		if err == nil {
			err = f.Close()
		}
		s.res.Bytes = f.Written()
		s.res.Opens = err == nil && s.likely()
		return err
	}, nil)
	return s.res, err
}

func (s *save) writeELF(ctx context.Context, out dump.Output) error {
	st, err := dump.WriteELF(ctx, out, s.src, s.sel, dump.ELFOptions{
		Views: s.views(ctx), DropZeros: s.opt.Level&1 != 0, Progress: s.written,
	})
	s.wrote(st)
	return err
}

// verifyELF opens the core that was written as its readers will.
func (s *save) verifyELF(ctx context.Context) error {
	core, err := vmcore.OpenELF(vmcore.NewFile(s.out, s.out.Size()))
	if err != nil {
		return err
	}
	defer core.Close()
	if err := s.opens(core); err == nil {
		s.res.Opens = true
	} else if s.named && !s.res.Partial {
		return fmt.Errorf("%w: %w", dump.ErrUnsound, err)
	}
	if s.res.Partial || !s.opt.VerifyAll {
		return nil
	}
	return s.compare(ctx, core)
}

// compare holds every page that was kept against the core that it is from.
func (s *save) compare(ctx context.Context, core vmcore.Source) error {
	in, err := s.src.NewReader()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := core.NewReader()
	if err != nil {
		return err
	}
	defer out.Close()
	size := s.src.PageSize()
	a, b, zeros := make([]byte, size), make([]byte, size), make([]byte, size)
	for pfn, ok := s.sel.Keep.Next(0); ok; pfn, ok = s.sel.Keep.Next(pfn + 1) {
		if ctx.Err() != nil {
			s.warn("there was no time to read back all that was written")
			return nil
		}
		if in.ReadPhys(a, pfn*size) != nil { // was counted when it was written
			continue
		}
		err := out.ReadPhys(b, pfn*size)
		switch {
		case errors.Is(err, vmcore.ErrNoPage) && bytes.Equal(a, zeros): // left out as zeros
		case err != nil:
			return fmt.Errorf("%w: %w", dump.ErrUnsound, err)
		case !bytes.Equal(a, b):
			return fmt.Errorf("%w: the page at physical address %#x is not the core's", dump.ErrUnsound, pfn*size)
		}
		s.res.VerifiedPages++
		if pfn%1024 == 0 {
			s.progress(Progress{Done: s.res.VerifiedPages, Total: s.res.StoredPages, BytesIn: s.res.VerifiedPages * size})
		}
	}
	return nil
}

// SaveSplit is [Save] into a set of files, each of which has a part of the pages
// and all of the headers. A set cannot be cut short: when ctx ends or a disk is
// full, that is an error.
func SaveSplit(ctx context.Context, src vmcore.Source, outs []SaveOutput, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	var parts []dump.Split
	var proofs []*dump.Written
	err := s.steps(ctx, func() (err error) {
		if parts, err = dump.Splits(src, s.sel, len(outs)); err != nil {
			return err
		}
		for i, out := range outs {
			if err := s.write(ctx, out, &parts[i]); err != nil {
				return fmt.Errorf("file %d of %d: %w", i+1, len(outs), err)
			}
			proofs = append(proofs, s.proof)
		}
		return nil
	}, func() error {
		for i, out := range outs {
			if err := s.verifyPart(ctx, out, parts[i], proofs[i]); err != nil {
				return fmt.Errorf("file %d of %d: %w", i+1, len(outs), err)
			}
		}
		return nil
	})
	return s.res, err
}

// verifyPart is verify for one file of a set.
func (s *save) verifyPart(ctx context.Context, out SaveOutput, part dump.Split, proof *dump.Written) error {
	k, err := vmcore.OpenKdump(vmcore.NewFile(out, out.Size()))
	if err != nil {
		return err
	}
	defer k.Close()
	var must *pfnset.Set
	if all := s.must(k); all != nil {
		must = all
		must.RemoveRange(0, part.Start)
		must.RemoveRange(part.End, must.Limit())
	}
	every := max(sampleEvery, k.Stored().Len()/maxSample)
	if s.opt.VerifyAll {
		every = 1
	}
	opt := dump.VerifyOptions{Every: every, Must: must, Written: proof, Workers: s.opt.Workers}
	if proof != nil {
		opt.MustEvery = every
	}
	check, err := dump.Verify(ctx, k, opt)
	s.res.VerifiedPages += check.Decoded + check.Compared
	return err
}
