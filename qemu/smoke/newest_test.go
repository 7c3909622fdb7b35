//go:build vm && newest

package smoke

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
)

// newestQEMU is Debian's newest QEMU, out of a small system of its development release,
// run by that system's own loader on ours.
func newestQEMU(t *testing.T) []string {
	t.Helper()
	root, err := debian.NamedRoot(t.Context(), cacheDir(t), "sid-qemu", "sid", []string{"qemu-system-x86"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	argv := []string{filepath.Join(root, "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", lib + ":" + filepath.Join(lib, "pulseaudio"),
		filepath.Join(root, "usr/bin", qemu.Program)}
	for _, dir := range []string{"qemu", "seabios"} {
		argv = append(argv, "-L", filepath.Join(root, "usr/share", dir))
	}
	return argv
}

// QEMU writes kdump files that are not flattened since 8.2, which is newer than what
// the machine has. Theirs too say nothing of the kernel and have a wrong phys_base: drgn
// opens none of them, and each of ours that is made of them. All hold the same pages.
func TestNewestQEMUsRawKdump(t *testing.T) {
	t.Parallel()
	d := dir(t)
	dumps := []lab.HostDump{{Name: "elf", Format: "elf"}, {Name: "raw-zlib", Format: "kdump-raw-zlib"}, {Name: "flat-zlib", Format: "kdump-zlib"}}
	o, err := shared.DumpLive(t.Context(), d, lab.Live{Note: true, Panic: true, MemoryMiB: 320, Emulator: newestQEMU(t)}, dumps...)
	if err != nil {
		t.Fatal(err)
	}
	for name, magic := range map[string]string{"raw-zlib": "KDUMP   ", "flat-zlib": "makedumpfile\x00"} {
		f, err := os.Open(filepath.Join(d, name))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len(magic))
		_, err = io.ReadFull(f, b)
		f.Close()
		if err != nil || string(b) != magic {
			t.Errorf("%s begins with %q, %v", name, b, err)
		}
	}
	all, err := readers.Newest(t.Context(), cacheDir(t), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.NewerDrgn(t.Context(), shared.Kernel.Debug, filepath.Join(d, "raw-zlib")); err == nil {
		t.Error("drgn opens QEMU's raw kdump file as it is: nothing is to be mended any more")
	} else {
		t.Logf("drgn of QEMU's own file: %.300s", err)
	}
	first := openKdump(t, dumped(t, d, "elf"))
	for _, name := range []string{"raw-zlib", "flat-zlib"} {
		out := dumped(t, d, name)
		f, err := all.NewerDrgn(t.Context(), shared.Kernel.Debug, out)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compareLive(t, o, f, true, true)
		registers(t, f)
		samePages(t, name, first, openKdump(t, out))
	}
}

func cacheDir(t *testing.T) string {
	t.Helper()
	cache, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// dumped makes a dump of level 31 of one of QEMU's files.
func dumped(t *testing.T, dir, name string) string {
	t.Helper()
	in, out := filepath.Join(dir, name), filepath.Join(dir, name+".kdump")
	said, code := command(t, "kdump-vmcore", "dump", "-d", "31", in, out)
	if code != 0 || strings.Contains(said, "warning:") {
		t.Fatalf("%s: exit %d\n%s", name, code, said)
	}
	t.Logf("%s: %s", name, strings.TrimSpace(said))
	return out
}
