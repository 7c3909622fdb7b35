//go:build vm

package smoke

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
)

// Where no target takes the dump, the end of the log is left in the firmware's
// variables, and the kernel that boots next shows it in pstore.
func TestLogInFirmware(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	at := dir(t)
	o, err := shared.RunHost(t.Context(), at, lab.Host{
		EFI:    true,
		Config: "ext4 UUID=00000000-1111-2222-3333-444444444444\ntimeout device 3s\n",
		// Variables that the kernel itself, or an earlier crash kernel, left.
		Setup: `modprobe efivarfs; mount -t efivarfs efivarfs /sys/firmware/efi/efivars
cd /sys/firmware/efi/efivars; ls | wc -l
for n in 1-1-1600000000-D 3-999-1600000000-D; do
	printf '\7\0\0\0an older record' >dump-type0-$n-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0
done
cd /; umount /sys/firmware/efi/efivars
`,
		Fetch: `modprobe -a efivarfs efi_pstore; mount -t pstore pstore /sys/fs/pstore
ls -l /sys/fs/pstore; mkdir /carry/pstore; cp /sys/fs/pstore/* /carry/pstore/
mount -t efivarfs efivarfs /sys/firmware/efi/efivars; ls /sys/firmware/efi/efivars | grep ^dump-
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	console(t, o, "log is in ", " EFI variables")
	to := filepath.Join(at, "disk")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := qemu.Extract(t.Context(), o.Disk, to); err != nil {
		t.Fatal(err)
	}
	var log string
	records, older := 0, 0
	for part := 99; part > 0; part-- { // the end of the log is part 1
		names, err := filepath.Glob(filepath.Join(to, "dumps/pstore", fmt.Sprintf("dmesg-efi-*%02d999", part)))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(string(b), "\n")
			log += text
			records++
		}
	}
	all, err := filepath.Glob(filepath.Join(to, "dumps/pstore/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if b, err := os.ReadFile(n); err == nil && string(b) == "an older record" {
			older++
		}
	}
	if records < 3 || len(all) != records+1 || older != 1 {
		t.Errorf("%d records of %d files, %d older ones: %q", records, len(all), older, all)
	}
	for _, s := range []string{"Kernel panic - not syncing: sysrq triggered crash", "sysrq_handle_crash", trigger} {
		if !strings.Contains(log, s) {
			t.Errorf("the log in pstore lacks %q:\n%s", s, log)
		}
	}
}
