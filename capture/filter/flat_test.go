package filter_test

import (
	"fmt"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// flatSource serves the pages that a scan reads from plain memory, for speed:
// page tables and struct pages, by copying as from a mapped file.
type flatSource struct {
	vmcore.Source
	m    *synth.Machine
	maps [][]byte
}

func flatten(m *synth.Machine) *flatSource {
	f := &flatSource{Source: m.Source(), m: m}
	for _, r := range m.Maps {
		b := make([]byte, r.End-r.Start)
		if err := m.ReadPhys(b, r.Start); err != nil {
			panic(err)
		}
		f.maps = append(f.maps, b)
	}
	return f
}

func (f *flatSource) NewReader() (vmcore.Reader, error) { return flatReader{f}, nil }

type flatReader struct{ *flatSource }

func (r flatReader) Close() error { return nil }

func (r flatReader) ReadPhys(p []byte, pa uint64) error {
	for i, x := range r.m.Maps {
		if pa >= x.Start && pa+uint64(len(p)) <= x.End {
			copy(p, r.maps[i][pa-x.Start:])
			return nil
		}
	}
	return r.m.ReadPhys(p, pa)
}

// FuzzScan puts bytes over the struct pages at the start of a section. Nothing
// that they say may cost a page of the image, the tables or the maps.
func FuzzScan(f *testing.F) {
	var flats []*flatSource
	var infos []*kernel.Info
	for _, era := range []*synth.Era{&synth.V61, &synth.V66, &synth.V612, &synth.V71} {
		m := synth.New(synth.Options{Era: era, Runs: allKinds[:12]})
		info, err := kernel.ParseInfo(m.Info)
		if err != nil {
			f.Fatal(err)
		}
		flats, infos = append(flats, flatten(m)), append(infos, info)
	}
	f.Add(uint8(0), uint8(31), uint16(256), []byte("\x10\x00\x01\x00\x00\x00\x00\x00"))
	f.Add(uint8(2), uint8(16), uint16(0), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0"))
	f.Fuzz(func(t *testing.T, era, level uint8, pfn uint16, b []byte) {
		flat, info := flats[era%4], infos[era%4]
		level &= 31
		saved := append([]byte(nil), flat.maps[0]...)
		copy(flat.maps[0][uint64(pfn)%4096*64:], b)
		defer copy(flat.maps[0], saved)
		res, err := filter.Scan(t.Context(), flat, info, filter.Options{Level: int(level), Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		var sum uint64
		for _, n := range res.Counts {
			sum += n
		}
		if sum != res.RAM.Len() {
			t.Errorf("counts %v of %d pages", res.Counts, res.RAM.Len())
		}
		must := []uint64{flat.m.Image.Start, flat.m.Image.End - 1, flat.m.SectionSlot(0)}
		must = append(must, flat.m.Tables...)
		for _, r := range flat.m.Maps {
			must = append(must, r.Start, r.End-1)
		}
		for _, pa := range must {
			if !res.Keep.Has(pa / 4096) {
				t.Errorf("the page at %#x is dropped", pa)
			}
		}
		if len(res.Warnings) > 10 {
			t.Error(fmt.Sprint(len(res.Warnings), " warnings"))
		}
	})
}
