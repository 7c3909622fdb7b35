package drivers

import (
	"fmt"
	"path/filepath"

	"github.com/gokdump/gokdump/initramfs/modules"
)

// NIC gives the drivers from the bus down to network interface name, in the order of
// [Host.Chain].
func (h Host) NIC(name string) ([]Driver, error) {
	dir, err := filepath.EvalSymlinks(h.sys("class", "net", name, "device"))
	if err != nil {
		return nil, fmt.Errorf("network interface %s: %w", name, err)
	}
	return h.above(dir)
}

// CommonNICs lists the drivers of the NICs that most machines have, all optional:
// for an image whose machine cannot be looked at.
func CommonNICs() []modules.Want {
	var out []modules.Want
	for _, n := range []string{"virtio_pci", "virtio_net", "e1000e", "igb", "ixgbe", "i40e", "tg3", "bnxt_en", "r8169", "vmxnet3", "ena", "gve"} {
		out = append(out, modules.Want{Name: n, For: "the common NICs", Optional: true})
	}
	return out
}
