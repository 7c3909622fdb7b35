//go:build vm

package smoke

import (
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu/readers"
)

// What a host gets from "make install" and "systemctl enable", with no
// configuration at all: systemd builds the image, arms, and a crash is saved in
// /var/crash of the root file system.
func TestSystemd(t *testing.T) {
	t.Parallel()
	o, err := shared.System(t.Context(), dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("panic after %.1f s, end %.1f s later", o.ToPanic.Seconds(), o.ToEnd.Seconds())
	console(t, o, "GUEST: gokdump.service is active", "GUEST: kdump-arm status is 0", "reboot: Restarting system")
	l := left(t, o)
	if !strings.Contains(l.Text(capture.LogName), trigger) {
		t.Errorf("%s lacks %q", capture.LogName, trigger)
	}
	if r := l.Report; r.Result != capture.Complete || r.Error != "" || r.Host != "smoke" {
		t.Errorf("report: %s of host %q, %s", r.Result, r.Host, r.Error)
	}
	f, err := readers.Drgn(t.Context(), shared.Kernel.Debug, l.Path(capture.DumpName))
	if err != nil {
		t.Fatal(err)
	}
	if f.Release != shared.Kernel.Release || len(f.Tasks) < 50 {
		t.Errorf("drgn: release %q, %d tasks", f.Release, len(f.Tasks))
	}
}
