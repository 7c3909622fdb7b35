package kexec

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// bzImage makes a kernel that is nothing but a header.
func bzImage(release string) []byte {
	b := make([]byte, 0x1000)
	le := binary.LittleEndian
	b[0x1f1] = 1                       // setup_sects
	le.PutUint32(b[0x1f4:], 0xc00/16)  // syssize: the rest of the file
	le.PutUint16(b[0x1fe:], 0xaa55)    // boot_flag
	copy(b[0x202:], "HdrS")            // header
	le.PutUint16(b[0x206:], 0x20f)     // version
	le.PutUint16(b[0x20e:], 0x600)     // kernel_version, less 0x200
	b[0x211] = 1                       // loadflags: LOADED_HIGH
	le.PutUint16(b[0x236:], 0x3f)      // xloadflags
	le.PutUint32(b[0x238:], 2047)      // cmdline_size
	le.PutUint32(b[0x260:], 0x3378000) // init_size, as Debian's 6.1
	copy(b[0x800:], release+" (someone@somewhere) #1 SMP\x00")
	return b
}

func arm64Image() []byte {
	b := make([]byte, 0x1000)
	copy(b, "MZ")
	binary.LittleEndian.PutUint64(b[16:], 40<<20)
	copy(b[56:], "ARM\x64")
	return b
}

func TestReadKernel(t *testing.T) {
	edit := func(off int, v ...byte) []byte {
		b := bzImage("6.1.0-56-cloud-amd64")
		copy(b[off:], v)
		return b
	}
	for _, tt := range []struct {
		name  string
		image []byte
		want  Kernel // Format "" wants an error with text
		max   int
		text  string
	}{
		{"bzImage", edit(0), Kernel{Format: BzImage, Release: "6.1.0-56-cloud-amd64", InitSize: 0x3378000}, 1985, ""},
		{"no version", edit(0x20e, 0, 0), Kernel{Format: BzImage, InitSize: 0x3378000}, 1985, ""},
		{"version outside", edit(0x20e, 0xff, 0xff), Kernel{Format: BzImage, InitSize: 0x3378000}, 1985, ""},
		{"small cmdline", edit(0x238, 0xff, 0), Kernel{Format: BzImage, Release: "6.1.0-56-cloud-amd64", InitSize: 0x3378000}, 193, ""},
		{"absurd cmdline", edit(0x238, 1, 0, 0, 0), Kernel{Format: BzImage, Release: "6.1.0-56-cloud-amd64", InitSize: 0x3378000}, 1985, ""},
		{"arm64", arm64Image(), Kernel{Format: Arm64Image, InitSize: 40 << 20}, 1985, ""},
		{"gzip", append([]byte{0x1f, 0x8b}, make([]byte, 0x1000)...), Kernel{Format: Gzip}, 1985, ""},
		{"cut", edit(0)[:0xf00], Kernel{}, 0, "cut short: 3840 bytes, its header says 4096"},
		{"old protocol", edit(0x206, 9, 2), Kernel{}, 0, "protocol 2.9"},
		{"boot flag", edit(0x1fe, 0, 0), Kernel{}, 0, "boot flag"},
		{"zImage", edit(0x211, 0), Kernel{}, 0, "zImage"},
		{"32 bit", edit(0x236, 2), Kernel{}, 0, "64-bit"},
		{"vmlinux", append([]byte("\x7fELF"), make([]byte, 0x1000)...), Kernel{}, 0, "vmlinux"},
		{"uki", append([]byte("MZ"), make([]byte, 0x1000)...), Kernel{}, 0, "unified"},
		{"text", bytes.Repeat([]byte("text"), 0x400), Kernel{}, 0, "starts with"},
		{"short", []byte("MZ"), Kernel{}, 0, "2 bytes"},
		{"empty", nil, Kernel{}, 0, "0 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ReadKernel(bytes.NewReader(tt.image), int64(len(tt.image)))
			if tt.want.Format == "" {
				if !errors.Is(err, ErrNotKernel) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("error %v, want ErrNotKernel with %q", err, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if k.Format != tt.want.Format || k.Release != tt.want.Release || k.InitSize != tt.want.InitSize || k.CmdlineMax() != tt.max {
				t.Errorf("got %+v with at most %d, want %+v with %d", k, k.CmdlineMax(), tt.want, tt.max)
			}
		})
	}
}

func zboot(kind string, payload []byte) []byte {
	b := make([]byte, 0x400)
	copy(b, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	copy(b[24:], kind)
	return append(b, payload...)
}

// Packed arm64 kernels reach the call unpacked; everything else as it is.
func TestPlain(t *testing.T) {
	image := arm64Image()
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write(image)
	z.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zs := enc.EncodeAll(image, nil)
	// A header is looked for in the first 0x300 bytes.
	padded := append(gz.Bytes(), make([]byte, headSize)...)

	for _, tt := range []struct {
		name string
		in   []byte
		want []byte // nil: an error
	}{
		{"plain", image, image},
		{"gzip", padded, image},
		{"zboot gzip", zboot("gzip", gz.Bytes()), image},
		{"zboot zstd", zboot("zstd22", zs), image},
		{"zboot xz", zboot("xzkern", []byte("xxxx")), nil},
		{"zboot outside", zboot("gzip", gz.Bytes())[:0x410], nil},
		{"gzip damaged", append([]byte{0x1f, 0x8b, 8}, make([]byte, headSize)...), nil},
		{"not a kernel", make([]byte, headSize), make([]byte, headSize)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := new(fakeCaller)
			err := Load(t.Context(), c, At(t.TempDir()), request(t, tt.in))
			if tt.want == nil {
				if err == nil || c.calls != 0 {
					t.Fatalf("error %v after %d calls, want one before the call", err, c.calls)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.kernel, tt.want) {
				t.Errorf("the call got %d bytes, want %d", len(c.kernel), len(tt.want))
			}
		})
	}
}

func FuzzReadKernel(f *testing.F) {
	f.Add(bzImage("6.1.0"))
	f.Add(arm64Image())
	f.Add(zboot("gzip", []byte{0x1f, 0x8b}))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ReadKernel(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if k.CmdlineMax() < 1 {
			t.Errorf("a kernel with room for %d bytes of command line", k.CmdlineMax())
		}
		if k.Format == Gzip || k.Format == Zboot {
			if r, err := unpacker(bytes.NewReader(b), int64(len(b)), k.Format); err == nil {
				r.Close()
			}
		}
	})
}
