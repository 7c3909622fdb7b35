// Package probe tries a plan's targets from the running host: whether a dump could be
// saved there if the machine crashed now.
//
// It owns how much is tried: what is cheap and bounded. It never mounts anything, never
// writes to a block device, and decides nothing: a server that is down now may be up
// when it counts. What the crash kernel does with a target is tried with the crash
// kernel's own code. It leaves on a server what a dump leaves there, too: the directory
// for dumps.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/notify"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/sshtarget"
	"github.com/gokdump/gokdump/initramfs/nfs"
)

// Limits of one target.
const (
	dialLimit = 5 * time.Second
	answer    = 5 * time.Second
	patience  = 2 * time.Second
)

// Result is what was found out about one target.
type Result struct {
	// Target names it for people.
	Target string `json:"target"`
	// Error is why no dump could be saved there now; "" if it could, as far as it was
	// tried.
	Error string `json:"error,omitempty"`
	// Says is what was seen: that a login worked, how much room there is.
	Says string `json:"says,omitempty"`
	// Warnings are what could go wrong all the same.
	Warnings []string `json:"warnings,omitempty"`
	// Free is the room in bytes; 0 if unknown.
	Free uint64 `json:"free_bytes,omitempty"`
}

func (r *Result) warn(format string, a ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, a...))
}

// little is room, in bytes, that the most valuable pages of a machine hardly fit into.
const little = 128 << 20

// room notes how much there is.
func (r *Result) room(free uint64) {
	r.Free = free
	if free < little {
		r.warn("%d MiB are free there: a dump would hardly have room for what readers need", free>>20)
	}
}

// Targets tries all targets of p at once, and the server that gets its report, until
// ctx ends; files are the plan's, by their names. The order is that of the plan.
func Targets(ctx context.Context, p *plan.Plan, files map[string][]byte) []Result {
	file := func(name string) ([]byte, error) {
		if b, ok := files[name]; ok {
			return b, nil
		}
		return nil, fmt.Errorf("the image has no file %s", name)
	}
	out := make([]Result, len(p.Targets))
	var all sync.WaitGroup
	for i, t := range p.Targets {
		all.Go(func() {
			r := &out[i]
			r.Target = t.String()
			var err error
			switch t.Kind {
			case plan.KindFS, plan.KindRaw:
				err = disk(ctx, r, t)
			case plan.KindNFS: // kdump-mkinitramfs mounts it
				answers(ctx, r, t.NFS.Host, t.NFS.Addresses, nfs.PortOf(t.Options))
			case plan.KindSSH:
				err = ssh(ctx, r, t, p, file)
			case plan.KindS3:
				err = store(ctx, r, t, p, file)
			}
			if err != nil {
				r.Error, r.Says = err.Error(), ""
			}
		})
	}
	var hook *Result
	if n := p.Notify; n != nil {
		hook = &Result{Target: "notify " + notify.Host(n.URL)}
		host, port := notify.Server(n.URL)
		all.Go(func() { answers(ctx, hook, host, n.Addresses, port) })
	}
	all.Wait()
	if hook != nil {
		out = append(out, *hook)
	}
	return out
}

// answers notes whether anybody listens there.
func answers(ctx context.Context, r *Result, host string, addresses []string, port int) {
	c, err := dial(ctx, host, addresses, port)
	if err != nil {
		r.Error = err.Error()
		return
	}
	c.Close()
	r.Says = "the server answers"
}

// ruled tells whether the plan has rules that need a list of earlier dumps.
func ruled(p *plan.Plan) bool { return p.Keep != (plan.Keep{}) || p.LoopGuard != nil }

func ssh(ctx context.Context, r *Result, t plan.Target, p *plan.Plan, file func(string) ([]byte, error)) error {
	c, err := sshtarget.ForPlan(t, file)
	if err != nil {
		return err
	}
	c.Timeout, c.Patience, c.Dial = answer, patience, dialer(t.SSH.Addresses)
	tg, err := sshtarget.New(ctx, c)
	if err != nil {
		return err
	}
	defer tg.Close()
	r.Says = "logged in, and the directory is there"
	if target.IsSequential(tg) {
		r.Says += "; no SFTP"
		if ruled(p) {
			r.warn("the server has no SFTP: keep, keep_free and loop_guard have no effect there; give it a Subsystem sftp line in sshd_config")
		}
	}
	return freeOf(r, tg)
}

// freeOf notes the room of a target that knows it.
func freeOf(r *Result, t target.Target) error {
	free, err := t.Free()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil {
		r.room(free)
	}
	return err
}

func store(ctx context.Context, r *Result, t plan.Target, p *plan.Plan, file func(string) ([]byte, error)) error {
	c, err := s3target.ForPlan(t, file)
	if err != nil {
		return err
	}
	c.Timeout, c.Patience, c.Dial = answer, patience, dialer(t.S3.Addresses)
	missing, err := c.Try(ctx)
	if err != nil {
		return err
	}
	r.Says = "an object was made, copied and removed"
	if c.Presigned != nil {
		r.Says = "the presigned URLs are good until " + c.Presigned.Expires().UTC().Format("2006-01-02 15:04 UTC")
		if left := time.Until(c.Presigned.Expires()); left < 24*time.Hour {
			r.warn("the presigned URLs end in %v: make new ones, and build the image anew", left.Round(time.Minute))
		}
		host, _ := t.Server()
		conn, err := dial(ctx, host, t.S3.Addresses, s3target.Port(t.S3.Endpoint))
		if err == nil {
			conn.Close()
		}
		return err
	}
	if missing != "" && ruled(p) {
		r.warn("the key lacks %s: keep and loop_guard have no effect there", missing)
	}
	return nil
}

// dialer dials the plan's addresses in place of a name.
func dialer(addresses []string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		return dial(ctx, host, addresses, n)
	}
}

// dial connects to the first address that answers.
func dial(ctx context.Context, host string, addresses []string, port int) (net.Conn, error) {
	addresses = slices.Clone(addresses)
	if _, err := netip.ParseAddr(host); err == nil || len(addresses) == 0 {
		addresses = append(addresses, host)
	}
	var errs []error
	for _, a := range slices.Compact(addresses) {
		c, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
