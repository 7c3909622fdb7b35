package main

import (
	"context"
	"errors"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// checkKdump checks all descriptors and decodes all pages.
func (r *verifyResult) checkKdump(ctx context.Context, k vmcore.Kdump, p *progress) {
	start := time.Now()
	check, err := dump.Verify(ctx, k, dump.VerifyOptions{Every: 1, Progress: func(d dump.Progress) {
		p.event(capture.Event{Step: "verify", Progress: &capture.Progress{
			Done: d.Done, Total: d.Total, BytesIn: d.BytesIn, Elapsed: time.Since(start),
		}})
	}})
	r.Pages, r.BadPages = check.Pages, check.Bad
	for _, e := range check.Problems {
		r.problem(e)
	}
	switch {
	case ctx.Err() != nil:
		r.problem(errors.New("interrupted: not all pages were read"))
	case err != nil && len(check.Problems) == 0:
		r.problem(err)
	}
}
