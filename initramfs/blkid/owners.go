package blkid

import (
	"encoding/binary"
	"io"
	"strings"
)

// include/uapi/linux/raid/md_p.h.
const (
	mdMagic    = 0xa92b4efc // MD_SB_MAGIC
	mdReserved = 64 << 10   // MD_RESERVED_BYTES, of version 0.90
)

// probeMD1 finds version 1.1 (at 0) and 1.2 (at 4096) superblocks.
func probeMD1(r region) (Info, bool) {
	for _, off := range []int{0, 4096} {
		if i, ok := md1(r.at(off, 256)); ok {
			return i, true
		}
	}
	return Info{}, false
}

// md1 reads struct mdp_superblock_1.
func md1(sb []byte) (Info, bool) {
	if len(sb) < 256 || binary.LittleEndian.Uint32(sb) != mdMagic || binary.LittleEndian.Uint32(sb[4:]) != 1 {
		return Info{}, false
	}
	return Info{Type: "linux_raid_member", UUID: formatUUID(sb[16:32]), Label: text(sb[32:64])}, true
}

// probeTail finds version 1.0 and 0.90 superblocks, which lie at the end, so
// that the member's start looks like the file system of the whole array.
func probeTail(r io.ReaderAt) (Info, bool) {
	s, ok := r.(Sizer)
	if !ok {
		return Info{}, false
	}
	size := s.Size()
	if size < 2*mdReserved {
		return Info{}, false
	}
	sb := make([]byte, 4096)
	// 1.0: at least 8 KiB before the end, on a 4 KiB boundary.
	if _, err := r.ReadAt(sb, (size-8192)&^4095); err == nil {
		if i, ok := md1(sb); ok {
			return i, true
		}
	}
	// 0.90: in the last full 64 KiB; the magic is in the writer's byte order.
	if _, err := r.ReadAt(sb, size&^(mdReserved-1)-mdReserved); err == nil {
		for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if o.Uint32(sb) == mdMagic && o.Uint32(sb[4:]) == 0 {
				id := append([]byte(nil), sb[20:24]...) // set_uuid0, then 1 to 3
				return Info{Type: "linux_raid_member", UUID: formatUUID(append(id, sb[52:64]...))}, true
			}
		}
	}
	return Info{}, false
}

// probeLUKS reads the common start of the LUKS1 and LUKS2 headers.
func probeLUKS(r region) (Info, bool) {
	h := r.at(0, 208)
	if h == nil || !r.has(0, "LUKS\xba\xbe") {
		return Info{}, false
	}
	i := Info{Type: "crypto_LUKS", UUID: strings.ToLower(text(h[168:208]))}
	if binary.BigEndian.Uint16(h[6:]) == 2 {
		i.Label = text(h[24:72])
	}
	return i, true
}

// probeLVM2 reads the label that one of the first four sectors holds.
func probeLVM2(r region) (Info, bool) {
	for off := 0; off < 4*512; off += 512 {
		h := r.at(off, 512)
		if h == nil || !r.has(off, "LABELONE") || !r.has(off+24, "LVM2 001") {
			continue
		}
		u := string(h[32:64])
		// A volume's UUID is 32 characters, in groups as the LVM tools write it.
		parts := []string{u[0:6], u[6:10], u[10:14], u[14:18], u[18:22], u[22:26], u[26:32]}
		return Info{Type: "LVM2_member", UUID: strings.Join(parts, "-")}, true
	}
	return Info{}, false
}
