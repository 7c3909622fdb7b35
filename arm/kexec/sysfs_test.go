package kexec

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCrashLoadedAndReserved(t *testing.T) {
	for _, tt := range []struct {
		name         string
		files        map[string]string
		loaded       bool
		size         uint64
		err, sizeErr string
	}{
		{"old names", map[string]string{
			"/sys/kernel/kexec_crash_loaded": "1\n", "/sys/kernel/kexec_crash_size": "134217728\n"}, true, 128 << 20, "", ""},
		{"new names win", map[string]string{
			"/sys/kernel/kexec/crash_loaded": "0\n", "/sys/kernel/kexec_crash_loaded": "1\n",
			"/sys/kernel/kexec/crash_size": "0\n", "/sys/kernel/kexec_crash_size": "7\n"}, false, 0, "", ""},
		{"no kexec", nil, false, 0, ErrUnsupported.Error(), ErrUnsupported.Error()},
		{"nonsense", map[string]string{
			"/sys/kernel/kexec_crash_loaded": "yes\n", "/sys/kernel/kexec_crash_size": "-1\n"}, false, 0, `"yes"`, `"-1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for p, text := range tt.files {
				write(t, root, p, text)
			}
			loaded, err := At(root).CrashLoaded()
			check(t, err, tt.err)
			size, err := At(root).Reserved()
			check(t, err, tt.sizeErr)
			if loaded != tt.loaded || size != tt.size {
				t.Errorf("loaded %v, size %d; want %v, %d", loaded, size, tt.loaded, tt.size)
			}
		})
	}
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestLockdown(t *testing.T) {
	for text, want := range map[string]string{
		"[none] integrity confidentiality\n": "none",
		"none [integrity] confidentiality\n": "integrity",
		"none integrity\n":                   "",
		"none [integrity\n":                  "",
	} {
		root := t.TempDir()
		write(t, root, "/sys/kernel/security/lockdown", text)
		if got := At(root).Lockdown(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := At(t.TempDir()).Lockdown(); got != "" {
		t.Errorf("without securityfs: %q", got)
	}
}

func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		path, text, want string
	}{
		{"/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n", ""},
		{"/proc/self/status", "Name:\tx\nCapEff:\t00000000a80425fb\nCapBnd:\t0\n", "CAP_SYS_BOOT"},
		{"/proc/sys/kernel/kexec_load_disabled", "1\n", "kexec_load_disabled"},
		{"/proc/sys/kernel/kexec_load_disabled", "0\n", ""},
		{"/proc/sys/kernel/kexec_load_limit_panic", "0\n", "kexec_load_limit_panic"},
		{"/proc/sys/kernel/kexec_load_limit_panic", "-1\n", ""},
	} {
		root := t.TempDir()
		write(t, root, tt.path, tt.text)
		err := At(root).Forbidden()
		check(t, err, tt.want)
		if err != nil && !errors.Is(err, unix.EPERM) {
			t.Errorf("%v is not EPERM", err)
		}
	}
}

func TestRelease(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/proc/sys/kernel/osrelease", "6.1.0-56-cloud-amd64\n")
	if got, err := At(root).Release(); err != nil || got != "6.1.0-56-cloud-amd64" {
		t.Errorf("got %q, %v", got, err)
	}
	write(t, root, "/proc/sys/kernel/osrelease", "../../etc\n")
	if got, err := At(root).Release(); err == nil {
		t.Errorf("took %q", got)
	}
}

const iomem = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-3ffdffff : System RAM
  01000000-01e00fb0 : Kernel code
  34000000-3bffffff : Crash kernel
100000000-13fffffff : System RAM
  130000000-13fffffff : Crash kernel
`

func TestRegions(t *testing.T) {
	got, err := parseIOMem(strings.NewReader(iomem), "Crash kernel")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Region{{0x34000000, 0x3bffffff}, {0x130000000, 0x13fffffff}}, got); d != "" {
		t.Error(d)
	}
	if got[0].Size() != 128<<20 || got[0].String() != "0x34000000-0x3bffffff" {
		t.Errorf("%v is %d bytes", got[0], got[0].Size())
	}
	hidden := "00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n"
	if got, err := parseIOMem(strings.NewReader(hidden), "Crash kernel"); err != nil || len(got) != 0 {
		t.Errorf("hidden addresses: %v, %v", got, err)
	}
	for _, bad := range []string{"zz-10 : X", "10 : X", "20-10 : X", "-: X\n1- : X"} {
		if got, err := parseIOMem(strings.NewReader(bad), "X"); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

func FuzzIOMem(f *testing.F) {
	f.Add(iomem)
	f.Add("0-ffffffffffffffff : Crash kernel")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseIOMem(strings.NewReader(text), "Crash kernel")
		if err != nil {
			return
		}
		for _, r := range got {
			if r.End < r.Start {
				t.Errorf("%v", r)
			}
		}
	})
}
