package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// probeTime is how long a real boot under KVM may take to reach the end of the
// kernel's own start; it takes well under two seconds where KVM works.
const probeTime = 10 * time.Second

// ProbeKVM tells whether a machine under KVM really boots kernel. A /dev/kvm that
// exists, opens and then hangs is common in virtual machines and containers, so
// nothing less than a boot counts. The verdict is kept in the file at cache and
// holds until the host reboots or its emulator changes; an empty cache keeps
// none. The environment variable GOKDUMP_ACCEL (kvm or tcg) overrules it all.
func ProbeKVM(ctx context.Context, kernel, cache string) Accel {
	switch os.Getenv("GOKDUMP_ACCEL") {
	case "kvm":
		return KVM
	case "tcg":
		return TCG
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return TCG
	}
	f.Close()

	key := hostKey(ctx, kernel)
	if old, err := os.ReadFile(cache); err == nil {
		if verdict, ok := strings.CutPrefix(string(old), key+" "); ok {
			return parseAccel(verdict)
		}
	}
	verdict := TCG
	if bootsUnder(ctx, KVM, kernel) {
		verdict = KVM
	}
	// A boot that was cut short by our own end says nothing about KVM.
	if cache != "" && ctx.Err() == nil {
		// Not being able to keep the verdict costs only the next probe.
		if err := os.MkdirAll(filepath.Dir(cache), 0o755); err == nil {
			_ = os.WriteFile(cache, []byte(key+" "+verdict.String()+"\n"), 0o644)
		}
	}
	return verdict
}

func parseAccel(s string) Accel {
	if strings.TrimSpace(s) == string(KVM) {
		return KVM
	}
	return TCG
}

// bootsUnder boots kernel with nothing else; a kernel that is alive gets as far
// as the panic for want of a root file system.
func bootsUnder(ctx context.Context, a Accel, kernel string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	vm, err := Start(ctx, Opts{Kernel: kernel, Accel: a, MemoryMiB: 512, Append: "panic=-1", Timeout: probeTime})
	if err != nil {
		return false
	}
	defer vm.Close()
	return vm.Expect(ctx, "VFS: Unable to mount root fs") == nil
}

// hostKey names what a verdict holds for: this boot of the host, this emulator,
// this kernel.
func hostKey(ctx context.Context, kernel string) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	version, _ := runTool(ctx, Program, "--version")
	first, _, _ := strings.Cut(version, "\n")
	return fmt.Sprintf("%s %q %q", strings.TrimSpace(string(boot)), first, kernel)
}
