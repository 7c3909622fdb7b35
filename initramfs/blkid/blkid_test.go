package blkid

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// uuid is a random UUID and its text.
var (
	uuidBytes = []byte{0x1b, 0x4e, 0x28, 0xba, 0x2f, 0xa1, 0x11, 0xd2, 0x88, 0x3f, 0x00, 0x16, 0xd3, 0xcc, 0xa4, 0x27}
	uuidText  = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
)

// image is a device under construction.
type image []byte

func blank(n int) image { return make(image, n) }

func (m image) put(off int, parts ...any) image {
	for _, p := range parts {
		var b []byte
		switch v := p.(type) {
		case string:
			b = []byte(v)
		case []byte:
			b = v
		default:
			b = must(binary.Append(nil, binary.LittleEndian, v))
		}
		off += copy(m[off:], b)
	}
	return m
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ext(n int, compat, incompat, rocompat uint32, label string) image {
	return blank(n).put(1024+24, uint32(2), uint32(2), uint32(32768)).put(1024+40, uint32(8192)).
		put(1024+56, uint16(0xEF53)).put(1024+92, compat, incompat, rocompat).put(1024+104, uuidBytes).put(1024+120, label)
}

func xfs(n int) image {
	m := blank(n).put(0, "XFSB").put(32, uuidBytes).put(108, "scratch")
	binary.BigEndian.PutUint32(m[4:], 4096)
	binary.BigEndian.PutUint16(m[102:], 512)
	return m
}

func btrfs(n int) image {
	return blank(n).put(65536+0x20, uuidBytes, uint64(65536)).put(65536+0x40, "_BHRfS_M").put(65536+0x12b, "pool one")
}

const devSize = 256 << 10

func TestProbe(t *testing.T) {
	md1 := func(m image, off int) image {
		return m.put(off, uint32(0xa92b4efc), uint32(1)).put(off+16, uuidBytes).put(off+32, "host:0")
	}
	for _, tt := range []struct {
		name string
		m    image
		want Info
	}{
		{"ext2", ext(devSize, 0, 2, 3, "small"), Info{"ext2", uuidText, "small"}},
		{"ext3", ext(devSize, 4, 6, 3, ""), Info{"ext3", uuidText, ""}},
		{"ext4", ext(devSize, 4, 0x2c2, 0x46b, "sixteen-bytes-16"), Info{"ext4", uuidText, "sixteen-bytes-16"}},
		{"ext4 by ro features", ext(devSize, 0, 2, 0x400, ""), Info{"ext4", uuidText, ""}},
		{"external journal", ext(devSize, 0, 8, 0, ""), Info{"jbd", uuidText, ""}},
		{"xfs", xfs(devSize), Info{"xfs", uuidText, "scratch"}},
		{"btrfs", btrfs(devSize), Info{"btrfs", uuidText, "pool one"}},
		{"swap", blank(devSize).put(1024+12, uuidBytes, "sw").put(4086, "SWAPSPACE2"), Info{"swap", uuidText, "sw"}},
		{"swap of 64 KiB pages", blank(devSize).put(65526, "SWAPSPACE2"), Info{"swap", "", ""}},
		{"hibernated", blank(devSize).put(4086, "S1SUSPEND\x00"), Info{"swsuspend", "", ""}},
		{"luks1", blank(devSize).put(0, "LUKS\xba\xbe\x00\x01").put(168, strings.ToUpper(uuidText)), Info{"crypto_LUKS", uuidText, ""}},
		{"luks2", blank(devSize).put(0, "LUKS\xba\xbe\x00\x02").put(24, "vault").put(168, uuidText), Info{"crypto_LUKS", uuidText, "vault"}},
		{"lvm", blank(devSize).put(512, "LABELONE").put(512+24, "LVM2 001", "abcdefghijklmnopqrstuvwxyzABCDEF"),
			Info{"LVM2_member", "abcdef-ghij-klmn-opqr-stuv-wxyz-ABCDEF", ""}},
		{"md 1.2 beats what it holds", md1(ext(devSize, 4, 0x2c2, 0x46b, ""), 4096), Info{"linux_raid_member", uuidText, "host:0"}},
		{"md 1.1", md1(blank(devSize), 0), Info{"linux_raid_member", uuidText, "host:0"}},
		{"md 1.0 mirrors a file system", md1(ext(devSize, 4, 0x2c2, 0x46b, ""), devSize-8192), Info{"linux_raid_member", uuidText, "host:0"}},
		{"md 0.90 mirrors a file system", ext(devSize, 4, 0x2c2, 0x46b, "").put(devSize-65536, uint32(0xa92b4efc), uint32(0)).
			put(devSize-65536+20, uuidBytes[:4]).put(devSize-65536+52, uuidBytes[4:]), Info{"linux_raid_member", uuidText, ""}},
		{"fat32", blank(devSize).put(11, uint16(512)).put(64+3, uint32(0x1234ABCD), "NO NAME    ", "FAT32   ").put(510, "\x55\xaa"),
			Info{"vfat", "1234-abcd", ""}},
		{"fat16", blank(devSize).put(11, uint16(512)).put(36+3, uint32(0x1234ABCD), "EFI        ", "FAT16   ").put(510, "\x55\xaa"),
			Info{"vfat", "1234-abcd", "EFI"}},
		{"squashfs", blank(devSize).put(0, "hsqs").put(28, uint16(4)), Info{"squashfs", "", ""}},
		{"iso", blank(devSize).put(32768, "\x01CD001").put(32768+40, "CIDATA                          "), Info{"iso9660", "", "CIDATA"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Probe(bytes.NewReader(tt.m))
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestProbeUnknown(t *testing.T) {
	half := func(m image) image { return m[:len(m)/2] }
	for name, m := range map[string]image{
		"empty":                 {},
		"zeroes":                blank(devSize),
		"one byte":              {'X'},
		"ext cut":               ext(4096, 0, 0, 0, "")[:2047],
		"ext absurd block size": ext(devSize, 0, 0, 0, "").put(1024+24, uint32(7)),
		"ext without groups":    ext(devSize, 0, 0, 0, "").put(1024+40, uint32(0)),
		"xfs block size 0":      xfs(devSize).put(4, uint32(0)),
		"xfs sector size 3":     xfs(devSize).put(102, uint16(0x0300)),
		"btrfs elsewhere":       btrfs(devSize).put(65536+0x30, uint64(4096)),
		"btrfs cut":             half(btrfs(65536 + 4096)),
		"partition table":       blank(devSize).put(510, "\x55\xaa"),
		"fat without type":      blank(devSize).put(11, uint16(512)).put(510, "\x55\xaa"),
		"squashfs of version 3": blank(devSize).put(0, "hsqs").put(28, uint16(3)),
	} {
		if got, err := Probe(bytes.NewReader(m)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: got %v, %v; want ErrUnknown", name, got, err)
		}
	}
}

func TestLeftoverSuperblock(t *testing.T) {
	// mkfs.ext4 leaves an older btrfs superblock where it was.
	m := btrfs(devSize).put(0, []byte(ext(4096, 4, 0x2c2, 0x46b, "new")))
	all, err := probeAll(bytes.NewReader(m))
	if err != nil || len(all) != 2 || all[0].Type != "ext4" || all[1].Type != "btrfs" {
		t.Fatalf("got %v, %v", all, err)
	}
}

// broken fails after n good bytes, as a disk with a bad sector does.
type broken struct {
	m image
	n int
}

var errIO = errors.New("input/output error")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= int64(b.n) {
		return bytes.NewReader(b.m).ReadAt(p, off)
	}
	n, _ := bytes.NewReader(b.m[:b.n]).ReadAt(p, off)
	return n, errIO
}

func TestReadError(t *testing.T) {
	if _, err := Probe(broken{blank(devSize), 4096}); !errors.Is(err, errIO) || errors.Is(err, ErrUnknown) {
		t.Errorf("unreadable disk: %v", err)
	}
	if i, err := Probe(broken{ext(devSize, 0, 0, 0, ""), 8192}); err != nil || i.Type != "ext2" {
		t.Errorf("bad sector behind the superblock: %v, %v", i, err)
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte(ext(4096, 4, 0x2c2, 0x46b, "x")), int64(0))
	f.Add([]byte(xfs(4096)), int64(1<<40))
	f.Add([]byte(btrfs(65536+4096)), int64(-1))
	f.Add([]byte(blank(8192).put(0, "LUKS\xba\xbe\x00\x02")), int64(131072))
	f.Add([]byte(blank(8192).put(1536, "LABELONE").put(1536+24, "LVM2 001")), int64(8192))
	f.Fuzz(func(t *testing.T, m []byte, n int64) {
		i, err := Probe(claims{bytes.NewReader(m), n})
		if (err == nil) == (i.Type == "") {
			t.Fatalf("type %q with error %v", i.Type, err)
		}
		if strings.ContainsAny(i.String(), "\n\x00\x1b") {
			t.Fatalf("unsafe to print: %q", i.String())
		}
	})
}

// claims is a reader that lies about its size.
type claims struct {
	io.ReaderAt
	n int64
}

func (c claims) Size() int64 { return c.n }
