package kernel

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// words is physical memory of 8-byte words; what is not there reads as zero.
type words map[uint64]uint64

func (w words) ReadPhys(p []byte, pa uint64) error {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], w[pa+uint64(i)])
	}
	return nil
}

func TestARM64(t *testing.T) {
	const root = 0x40400000
	for _, tt := range []struct {
		name             string
		page, config, va int
		pa               int
		tables           words
		addr, want, n    uint64
	}{
		{"4K 48 bit page", 4096, 48, 48, 48, words{
			root + 256*8: 0x50000003, 0x50000000: 0x50001003, 0x50001000: 0x50002003, 0x50002008: 0x0060000087654703,
		}, 0xffff800000001234, 0x87654234, 0xdcc},
		{"4K 39 bit block", 4096, 39, 39, 48, words{
			root: 0x50000003, 0x50000000: 0x60000701,
		}, 0xffffff8000012345, 0x60012345, 0x200000 - 0x12345},
		{"16K 47 bit page", 16384, 47, 47, 48, words{
			root: 0x50000003, 0x50000000: 0x50004003, 0x50004008: 0x70008703,
		}, 0xffff800000004010, 0x70008010, 0x4000 - 0x10},
		{"64K 52 bit address", 65536, 52, 48, 52, words{
			// sign-extended into the last 64 of 1024 entries
			root + 960*8: 0x50000003, 0x50000000: 0x50010003, 0x50010000: 0x70000000 | 0xa<<12 | 0x703,
		}, 0xffff000000000020, 0xa<<48 | 0x70000020, 0x10000 - 0x20},
		{"4K 52 bit LPA2", 4096, 52, 52, 52, words{
			root: 0x50000003, 0x50000000: 0x50001003, 0x50001000: 0x50002003, 0x50002000: 0x50003003,
			0x50003000: 0x80000000 | 2<<8 | 3,
		}, 0xfff0000000000008, 2<<50 | 0x80000008, 0x1000 - 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info, err := ParseInfo(fmt.Appendf(nil, "OSRELEASE=6.9\nPAGESIZE=%d\nNUMBER(VA_BITS)=%d\nNUMBER(TCR_EL1_T1SZ)=0x%x\n"+
				"NUMBER(kimage_voffset)=0xffff7fffc0000000\nSYMBOL(swapper_pg_dir)=ffff800000400000\nNUMBER(MAX_PHYSMEM_BITS)=%d\n",
				tt.page, tt.config, 64-tt.va, tt.pa))
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewSpace(info, elf.EM_AARCH64, tt.tables)
			if err != nil {
				t.Fatal(err)
			}
			pa, n, err := s.Translate(tt.addr)
			if err != nil || pa != tt.want || n != tt.n {
				t.Errorf("Translate(%#x) = %#x, %#x, %v; want %#x, %#x", tt.addr, pa, n, err, tt.want, tt.n)
			}
			if _, _, err := s.Translate(0x1000); !errors.Is(err, ErrNotMapped) {
				t.Errorf("a user address: %v", err)
			}
		})
	}
}
