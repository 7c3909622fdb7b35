package vmcore

import (
	"bytes"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// magicLen is how many bytes detect needs at most.
const magicLen = 16

// foreign lists what people take for a core file, and what helps.
var foreign = []struct{ magic, hint string }{
	{"DISKDUMP", "diskdump, the format before kdump: use crash(8)"},
	{"QEVM", "QEMU migration stream, which only QEMU reads: dump again with `virsh dump --memory-only DOMAIN FILE`, or QEMU's `dump-guest-memory FILE` (QMP: dump-guest-memory with paging=false and protocol=file:FILE)"},
	{"LibvirtQemudSave", "libvirt save image (virsh save, or virsh dump without --memory-only), which only QEMU reads: dump again with `virsh dump --memory-only DOMAIN FILE`; a domain that is no more comes back with `virsh restore --paused FILE`"},
	{"LibvirtQemudPart", "libvirt save image that was not finished: dump again with `virsh dump --memory-only DOMAIN FILE`"},
	{"age-encryption.", "encrypted: decrypt it first, with `kdump-vmcore decrypt -i KEYFILE FILE` (or age -d)"},
	{"PAGEDU64", "Windows crash dump"},
	{"PAGEDUMP", "Windows crash dump"},
	{"EMiL", "LiME memory image without kernel notes"},
	{"\xd2\xbe\xd2\xbe", "VMware suspend or snapshot file: use crash(8)"},
	{"\xd3\xbe\xd3\xbe", "VMware partial snapshot file: use crash(8)"},
	{"\x1f\x8b", "compressed file: unpack it with `gzip -dc FILE >CORE`"},
	{"\xfd7zXZ\x00", "compressed file: unpack it with `xz -dc FILE >CORE`"},
	{"\x28\xb5\x2f\xfd", "compressed file: unpack it with `zstd -dc FILE >CORE`"},
	{"\x04\x22\x4d\x18", "compressed file: unpack it with `lz4 -dc FILE >CORE`"},
	{"\x02\x21\x4c\x18", "compressed file: unpack it with `lz4 -dc FILE >CORE`"},
	{"BZh", "compressed file: unpack it with `bzip2 -dc FILE >CORE`"},
	{"\x89LZO\x00\r\n", "compressed file: unpack it with `lzop -dc FILE >CORE`"},
}

// detect gives the format of a file that begins with b: "elf", "kdump", "flat", or ""
// with a hint at what the file is.
func detect(b []byte) (format, hint string) {
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "elf", ""
	case bytes.HasPrefix(b, []byte("KDUMP   ")):
		return "kdump", ""
	case bytes.HasPrefix(b, []byte(flat.Magic)):
		return "flat", ""
	case len(b) == 0:
		return "", "the file is empty"
	}
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return "", f.hint
		}
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return "", "the file begins with zeros, as one that was never written"
	}
	return "", fmt.Sprintf("the file begins with %q", b[:min(len(b), 8)])
}
