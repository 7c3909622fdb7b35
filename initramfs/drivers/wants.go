package drivers

import (
	"fmt"

	"github.com/gokdump/gokdump/initramfs/modules"
)

// Wants turns a chain of drivers into what to ask tree for. running is the
// running kernel's release: where the tree is its own, what sysfs shows without a
// module is built in; another kernel may have it as a module, found by modalias.
func Wants(tree *modules.Tree, running string, chain []Driver) []modules.Want {
	var out []modules.Want
	for _, d := range chain {
		why := fmt.Sprintf("device %s, driver %s", d.Device, d.Name)
		switch {
		case d.Module != "" && (tree.Has(d.Module) || d.Modalias == ""):
			out = append(out, modules.Want{Name: d.Module, For: why})
		case d.Module != "":
			// The kernels name the module differently.
			out = append(out, modules.Want{Name: d.Modalias, For: fmt.Sprintf("%s, module %s of the running kernel", why, d.Module)})
		case d.Modalias != "" && tree.Release() != running:
			out = append(out, modules.Want{Name: d.Modalias, For: why, Optional: true})
		}
	}
	return out
}

// Common lists the drivers of the disks that most machines have, all optional: for
// an image whose machine cannot be looked at.
func Common() []modules.Want {
	var out []modules.Want
	for _, n := range []string{"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "nvme", "ahci"} {
		out = append(out, modules.Want{Name: n, For: "the common disk drivers", Optional: true})
	}
	return out
}
