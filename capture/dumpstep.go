package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/codec"
)

// saveDump filters the core into the dump file. Only a dump that was read back
// and is durable gets the name vmcore; one that was cut short gets another, and
// one that is of no use stays .incomplete.
func (r *run) saveDump(ctx context.Context) error {
	id, err := codec.Parse(r.rep.Codec)
	if err != nil {
		return err
	}
	f, err := r.secret.Create(r.secretName(DumpName))
	if err != nil {
		return err
	}
	defer f.Abandon()
	res, err := Save(ctx, r.src, f, SaveOptions{
		Level:   r.rep.Level,
		Codec:   id,
		Workers: r.cfg.Plan.Dump.Workers,
		Event:   func(e Event) { r.tell(e) },

		VerifyMust: true,
	})
	r.note(res)
	if err != nil {
		return err
	}
	if !res.Partial {
		if err := f.Commit(); err != nil {
			return err
		}
		r.rep.Result = Complete
		r.wrote(f)
		return nil
	}
	if err := f.CommitAs(r.secretName(PartialName)); err != nil {
		return errors.Join(res.Cause, err)
	}
	r.rep.Result = Partial
	r.wrote(f)
	cause := res.Cause
	if cause == nil {
		cause = errors.New("the dump was cut short")
	}
	if !res.Opens {
		cause = fmt.Errorf("%w; too little was saved for the usual tools to open it", cause)
	}
	return cause
}

// note takes what Save tells into the report.
func (r *run) note(res *SaveResult) {
	if res == nil {
		return
	}
	p := r.rep
	p.Pages = res.Pages
	p.RAMPages, p.StoredPages = res.RAMPages, res.StoredPages
	p.LeftOutPages, p.UnreadablePages = res.LeftOutPages, res.UnreadablePages
	p.PageSize, p.CPUs, p.Workers = res.PageSize, res.CPUs, res.Workers
	p.Steps = append(p.Steps, res.Steps...)
	for _, w := range res.Warnings {
		r.warn("%s", w)
	}
}
