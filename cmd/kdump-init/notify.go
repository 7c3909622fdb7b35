//go:build notify && net

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/notify"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
)

// reachLimit is how long the hook's server may take to answer at all: the rest of the
// time is for posting.
const reachLimit = 30 * time.Second

// post posts a report and notes that beside it.
func (w *network) post(ctx context.Context, n *plan.Notify, rep *capture.Report, t target.Target) error {
	host, port := notify.Server(n.URL)
	reach, cancel := context.WithTimeoutCause(ctx, reachLimit, fmt.Errorf("waited for %v", reachLimit))
	defer cancel()
	at, err := w.ask(reach, host, n.Addresses, port)
	if err != nil {
		return err
	}
	hook := &notify.Hook{URL: n.URL, Addresses: at, Now: func() time.Time {
		if now := time.Now(); now.After(rep.CrashTime) {
			return now
		}
		return rep.CrashTime // the hardware's clock is behind the crashed kernel's
	}}
	if n.CA != "" {
		ca, err := os.ReadFile(plan.FilePath(n.CA))
		if err != nil {
			return err
		}
		hook.CA = ca
	}
	if n.Token != "" {
		token, err := os.ReadFile(plan.FilePath(n.Token))
		if err != nil {
			return err
		}
		hook.Token = string(token)
	}
	doc, err := rep.JSON()
	if err != nil {
		return err
	}
	if err := hook.Post(ctx, doc); err != nil {
		return err
	}
	if annex, ok := t.(target.Annex); ok && rep.Dir != "" {
		return past.MarkNotified(annex, rep.Dir, rep.Finished)
	}
	return nil
}
