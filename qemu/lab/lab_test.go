package lab

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

func TestRewrite(t *testing.T) {
	image := filepath.Join(t.TempDir(), "kdump.img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(f, archive.Gzip, []archive.File{
		{Name: "init", Mode: 0o755, Data: []byte("program")},
		{Name: "plan.json", Mode: 0o644, Data: []byte("{}")},
		{Name: "modules/x.ko", Mode: 0o644, Data: []byte("ELF")},
		{Name: "dev", Mode: fs.ModeDir | 0o755},
	}); err != nil {
		t.Fatal(err)
	}
	f.Close()

	if err := Rewrite(image, func(name string, data []byte) []byte {
		switch name {
		case "plan.json":
			return data[:1]
		case "modules/x.ko":
			return nil
		}
		return data
	}); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := archive.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := map[string]string{}
	for f, err := range entries(r) {
		if err != nil {
			t.Fatal(err)
		}
		if !f.Mode.IsDir() {
			got[f.Name] = string(f.Data)
		}
	}
	if len(got) != 2 || got["init"] != "program" || got["plan.json"] != "{" || r.Compression() != archive.Gzip {
		t.Errorf("after the rewrite: %q, %s", got, r.Compression())
	}

	if err := os.WriteFile(image, []byte("no archive at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(image, func(string, []byte) []byte { return nil }); err == nil {
		t.Error("garbage was rewritten")
	}
}

// A story's script must arm before it panics, and end when the machine is back.
func TestScript(t *testing.T) {
	kinds := func(s Story) []string {
		sc := s.script()
		if _, err := sc.Marshal(); err != nil {
			t.Fatal(err)
		}
		var k []string
		for _, st := range sc.Steps {
			switch {
			case st.Mount != nil:
				k = append(k, "mount "+st.Mount.FSType)
			case st.Carry != nil:
				k = append(k, "carry")
			case st.EndIfAny != "":
				k = append(k, "end")
			case st.Fill != nil:
				k = append(k, "fill")
				if (st.Fill.CacheMiB > 0) != (st.Fill.CacheDir != "") {
					t.Errorf("page cache of %d MiB in %q", st.Fill.CacheMiB, st.Fill.CacheDir)
				}
			case st.Run != nil:
				k = append(k, st.Run[1])
			case st.Tasks:
				k = append(k, "tasks")
			case st.Panic != nil:
				k = append(k, "panic")
			}
		}
		return k
	}
	tail := []string{"fill", "load", "status", "tasks", "panic"}
	for name, tt := range map[string]struct {
		s    Story
		want []string
	}{
		"plain":     {Story{}, append([]string{"mount ext4"}, tail...)},
		"return":    {Story{Return: true}, append([]string{"mount ext4", "end"}, tail...)},
		"carry":     {Story{Carry: true, Disk: qemu.Disk{FSType: "xfs"}}, append([]string{"mount xfs", "carry", "end"}, tail...)},
		"read-only": {Story{ReadOnly: true, Fill: script.Fill{Workers: 1}}, tail},
	} {
		if got := kinds(tt.s); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
