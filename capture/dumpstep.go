package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// saveDump filters the core into the dump file. Only a dump that was read back
// and is durable gets the name vmcore; one that was cut short gets another, and
// one that is of no use stays .incomplete. A target that takes files from front to
// back only gets a flattened stream.
func (r *run) saveDump(ctx context.Context) error {
	id, err := codec.Parse(r.rep.Codec)
	if err != nil {
		return err
	}
	name, partial, save := DumpName, PartialName, Save
	if target.IsSequential(r.secret) {
		name, partial, save = FlatName, PartialFlatName, saveFlat
	}
	f, err := r.secret.Create(r.secretName(name))
	if err != nil {
		return err
	}
	defer f.Abandon()
	res, err := save(ctx, r.src, f, SaveOptions{
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
		r.saved(f, res)
		return nil
	}
	if err := f.CommitAs(r.secretName(partial)); err != nil {
		return errors.Join(res.Cause, err)
	}
	r.rep.Result = Partial
	r.saved(f, res)
	cause := res.Cause
	if cause == nil {
		cause = errors.New("the dump was cut short")
	}
	switch {
	case !res.Opens:
		cause = fmt.Errorf("%w; too little was saved for the usual tools to open it", cause)
	case res.EssentialMissing > 0:
		cause = fmt.Errorf("%w; %d pages of the kernel's own are missing: tasks and stacks may be, and the usual tools may not open it", cause, res.EssentialMissing)
	}
	return cause
}

// saveFlat is [SaveFlat] for files.
func saveFlat(ctx context.Context, src vmcore.Source, out SaveOutput, opt SaveOptions) (*SaveResult, error) {
	return SaveFlat(ctx, src, out.(target.File), false, opt)
}

// saved notes a dump that has its name.
func (r *run) saved(f target.File, res *SaveResult) {
	r.wrote(f)
	r.rep.VerifiedPages = res.VerifiedPages
	if p, ok := f.(target.Prover); ok {
		r.rep.Proof = p.Proof()
	}
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
