package plan

import "strings"

// Device names a block device in a way that outlives a renaming.
type Device struct {
	// By says what Value is.
	By DeviceBy `json:"by"`
	// Value is a UUID, a label or a path under /dev.
	Value string `json:"value"`
}

// DeviceBy is a way to name a block device.
type DeviceBy string

// The ways to name a block device.
const (
	ByUUID  DeviceBy = "uuid"  // the file system's UUID, as blkid(8) prints it
	ByLabel DeviceBy = "label" // the file system's label
	ByPath  DeviceBy = "path"  // a node under /dev; devtmpfs names only
)

// String gives the name as fstab(5) writes it.
func (d Device) String() string {
	switch d.By {
	case ByUUID:
		return "UUID=" + d.Value
	case ByLabel:
		return "LABEL=" + d.Value
	}
	return d.Value
}

func (d Device) validate(bad complaint) {
	switch d.By {
	case ByUUID, ByLabel:
		if d.Value == "" {
			bad("target device: empty %s", d.By)
		}
	case ByPath:
		if !cleanAbs(d.Value) || !strings.HasPrefix(d.Value, "/dev/") {
			bad("target device %q is not a clean path under /dev", d.Value)
		}
	default:
		bad("target device is named by %q: want uuid, label or path", d.By)
	}
}
