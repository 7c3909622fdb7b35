package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
	"golang.org/x/sys/unix"
)

// toFirmware leaves text in EFI variables, where pstore finds it after the reboot.
func toFirmware(ctx context.Context, text []byte, crashed time.Time) (string, error) {
	n, err := boot.EFILog{}.Save(ctx, text, crashed)
	if n == 0 {
		return "", err
	}
	return fmt.Sprintf("%d EFI variables: after the reboot pstore shows them as dmesg-efi-*", n), err
}

// workerMain is the worker process on the real machine. Its exit status says
// nothing: the verdict is a sign. first is the target to begin with.
func workerMain(first int) int {
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

	net := new(network)
	w := &worker{
		log:      log,
		alive:    signs.alive,
		readPlan: readPlan,
		load: func(ctx context.Context, m []plan.Module) error {
			return (&boot.Loader{Log: log}).Load(ctx, m)
		},
		open:    openers(net),
		first:   first,
		capture: capture.Run,
		encrypt: func(to []string) func(target.Target) (target.Target, error) {
			return encrypter(to, log)
		},
		post:       net.post,
		lastLog:    toFirmware,
		captureLog: func() []byte { return log.CaptureLog(boot.Kmsg) },
		finish:     finishLimit,
	}
	v := w.run()
	console.Flush(5 * time.Second)
	signs.verdict(v)
	return 0
}
