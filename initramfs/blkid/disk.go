package blkid

import (
	"path/filepath"
	"strings"
)

// diskAttributes are where drivers show what tells one disk from all others, each
// below the disk's directory in sysfs (Documentation/ABI/stable/sysfs-block and
// testing/sysfs-class-nvme; the SCSI disk's wwid and its page 80h; virtio-blk's
// serial; MMC's cid).
var diskAttributes = []string{"wwid", "device/wwid", "serial", "device/serial", unitSerial, "device/cid", "uuid"}

// unitSerial is a SCSI disk's page of vital product data with its serial number, all
// that some disks have that tell no wwid.
const unitSerial = "device/vpd_pg80"

// diskIDs gives what the driver shows of disk's identity, as ATTRIBUTE:VALUE, spaces
// made single.
func (f *Finder) diskIDs(disk string) []string {
	var ids []string
	for _, a := range diskAttributes {
		text := readLine(filepath.Join(f.sys(), disk, a))
		if a == unitSerial {
			text = serialIn(text)
		}
		v := strings.Join(strings.Fields(text), " ")
		if v != "" && v != "(null)" && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			ids = append(ids, a+":"+v)
		}
	}
	return ids
}

// serialIn takes the number out of the page (SPC-5, 7.7.20): behind a head of four
// bytes, the second of which is the page's code and the last two the number's length.
func serialIn(page string) string {
	const head = 4
	if len(page) < head || page[1] != 0x80 {
		return ""
	}
	n := int(page[2])<<8 | int(page[3])
	return page[head:min(len(page), head+n)]
}
