package dmesg

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// The log of a whole machine, through its page tables.
func TestRead(t *testing.T) {
	var records []synth.Record
	var want strings.Builder
	for i := range 200 {
		text := fmt.Sprintf("message %d %s", i, strings.Repeat("-", i%60))
		records = append(records, synth.Record{TimeNS: uint64(i) * 1e9, Level: 6, Text: text})
		fmt.Fprintf(&want, "[%5d.000000] %s\n", i, text)
	}
	for _, tt := range []struct {
		name string
		opt  synth.Options
	}{
		{"4 levels", synth.Options{LogBits: 15, DescBits: 9}},
		{"5 levels, KASLR, SME", synth.Options{LogBits: 15, DescBits: 9, Level5: true, KASLR: 0x1200000 &^ (2<<20 - 1), SMEMask: 1 << 47}},
		{"gone round", synth.Options{LogBits: 12, DescBits: 6}},
		// Nothing of the memory map is needed.
		{"no memory map", synth.Options{LogBits: 15, DescBits: 9, Drop: []string{"SIZE(page)", "SYMBOL(mem_section)", "LENGTH(mem_section)"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opt.Log = records
			m := synth.New(tt.opt)
			src := m.Source()
			info, err := kernel.ParseInfo(src.VMCoreInfo())
			if err != nil {
				t.Fatal(err)
			}
			space, err := kernel.NewSpace(info, src.Machine(), m)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Read(info, space)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			if err := l.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if l.Warnings != nil || l.Count == 0 || !strings.HasSuffix(want.String(), got.String()) {
				t.Errorf("%d records, warnings %q, text:\n%s", l.Count, l.Warnings, got.String())
			}
			if tt.opt.LogBits == 15 && l.Count != len(records) {
				t.Errorf("%d records of %d", l.Count, len(records))
			}
		})
	}
}

func TestReadNoLog(t *testing.T) {
	m := synth.New(synth.Options{Drop: []string{"SYMBOL(prb)", "SYMBOL(printk_rb_static)"}})
	info, err := kernel.ParseInfo(m.Info)
	if err != nil {
		t.Fatal(err)
	}
	space, err := kernel.NewSpace(info, m.Source().Machine(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(info, space); !errors.Is(err, ErrNoLog) {
		t.Errorf("error %v", err)
	}
}
