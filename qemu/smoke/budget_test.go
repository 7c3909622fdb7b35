//go:build vm

package smoke

import (
	"os"
	"testing"

	"github.com/gokdump/gokdump/qemu/lab"
)

// What the crash kernel has to find room for must not grow unseen: bytes.
const (
	maxImage = 2_000_000 // compressed, for virtio and ext4
	maxInit  = 4_200_000 // kdump-init, in memory as long as the capture runs
)

func TestBudgets(t *testing.T) {
	t.Parallel()
	image, err := shared.BuildImage(t.Context(), dir(t), lab.DefaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	for path, most := range map[string]int64{image: maxImage, shared.Command("kdump-init"): maxInit} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes of %d", path, st.Size(), most)
		if st.Size() > most {
			t.Errorf("%s has %d bytes, the budget is %d", path, st.Size(), most)
		}
	}
}
