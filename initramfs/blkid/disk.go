package blkid

import (
	"path/filepath"
	"strings"
)

// diskAttributes are where drivers show what tells one disk from all others, each
// below the disk's directory in sysfs (Documentation/ABI/stable/sysfs-block and
// testing/sysfs-class-nvme; the SCSI disk's wwid and vpd pages; virtio-blk's serial;
// MMC's cid).
var diskAttributes = []string{"wwid", "device/wwid", "serial", "device/serial", "device/cid", "uuid"}

// diskIDs gives what the driver shows of disk's identity, as ATTRIBUTE:VALUE, spaces
// made single.
func (f *Finder) diskIDs(disk string) []string {
	var ids []string
	for _, a := range diskAttributes {
		v := strings.Join(strings.Fields(readLine(filepath.Join(f.sys(), disk, a))), " ")
		if v != "" && v != "(null)" && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			ids = append(ids, a+":"+v)
		}
	}
	return ids
}
