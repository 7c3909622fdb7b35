package plan

import (
	"fmt"
	"strings"
)

// Device names a block device in a way that outlives a renaming.
type Device struct {
	// By says what Value is.
	By DeviceBy `json:"by"`
	// Value is a UUID, a label, a path under /dev, or what [DeviceBy] says.
	Value string `json:"value"`
	// Part is, with [ByDisk], the number of the partition on that disk, from 1; 0 is
	// the whole disk.
	Part int `json:"part,omitempty"`
	// Layers must be put together before the device is there, in this order.
	Layers []Layer `json:"layers,omitempty"`
}

// DeviceBy is a way to name a block device.
type DeviceBy string

// The ways to name a block device.
const (
	ByUUID      DeviceBy = "uuid"      // the file system's UUID, as blkid(8) prints it
	ByLabel     DeviceBy = "label"     // the file system's label
	ByPartUUID  DeviceBy = "partuuid"  // the partition's UUID, as blkid(8) prints PARTUUID
	ByPartLabel DeviceBy = "partlabel" // the partition's name in a GPT
	ByDisk      DeviceBy = "disk"      // ATTRIBUTE:VALUE of the disk in sysfs, such as serial:X1, and Part
	ByLayer     DeviceBy = "layer"     // the device that the last of Layers makes; Value is its UUID
	ByPath      DeviceBy = "path"      // a node under /dev; devtmpfs names only
)

// Layer is a device that is made of others: an array or a logical volume.
type Layer struct {
	// Kind is [LayerMD], [LayerLVM] or [LayerLUKS].
	Kind string `json:"kind"`
	// UUID is the array's or the LUKS volume's, as blkid(8) prints it, or the logical volume's: 32
	// characters without dashes.
	UUID string `json:"uuid"`
	// Group is the id of the logical volume's group, 32 characters without dashes.
	Group string `json:"group,omitempty"`
	// Name is for messages: md0, vg/lv.
	Name string `json:"name"`
	// Members are the array's working members when the machine was armed: what
	// tells a member from all others, as initramfs/assemble has it. Without one of
	// these an array is not started, since what is left may be outdated.
	Members []string `json:"members,omitempty"`
	// Crypt is what opens a LUKS volume; nil for others.
	Crypt *Crypt `json:"crypt,omitempty"`
}

// Crypt is what dm-crypt must be told of a LUKS volume.
type Crypt struct {
	// Cipher is in dm-crypt's words: aes-xts-plain64.
	Cipher string `json:"cipher"`
	// Key is the name of the file, one of [Plan.Files], with the volume's key.
	Key string `json:"key"`
	// Offset is where the encrypted data begins, in sectors of 512 bytes; Tweak is
	// the number that its first sector has for the cipher.
	Offset uint64 `json:"offset"`
	Tweak  uint64 `json:"tweak,omitempty"`
	// SectorSize is what is encrypted at a time, in bytes: 512 to 4096.
	SectorSize int `json:"sector_size"`
}

// The kinds of a layer.
const (
	LayerMD   = "md"
	LayerLVM  = "lvm"
	LayerLUKS = "luks"
)

// MaxLayers bounds how many devices may lie on each other.
const MaxLayers = 4

// String gives the name as fstab(5) writes it, where it has one.
func (d Device) String() string {
	switch d.By {
	case ByUUID:
		return "UUID=" + d.Value
	case ByLabel:
		return "LABEL=" + d.Value
	case ByPartUUID:
		return "PARTUUID=" + d.Value
	case ByPartLabel:
		return "PARTLABEL=" + d.Value
	case ByDisk:
		if d.Part > 0 {
			return fmt.Sprintf("partition %d of the disk with %s", d.Part, d.Value)
		}
		return "the disk with " + d.Value
	case ByLayer:
		if n := len(d.Layers); n > 0 {
			return d.Layers[n-1].String()
		}
	}
	return d.Value
}

// String names the layer for people.
func (l Layer) String() string {
	switch l.Kind {
	case LayerMD:
		return "array " + l.Name
	case LayerLUKS:
		return "encrypted volume " + l.Name
	}
	return "logical volume " + l.Name
}

func (c *Crypt) validate(l Layer, p *Plan, bad complaint) {
	if c.Cipher == "" || strings.ContainsAny(c.Cipher, " \t\n") || c.SectorSize < 512 || c.SectorSize > 4096 || c.SectorSize&(c.SectorSize-1) != 0 {
		bad("%s: cipher %q, sectors of %d bytes", l, c.Cipher, c.SectorSize)
	}
	p.wantFile(l.String(), c.Key, bad)
}

func (d Device) validate(p *Plan, bad complaint) {
	switch d.By {
	case ByUUID, ByLabel, ByPartUUID, ByPartLabel:
		if d.Value == "" {
			bad("target device: empty %s", d.By)
		}
	case ByDisk:
		if attr, value, ok := strings.Cut(d.Value, ":"); !ok || attr == "" || value == "" {
			bad("target device: %q does not tell a disk: want ATTRIBUTE:VALUE", d.Value)
		}
	case ByLayer:
		if n := len(d.Layers); n == 0 || d.Layers[n-1].UUID != d.Value {
			bad("target device: %q is not the last layer", d.Value)
		}
	case ByPath:
		if !cleanAbs(d.Value) || !strings.HasPrefix(d.Value, "/dev/") {
			bad("target device: %q is not a clean path under /dev", d.Value)
		}
	default:
		bad("target device is named by %q", d.By)
	}
	if d.Part < 0 || d.Part > 0 && d.By != ByDisk {
		bad("target device: partition %d with %s", d.Part, d.By)
	}
	if len(d.Layers) > MaxLayers {
		bad("target device: %d layers, more than %d", len(d.Layers), MaxLayers)
	}
	for i, l := range d.Layers {
		switch {
		case l.UUID != "" && l.Name != "" && (l.Kind == LayerLVM && l.Group != "" || l.Kind == LayerMD && len(l.Members) > 0):
		case l.UUID != "" && l.Name != "" && l.Kind == LayerLUKS && l.Crypt != nil:
			l.Crypt.validate(l, p, bad)
		default:
			bad("target device: layer %d (%q) is not said in full", i, l.Kind)
		}
	}
}
