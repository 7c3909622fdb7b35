package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// crash fills memory, loads the crash kernel and panics.
func crash(s *spec.Spec) error {
	if err := fill(s); err != nil {
		return err
	}
	kernel, err := os.Open("/vmlinuz")
	if err != nil {
		return err
	}
	image, err := os.Open("/crash.img")
	if err != nil {
		return err
	}
	if err := unix.KexecFileLoad(int(kernel.Fd()), int(image.Fd()), s.Cmdline, unix.KEXEC_FILE_ON_CRASH); err != nil {
		return fmt.Errorf("kexec_file_load: %w", err)
	}
	if err := errors.Join(kernel.Close(), image.Close()); err != nil {
		return err
	}
	// Readers lay out such messages in more than one way.
	say("a message of two lines,\n\tthe second with UTF-8 (\u00e4), a byte that is none (\xff) and one for terminals (\x1b)")
	say("panicking")
	time.Sleep(500 * time.Millisecond)
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		return err
	}
	return errors.New("the kernel did not panic")
}

func fill(s *spec.Spec) error {
	if s.BalloonMiB > 0 {
		if err := balloon(s.BalloonMiB); err != nil {
			return err
		}
	}
	for i := range s.Workers {
		if err := start("anon", s.AnonMiB<<8|i); err != nil {
			return err
		}
	}
	if s.THPMiB > 0 {
		if err := start("thp", s.THPMiB); err != nil { // a real-time kernel has none
			say("%sthp: %v", spec.Uncovered, err)
		}
	}
	if s.Huge > 0 {
		const nr = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
		if err := os.WriteFile(nr, []byte(strconv.Itoa(s.Huge)), 0); err != nil {
			return err
		}
		if err := start("huge", s.Huge/2); err != nil {
			return err
		}
	}
	if s.Gigantic {
		if err := start("gigantic", 1); err != nil {
			return err
		}
	}
	if s.Poison {
		for _, kind := range []string{"poison", "soft", "poisonhuge", "poisontail"} {
			// A worker that dies of its memory has done its work.
			if err := start(kind, 4); err != nil {
				say("%s%s: %v", spec.Uncovered, kind, err)
			}
		}
	}
	// What a process frees when it ends is in no state but free.
	if err := start("brief", 48); err != nil {
		return err
	}
	if s.CacheMiB > 0 {
		return cache(s.CacheMiB)
	}
	return nil
}

var errNotUp = errors.New("it did not come up")

// start starts a worker and waits until it holds its memory, or has ended.
func start(kind string, n int) error {
	cmd := exec.Cmd{Path: "/init", Args: []string{spec.WorkerName, kind, strconv.Itoa(n)}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b := make([]byte, 256)
	m, _ := out.Read(b)
	switch text := strings.TrimSpace(string(b[:m])); text {
	case "up":
		return nil
	case "done":
		return cmd.Wait()
	default:
		return fmt.Errorf("worker %s: %q, %w", kind, text, cmp.Or(cmd.Wait(), errNotUp))
	}
}

// cache writes files to the second disk, and some of them again after the sync.
func cache(mib int) error {
	if err := appears("/dev/vdb"); err != nil {
		return err
	}
	if err := mount("/dev/vdb", "/target", "ext4"); err != nil {
		return err
	}
	write := func(i int, text string) error {
		line := []byte(fmt.Sprintf("matrix page cache %s %d\n", text, i))
		return os.WriteFile(fmt.Sprintf("/target/cache%03d", i), bytes.Repeat(line, 1<<20/len(line)), 0o600)
	}
	for i := range mib {
		if err := write(i, "clean"); err != nil {
			return err
		}
	}
	unix.Sync()
	for i := range mib / 4 {
		if err := write(i, "dirty"); err != nil {
			return err
		}
	}
	return nil
}

// balloon asks the host to inflate and waits until it has.
func balloon(mib int) error {
	before, err := memTotal()
	if err != nil {
		return err
	}
	for i := range 600 {
		// Again and again: a line may sit in the emulated serial port until the
		// next one pushes it out.
		if i%10 == 0 {
			say("%s", spec.Inflate)
		}
		now, err := memTotal()
		if err != nil {
			return err
		}
		if before-now >= mib<<10*3/4 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the balloon did not inflate")
}

// memTotal is MemTotal of /proc/meminfo in KiB.
func memTotal() (int, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 2 || f[0] != "MemTotal:" {
		return 0, fmt.Errorf("/proc/meminfo begins with %.40q", b)
	}
	return strconv.Atoi(f[1])
}
