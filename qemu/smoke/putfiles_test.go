//go:build vm

package smoke

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gokdump/gokdump/qemu"
)

func TestPutFiles(t *testing.T) {
	tmp := t.TempDir()
	image, file, to := filepath.Join(tmp, "disk"), filepath.Join(tmp, "file"), filepath.Join(tmp, "to")
	if err := os.WriteFile(file, []byte("contents"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (qemu.Disk{SizeMiB: 16, FSType: "ext4"}).Make(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	if err := qemu.PutFiles(t.Context(), image, map[string]string{"a": file, "lost+found/b": file}); err != nil {
		t.Fatal(err)
	}
	if err := qemu.Extract(t.Context(), image, to); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "lost+found/b"} {
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(b) != "contents" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, from := range map[string]string{"none/c": file, "c": file + "none", "a b": file} {
		if err := qemu.PutFiles(t.Context(), image, map[string]string{name: from}); err == nil {
			t.Errorf("put %s as %s", from, name)
		}
	}
}
