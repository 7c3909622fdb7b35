package arm

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/arm/armtest"
)

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", 1900)
	for _, tt := range []struct {
		name string
		do   func(m *machineDir, opt *Options)
		err  string // part of the error; "" for none
		warn string // part of a warning; "" for none at all
	}{
		{"good", nil, "", ""},
		{"oops", func(m *machineDir, _ *Options) { m.write("/proc/sys/kernel/panic_on_oops", "0\n") }, "", "panic_on_oops is 0"},
		{"below the floor", func(m *machineDir, _ *Options) { m.write("/sys/kernel/kexec_crash_size", "71303168\n") },
			"68.0 MiB are reserved, but this pair needs 69.5 MiB", ""},
		{"below the floor, forced", func(m *machineDir, o *Options) {
			m.write("/sys/kernel/kexec_crash_size", "71303168\n")
			o.Force = true
		}, "", "68.0 MiB are reserved"},
		{"near the floor", func(m *machineDir, _ *Options) { m.write("/sys/kernel/kexec_crash_size", "83886080\n") }, "", "advisable"},
		{"much RAM", func(m *machineDir, _ *Options) {
			m.write("/proc/iomem", "100000000-100ffffffff : System RAM\n")
		}, "", "on a machine with 1048576.0 MiB of RAM (crashkernel=166M)"},
		{"image unpacks large", func(m *machineDir, _ *Options) { m.write(imagePath, "kernel=6.1.0-test unpacked=100000000") }, "95.4 MiB unpacked", ""},
		{"image for another kernel", func(m *machineDir, _ *Options) { m.write(imagePath, "kernel=5.10.0 unpacked=1") },
			"has modules for 5.10.0, but kernel", ""},
		{"not our image", func(m *machineDir, _ *Options) { m.write(imagePath, "foreign") }, "no plan in it", ""},
		{"not our image, forced", func(m *machineDir, o *Options) { m.write(imagePath, "foreign"); o.Force = true }, "", "no plan in it"},
		{"no image", func(m *machineDir, o *Options) { o.Image = m.path("/absent") }, "crash image: open", ""},
		{"no kernel", func(m *machineDir, o *Options) { o.Kernel = m.path("/absent") }, "crash kernel: open", ""},
		{"a directory", func(m *machineDir, o *Options) { o.Kernel = m.path("/boot") }, "not a regular file", ""},
		{"a pipe", func(m *machineDir, o *Options) {
			o.Kernel = m.path("/pipe")
			if err := unix.Mkfifo(o.Kernel, 0o600); err != nil {
				m.t.Fatal(err)
			}
		}, "not a regular file", ""},
		{"kernel cut short", func(m *machineDir, _ *Options) { m.write(kernelPath, armtest.Kernel("6.1.0-test", "")[:0xf00]) }, "cut short", ""},
		{"long line", func(m *machineDir, _ *Options) { m.write("/proc/cmdline", long) }, "this kernel takes 1985", ""},
		{"long words that go", func(m *machineDir, _ *Options) { m.write("/proc/cmdline", "rd."+long) }, "", ""},
		{"disabled", func(m *machineDir, _ *Options) { m.write("/proc/sys/kernel/kexec_load_disabled", "1\n") }, "kexec_load_disabled is 1", ""},
		{"no kexec", func(m *machineDir, _ *Options) { os.Remove(m.path("/sys/kernel/kexec_crash_size")) }, "built without it", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			var opt Options
			if tt.do != nil {
				tt.do(m, &opt)
			}
			c, err := m.host.Check(t.Context(), opt)
			if m.Loads != 0 {
				t.Error("a check loaded something")
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || Hint(err) == "" {
					t.Fatalf("error %v, hint %q, want %q", err, Hint(err), tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(c.Warnings, "\n")
			if (tt.warn == "") != (all == "") || !strings.Contains(all, tt.warn) {
				t.Errorf("warnings %q, want %q", all, tt.warn)
			}
		})
	}
}

func TestDefaultKernel(t *testing.T) {
	m := newMachine(t)
	os.Remove(m.path(kernelPath))
	if got, err := m.host.DefaultKernel(); err != nil || got != m.path(kernelPath) {
		t.Errorf("nothing there: %q, %v", got, err)
	}
	m.write("/usr/lib/modules/6.1.0-test/vmlinuz", "x")
	if got, err := m.host.DefaultKernel(); err != nil || got != m.path("/usr/lib/modules/6.1.0-test/vmlinuz") {
		t.Errorf("only in /usr/lib/modules: %q, %v", got, err)
	}
	m.write("/lib/modules/6.1.0-test/vmlinuz", "x")
	if got, err := m.host.DefaultKernel(); err != nil || got != m.path("/lib/modules/6.1.0-test/vmlinuz") {
		t.Errorf("only in /lib/modules: %q, %v", got, err)
	}
}
