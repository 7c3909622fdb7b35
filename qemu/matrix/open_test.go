package matrix

import (
	"testing"

	"github.com/gokdump/gokdump/capture/kernel"
)

// A reader that was killed says nothing about the kernel.
func TestComplaintOf(t *testing.T) {
	for text, want := range map[string]string{
		"readers: crash -s: exit status 1: \ncrash: invalid structure member offset: x\n  FILE: y\n": "invalid structure member offset: x",
		"readers: crash -s: signal: killed: \ncrash: page excluded\n KERNEL: /mnt/0\n":               "",
		"readers: crash -s: exit status 1: unshare: no permission\n":                                 "",
	} {
		if got := complaintOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWarningsThatAreKnown(t *testing.T) {
	info, err := kernel.ParseInfo([]byte("OSRELEASE=6.1.0\nPAGESIZE=4096\n"))
	if err != nil {
		t.Fatal(err)
	}
	const balloon = "kdump-vmcore: warning: 16384 pages that a balloon or a hypervisor driver took out of use are kept: at\n"
	for _, tt := range []struct {
		out     string
		level   int
		poisons bool
		want    string
	}{
		{balloon, 1, false, ""},
		{balloon, 1, true, balloon},
		{balloon, 2, false, balloon},
		{balloon + "kdump-vmcore: warning: other\n", 0, false, "kdump-vmcore: warning: other\n"},
		{"vmcore: 1 page\n", 31, true, ""},
	} {
		c := &checker{mem: &memory{info: info, flags: map[string]uint64{}}}
		if tt.poisons {
			c.mem.flags["PG_hwpoison"] = 21
		}
		if got := c.warning(tt.out, tt.level); got != tt.want {
			t.Errorf("level %d, %v: %q, want %q", tt.level, tt.poisons, got, tt.want)
		}
	}
}
