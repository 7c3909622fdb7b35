package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
)

func TestDumpDirs(t *testing.T) {
	number := func(d plan.Device) (string, string, error) {
		switch d.Value {
		case uuid:
			return "254:2", "/dev/vda2", nil
		case "pool":
			return "254:16", "/dev/vdb", nil
		case "away":
			return "254:99", "/dev/vdz", nil
		}
		return "", "", errors.New("no such device")
	}
	for text, want := range map[string]string{
		"":                                       "/var/crash",
		"path /data":                             "/data",
		"xfs UUID=" + uuid + "\npath /sub/dir/x": "/var/crash/x",
		"xfs UUID=" + uuid + "\npath /sub/dir":   "/var/crash",
		"xfs UUID=" + uuid + "\npath /other":     "! is not mounted",
		"btrfs LABEL=pool\npath /@/home/c":       "/home/c",
		"ext4 LABEL=away":                        "! is not mounted",
		"ext4 LABEL=gone":                        "! no such device",
		"ext4 LABEL=gone\nxfs UUID=" + uuid + "\npath /sub/dir": "/var/crash ! no such device",
	} {
		dirs, notes, err := parse(t, text).DumpDirs([]byte(mountinfo), number)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		wantDirs, note, noted := strings.Cut(want, "!")
		if d := cmp.Diff(strings.Fields(wantDirs), append([]string{}, dirs...)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
		if noted != (len(notes) > 0) || noted && !strings.Contains(notes[0], strings.TrimSpace(note)) {
			t.Errorf("%q: notes %q, want %q", text, notes, note)
		}
	}
}
