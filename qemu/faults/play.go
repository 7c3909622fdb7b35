package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/nbd"
)

// A fault is one way to break a machine.
type fault struct {
	name, about string
	// short: part of the short run.
	short bool
	story lab.Story
	// disk, if not nil, puts the target behind a disk with these faults.
	disk *nbd.Faults
	// cut says when the power is cut: after this part, from 0 to 1, of a whole
	// capture's writes, or after this flush. Neither means that it is not.
	cut cut
	// full, in percent, is the part of a large dump that the disk has room for; 0
	// means all.
	full int64
	// late is how long after the panic the disk is plugged in.
	late time.Duration
	// repair: the file system may need its journal, as after a power cut.
	repair bool
	// serve, if not nil, runs the fault's servers and completes the story.
	serve func(*scene) error
	// twice: the machine crashes once more, and the row is about the second time.
	twice bool
	// want lists the ends that are expected.
	want []end
	// onServer: what was saved is on the server, else on the disk.
	onServer bool
	// says is what the console must show, warns what a report must warn of.
	says  []string
	warns string
	// arming is what kdump-arm says when it is expected to refuse.
	arming string
}

type cut struct {
	part  float64
	flush int // 1 is the last one of a whole capture, 2 the one before
}

// row is what came of a fault.
type row struct {
	fault
	saved   string
	toEnd   time.Duration // from the panic to the reset; 0 means that power was cut
	written int64         // bytes that reached the disk's cache since the panic
	flushes int           // since then
	err     error
}

// player plays faults, one machine at a time.
type player struct {
	lab  *lab.Lab
	work string
	// whole is what a capture without faults writes, in bytes.
	whole   int64
	flushes int
	// big is the size of a large dump, in bytes.
	big  int64
	turn int
}

// errCut says that the power was cut on purpose.
var errCut = errors.New("power cut")

// play makes one machine, breaks it and judges what is left.
func (p *player) play(ctx context.Context, f fault) row {
	r := row{fault: f}
	p.turn++
	dir := filepath.Join(p.work, fmt.Sprintf("%02d", p.turn))
	if r.err = os.MkdirAll(dir, 0o755); r.err != nil {
		return r
	}
	place := &stand{ctx: ctx}
	r.err = place.run(func() error {
		s := &scene{stand: place, story: &r.story}
		if f.serve != nil {
			if err := f.serve(s); err != nil {
				return err
			}
		}
		return p.turnOut(ctx, dir, s, &r)
	})
	if r.err == nil { // a machine that ended well is not worth its disk
		_ = os.RemoveAll(dir)
	}
	return r
}

// turnOut crashes the machine and judges.
func (p *player) turnOut(ctx context.Context, dir string, s *scene, r *row) error {
	earlier := map[string]bool{}
	if r.twice {
		first := filepath.Join(dir, "first")
		if err := os.Mkdir(first, 0o755); err != nil {
			return err
		}
		o, err := p.lab.Run(ctx, first, r.story, nil)
		if err != nil {
			return err
		}
		all, err := o.Left(ctx)
		if err != nil {
			return err
		}
		for _, l := range all {
			earlier[l.Name] = true
		}
		r.story.Again = o.Disk
	}
	o, err := p.crash(ctx, dir, r)
	switch {
	case errors.Is(err, errCut):
	case r.arming != "" && o != nil && strings.Contains(o.Console, r.arming):
		r.saved = "refused when arming"
		return nil
	case err != nil:
		return err
	default:
		r.toEnd = o.ToEnd
	}
	if r.name == baseline {
		p.whole, p.flushes = r.written, r.flushes
	}
	v, err := p.judge(ctx, o, s, r, earlier)
	r.saved = v.say
	if err != nil {
		return err
	}
	if r.name == bigBaseline {
		if p.big, err = dumpSize(ctx, o); err != nil {
			return err
		}
	}
	if r.cut != (cut{}) && r.toEnd != 0 {
		r.saved += " (it was done before)"
	}
	return v.expected(r, o)
}

// crash plays the story of r's fault, with its disk behind a server where there is
// something wrong with it.
func (p *player) crash(ctx context.Context, dir string, r *row) (*lab.Outcome, error) {
	s := r.story
	if r.full > 0 {
		if p.big == 0 {
			return nil, fmt.Errorf("%q was not run before", bigBaseline)
		}
		const own = 16 << 20 // what the file system needs for itself
		s.Disk = ext4((p.big*r.full/100 + own) >> 20)
	}
	if r.late > 0 {
		p.plugLate(dir, r.late, &s)
	}
	if r.disk == nil {
		return p.lab.Run(ctx, dir, s, nil)
	}
	var disk *nbd.Disk
	// Paths of sockets are short, those of work folders may not be.
	sockets, err := os.MkdirTemp("", "gf-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(sockets)
	l, err := net.Listen("unix", filepath.Join(sockets, "disk"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s.Attach = func(image string) (d qemu.Drive, err error) {
		if disk, err = nbd.OpenDisk(image, *r.disk); err != nil {
			return d, err
		}
		go nbd.Serve(l, disk)
		return qemu.Drive{Path: "nbd+unix:///?socket=" + l.Addr().String(), Cache: "writeback"}, nil
	}
	s.Talk = func(ctx context.Context, vm *qemu.VM) error {
		m := nbd.Mark{Bytes: int64(r.cut.part * float64(p.whole))}
		if r.cut.flush > 0 {
			m.Flushes = max(1, p.flushes+1-r.cut.flush)
		}
		mark := disk.Begin(m)
		if r.disk.HangAfter > 0 {
			err := vm.Expect(ctx, "kdump: reboot")
			disk.Release()
			return err
		}
		if r.cut == (cut{}) {
			return nil
		}
		select {
		case <-mark:
			_ = vm.Close()
			return errCut
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-vm.Done():
			return nil // no two captures write quite the same: this one was done before
		}
	}
	o, err := p.lab.Run(ctx, dir, s, nil)
	if disk == nil {
		return o, err
	}
	r.written, r.flushes = disk.Written(), disk.Flushes()
	if r.cut != (cut{}) {
		// What the cache lost of the writes is as good as random, and the same each time.
		err = errors.Join(err, disk.Cut(func(i int) bool { return (i*2654435761+p.turn)>>3&1 == 0 }))
	} else {
		err = errors.Join(err, disk.Close())
	}
	return o, err
}

// plugLate leaves the disk out of the machine until so long after the panic.
func (p *player) plugLate(dir string, late time.Duration, s *lab.Story) {
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("gf-%d-%d", os.Getpid(), p.turn))
	s.Unmounted = true
	s.Extra = append(qemu.QMPArgs(socket), "-device", "pcie-root-port,id=late,slot=7")
	s.Attach = func(image string) (qemu.Drive, error) { return qemu.Drive{Path: image, Unplugged: true}, nil }
	s.Talk = func(ctx context.Context, vm *qemu.VM) error {
		defer os.Remove(socket)
		q, err := qemu.DialQMP(ctx, socket)
		if err != nil {
			return err
		}
		defer q.Close()
		// The clock of the fault starts when the capture does.
		if err := vm.Expect(ctx, "kdump-init is PID 1"); err != nil {
			return err
		}
		select {
		case <-time.After(late):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		_, err = q.Do(ctx, "device_add", map[string]any{"driver": "virtio-blk-pci", "drive": "disk0", "bus": "late", "id": "late0"})
		return err
	}
}
