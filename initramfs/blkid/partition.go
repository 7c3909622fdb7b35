package blkid

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf16"
)

// Partition is what a disk's partition table says of one partition.
type Partition struct {
	// UUID is the partition's own, as blkid(8) prints PARTUUID, lower case: 36
	// characters with a GPT; with an MBR the disk's signature, - and the number,
	// as in 8f0c1a2b-01. "" when the disk has no signature.
	UUID string
	// Label is the partition's name in a GPT, verbatim; "" when there is none.
	Label string
}

// PartTable is a disk's partition table.
type PartTable struct {
	// Type is gpt or dos, "" for none.
	Type string
	// signature is the one of an MBR, 0 for none.
	signature uint32
	gpt       map[int]Partition
}

// Part gives what the table says of partition n, from 1; a zero Partition when it
// does not know it.
func (t PartTable) Part(n int) Partition {
	switch {
	case t.Type == "gpt":
		return t.gpt[n]
	case t.Type == "dos" && t.signature != 0 && n > 0:
		return Partition{UUID: fmt.Sprintf("%08x-%02x", t.signature, n)}
	}
	return Partition{}
}

// The layouts, in bytes: UEFI specification, chapter 5; an MBR as the same chapter
// shows it.
const (
	mbrSize         = 512
	mbrSignature    = 440
	mbrEntries      = 446
	mbrEntrySize    = 16
	mbrProtective   = 0xEE
	gptHeaderSize   = 92
	maxGPTEntries   = 1024 // the usual number is 128
	maxGPTEntrySize = 1024
)

// ReadPartTable reads the partition table of a whole disk of size bytes, whose logical
// sectors have sector bytes; 0 means 512. The result is zero where there is none, or
// none that can be read: the kernel then has no partitions to name either. Like the
// kernel it takes the copy at the disk's end when the first one is damaged.
func ReadPartTable(r io.ReaderAt, size int64, sector int) PartTable {
	if sector < 512 || sector > 65536 {
		sector = 512
	}
	mbr := make([]byte, mbrSize)
	if _, err := r.ReadAt(mbr, 0); err != nil || mbr[510] != 0x55 || mbr[511] != 0xAA {
		return PartTable{}
	}
	table := PartTable{Type: "dos", signature: binary.LittleEndian.Uint32(mbr[mbrSignature:])}
	for e := mbr[mbrEntries:510]; len(e) >= mbrEntrySize; e = e[mbrEntrySize:] {
		if e[4] == mbrProtective {
			t, ok := readGPT(r, int64(sector), sector)
			if !ok && size >= int64(2*sector) {
				t, _ = readGPT(r, (size/int64(sector)-1)*int64(sector), sector)
			}
			return t
		}
		// A boot sector of a file system ends in the same two bytes; in a table
		// each entry's first byte is 0 or 0x80.
		if e[0]&0x7f != 0 {
			table = PartTable{}
		}
	}
	return table
}

// readGPT reads the header at byte off, and its entries.
func readGPT(r io.ReaderAt, off int64, sector int) (none PartTable, ok bool) {
	h := make([]byte, 512)
	if _, err := r.ReadAt(h, off); err != nil {
		return none, false
	}
	le := binary.LittleEndian
	n, sum := le.Uint32(h[12:]), le.Uint32(h[16:])
	if string(h[:8]) != "EFI PART" || n < gptHeaderSize || n > uint32(len(h)) {
		return none, false
	}
	le.PutUint32(h[16:], 0)
	first, count, each := le.Uint64(h[72:]), le.Uint32(h[80:]), le.Uint32(h[84:])
	if crc32.ChecksumIEEE(h[:n]) != sum || each < 128 || each > maxGPTEntrySize || count > maxGPTEntries || first > 1<<40 {
		return none, false
	}
	entries := make([]byte, count*each)
	if _, err := r.ReadAt(entries, int64(first)*int64(sector)); err != nil || crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return none, false
	}
	t := PartTable{Type: "gpt", gpt: map[int]Partition{}}
	for i := range int(count) {
		e := entries[i*int(each):][:each]
		if [16]byte(e[:16]) != [16]byte{} {
			t.gpt[i+1] = Partition{UUID: guid(e[16:32]), Label: utf16Name(e[56:128])}
		}
	}
	return t, true
}

// guid prints a GUID, whose first three parts are little endian.
func guid(b []byte) string {
	return formatUUID([]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]})
}

func utf16Name(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u = append(u, binary.LittleEndian.Uint16(b))
	}
	s, _, _ := strings.Cut(string(utf16.Decode(u)), "\x00")
	return s
}
