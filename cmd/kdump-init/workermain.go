package main

import (
	"context"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/boot"
	"golang.org/x/sys/unix"
)

// workerMain is the worker process on the real machine. Its exit status says
// nothing: the verdict is a sign.
func workerMain() int {
	unix.CloseOnExec(signFD)
	// The name that the out-of-memory killer's message shows.
	_ = os.WriteFile("/proc/self/comm", []byte("kdump-worker"), 0)
	signs := &signer{w: os.NewFile(signFD, "signs")}
	console := boot.NewConsole(os.Stdout)
	opts := boot.ReadOptions()
	log := newLog(console, opts)
	if available, limit, err := boot.LimitMemory(); err != nil {
		log.Warnf("memory is not limited: %v", err)
	} else {
		log.Infof("%d MiB of memory available; Go's heap may take %d MiB", available>>20, limit>>20)
	}

	finder := &blkid.Finder{}
	w := &worker{
		log:      log,
		alive:    signs.alive,
		readPlan: readPlan,
		load: func(ctx context.Context, m []plan.Module) error {
			return (&boot.Loader{Log: log}).Load(ctx, m)
		},
		mounted: func() bool { return mounted(boot.MountPoint) },
		find: func(ctx context.Context, d plan.Device) (string, error) {
			return (&boot.Waiter{Find: finder.Find, Log: log}).Wait(ctx, d)
		},
		mount: func(ctx context.Context, t plan.Target, device string) error {
			return boot.MountTarget(ctx, t, device, boot.MountPoint, boot.Mount)
		},
		open: func(t plan.Target) (target.Target, error) {
			dir, err := boot.DumpDir(boot.MountPoint, t.Path)
			if err != nil {
				return nil, err
			}
			return target.NewDir(dir)
		},
		capture:    capture.Run,
		captureLog: func() []byte { return log.CaptureLog(boot.Kmsg) },
		finish:     finishLimit,
	}
	v := w.run()
	console.Flush(5 * time.Second)
	signs.verdict(v)
	return 0
}
