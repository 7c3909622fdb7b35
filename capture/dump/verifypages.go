package dump

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gokdump/gokdump/capture/pfnset"
)

// decode reads the pages of todo.
func (v *verifier) decode(ctx context.Context, todo *pfnset.Set) error {
	total := todo.Len()
	if total == 0 {
		return nil
	}
	from := &wave{in: todo}
	done := make(chan error)
	n := int(min(uint64(v.workers()), total/blockPages+1))
	for range n {
		go func() { done <- fenced(func() error { return v.pages(ctx, from) }) }()
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var errs []error
	for n > 0 {
		select {
		case err := <-done:
			errs = append(errs, err)
			n--
		case <-ticker.C:
			v.show(total)
		}
	}
	v.show(total)
	return errors.Join(errs...)
}

func (v *verifier) show(total uint64) {
	if v.opt.Progress != nil {
		n := v.decoded.Load()
		v.opt.Progress(Progress{Done: n, Total: total, BytesIn: n * uint64(v.h.BlockSize)})
	}
}

// workers is how many goroutines read.
func (v *verifier) workers() int {
	if v.opt.Workers <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return min(v.opt.Workers, 1024)
}

// fenced makes a panic, of a decoder say, an error: it would take the whole capture with
// it, and the dump is written already.
func fenced(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("dump: internal error: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// pages decodes blocks of pages.
func (v *verifier) pages(ctx context.Context, from *wave) error {
	r, err := v.k.NewReader()
	if err != nil {
		return err
	}
	defer r.Close()
	page := make([]byte, v.h.BlockSize)
	pfns := make([]uint64, blockPages)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := from.take(pfns)
		if n == 0 {
			return nil
		}
		for _, pfn := range pfns[:n] {
			if err := r.ReadPhys(page, pfn*uint64(len(page))); err != nil {
				v.bad("%w", err)
			}
			v.decoded.Add(1)
		}
	}
}
