package blkid

import (
	"encoding/binary"
	"math/bits"
)

// Offsets and sizes in bytes. ext: struct ext4_super_block, fs/ext4/ext4.h.
const (
	extOffset = 1024
	extSize   = 1024
	extMagic  = 0xEF53

	extCompatJournal   = 0x4    // EXT4_FEATURE_COMPAT_HAS_JOURNAL
	extIncompatJournal = 0x8    // EXT4_FEATURE_INCOMPAT_JOURNAL_DEV
	ext3Incompat       = 0x0016 // FILETYPE, RECOVER, META_BG
	ext3ROCompat       = 0x0007 // SPARSE_SUPER, LARGE_FILE, BTREE_DIR

	// struct btrfs_super_block, include/uapi/linux/btrfs_tree.h.
	btrfsOffset = 64 << 10
	btrfsSize   = 4096
	btrfsMagic  = "_BHRfS_M"
)

func probeExt(r region) (Info, bool) {
	sb := r.at(extOffset, extSize)
	if sb == nil || binary.LittleEndian.Uint16(sb[56:]) != extMagic {
		return Info{}, false
	}
	le := binary.LittleEndian.Uint32
	// s_blocks_count_lo and s_blocks_per_group are never 0; block sizes go
	// from 1 KiB to 64 KiB.
	if le(sb[24:]) > 6 || le(sb[32:]) == 0 || le(sb[40:]) == 0 {
		return Info{}, false
	}
	compat, incompat, rocompat := le(sb[92:]), le(sb[96:]), le(sb[100:])
	i := Info{UUID: formatUUID(sb[104:120]), Label: text(sb[120:136])}
	switch {
	case incompat&extIncompatJournal != 0:
		i.Type = "jbd"
	case incompat&^uint32(ext3Incompat) != 0 || rocompat&^uint32(ext3ROCompat) != 0:
		i.Type = "ext4"
	case compat&extCompatJournal != 0:
		i.Type = "ext3"
	default:
		i.Type = "ext2"
	}
	return i, true
}

// probeXFS reads struct xfs_dsb, fs/xfs/libxfs/xfs_format.h; big endian.
func probeXFS(r region) (Info, bool) {
	sb := r.at(0, 264)
	if sb == nil || !r.has(0, "XFSB") {
		return Info{}, false
	}
	block := binary.BigEndian.Uint32(sb[4:])
	sector := uint32(binary.BigEndian.Uint16(sb[102:]))
	if !powerOf2(block, 512, 65536) || !powerOf2(sector, 512, 32768) {
		return Info{}, false
	}
	return Info{Type: "xfs", UUID: formatUUID(sb[32:48]), Label: text(sb[108:120])}, true
}

func probeBtrfs(r region) (Info, bool) {
	sb := r.at(btrfsOffset, btrfsSize)
	if sb == nil || string(sb[0x40:0x48]) != btrfsMagic || binary.LittleEndian.Uint64(sb[0x30:]) != btrfsOffset {
		return Info{}, false
	}
	return Info{Type: "btrfs", UUID: formatUUID(sb[0x20:0x30]), Label: text(sb[0x12b : 0x12b+256])}, true
}

// probeSquashfs reads struct squashfs_super_block, fs/squashfs/squashfs_fs.h.
func probeSquashfs(r region) (Info, bool) {
	sb := r.at(0, 96)
	if sb == nil || !r.has(0, "hsqs") || binary.LittleEndian.Uint16(sb[28:]) != 4 {
		return Info{}, false
	}
	return Info{Type: "squashfs"}, true
}

// probeISO9660 reads the primary volume descriptor of ECMA-119.
func probeISO9660(r region) (Info, bool) {
	vd := r.at(32768, 2048)
	if vd == nil || !r.has(32769, "CD001") {
		return Info{}, false
	}
	return Info{Type: "iso9660", Label: text(vd[40:72])}, true
}

// probeVFAT reads a FAT boot sector as ECMA-107 and Microsoft's FAT
// specification lay it out. An NTFS or a partition table's sector has the same
// last two bytes, so the type text is asked for as well.
func probeVFAT(r region) (Info, bool) {
	bs := r.at(0, 512)
	if bs == nil || bs[510] != 0x55 || bs[511] != 0xAA || !powerOf2(uint32(binary.LittleEndian.Uint16(bs[11:])), 512, 4096) {
		return Info{}, false
	}
	ext := 0 // start of the extended boot record
	switch {
	case r.has(82, "FAT32   "):
		ext = 64
	case r.has(54, "FAT16   "), r.has(54, "FAT12   "):
		ext = 36
	default:
		return Info{}, false
	}
	i := Info{Type: "vfat", Label: text(bs[ext+7 : ext+18])}
	if i.Label == "NO NAME" {
		i.Label = ""
	}
	const hex = "0123456789abcdef"
	id := make([]byte, 0, 9)
	for _, k := range []int{6, 5, 4, 3} {
		if k == 4 {
			id = append(id, '-')
		}
		id = append(id, hex[bs[ext+k]>>4], hex[bs[ext+k]&15])
	}
	i.UUID = string(id)
	return i, true
}

// probeSwap reads union swap_header, include/linux/swap.h. Its magic ends the
// first page, whose size is the writing machine's.
func probeSwap(r region) (Info, bool) {
	for page := 4096; page <= 65536; page *= 2 {
		switch {
		case r.has(page-10, "SWAPSPACE2"):
			h := r.at(1024, 44)
			return Info{Type: "swap", UUID: formatUUID(h[12:28]), Label: text(h[28:44])}, true
		case r.has(page-10, "SWAP-SPACE"):
			return Info{Type: "swap"}, true
		case r.has(page-10, "S1SUSPEND\x00"), r.has(page-10, "S2SUSPEND\x00"):
			return Info{Type: "swsuspend"}, true
		}
	}
	return Info{}, false
}

func powerOf2(v, lo, hi uint32) bool {
	return bits.OnesCount32(v) == 1 && v >= lo && v <= hi
}
