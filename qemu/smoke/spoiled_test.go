//go:build vm

package smoke

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/capturetest/spoil"
	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// silentOnReal are the keys whose loss nothing in this kernel's memory tells; the
// filter's own tests have the reasons.
var silentOnReal = map[string]bool{
	"NUMBER(PG_swapcache)": true, "NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)": true,
}

// spoilReal spoils each key of a real kernel's VMCOREINFO, and pieces of its
// memory: no page of a good run is lost, what grows is told, the log is the same.
func spoilReal(t *testing.T, src vmcore.Source) {
	text := src.VMCoreInfo()
	good, log := scanReal(t, src, text), logReal(t, src, text)
	for _, w := range good.Warnings {
		t.Logf("the good run warns: %s", w)
	}
	if !strings.Contains(log, trigger) {
		t.Fatalf("the log of %d bytes lacks the panic", len(log))
	}
	grew := map[string]uint64{}
	texts := spoil.Each(text, nil)
	for _, bad := range texts {
		grew[bad.Key] = max(grew[bad.Key], notLess(t, bad.String(), silentOnReal[bad.Key], good, scanReal(t, src, bad.Info)))
		if got := logReal(t, src, bad.Info); got != log {
			t.Errorf("%v: the log has %d bytes, want the same %d", bad, len(got), len(log))
		}
	}
	for key, n := range grew {
		if n > 0 {
			t.Logf("wrong %s: up to %d pages more are kept", key, n)
		}
	}
	t.Logf("%d spoiled texts, %d pages in the good run", len(texts), good.Keep.Len())
	spoilMemory(t, src, good, log)
}

// spoilMemory writes over struct pages, page tables and mem_section.
func spoilMemory(t *testing.T, src vmcore.Source, good *filter.Result, log string) {
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	space, err := kernel.NewSpace(info, src.Machine(), r)
	if err != nil {
		t.Fatal(err)
	}
	m, err := kernel.NewMemMap(info, space, src.RAM())
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	fills := map[string]func(b []byte){
		"zeros": func(b []byte) { clear(b) },
		"noise": func(b []byte) {
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
		},
		"itself, moved": func(b []byte) { copy(b[8:], b) },
		"text": func(b []byte) {
			for i := range b {
				b[i] = "gokdump "[i%8]
			}
		},
	}
	try := func(what string, va uint64, n int, fill func([]byte)) {
		pa, left, err := space.Translate(va)
		if err != nil || left < uint64(n) {
			t.Logf("%s: not mapped as a piece: %v", what, err)
			return
		}
		o := &overlay{Source: src, pa: pa, b: make([]byte, n)}
		if err := r.ReadPhys(o.b, pa); err != nil {
			t.Fatal(err)
		}
		fill(o.b)
		notLess(t, what, false, good, scanReal(t, o, src.VMCoreInfo()))
		if got := logReal(t, o, src.VMCoreInfo()); got != log {
			t.Errorf("%s: the log has %d bytes, want the same %d", what, len(got), len(log))
		}
	}
	for how, fill := range fills {
		for i, sec := range m.Sections {
			at := sec.Map + rnd.Uint64N((sec.End-sec.Start)*64-1<<20)&^4095
			try(fmt.Sprintf("struct pages of section %d: 4 KiB of %s", i, how), at, 4096, fill)
			try(fmt.Sprintf("struct pages of section %d: 256 KiB of %s", i, how), at&^(1<<18-1), 1<<18, fill)
		}
		for i, tab := range m.Tables {
			try(fmt.Sprintf("mem_section, part %d: %s", i, how), tab.VA, int(min(tab.Size, 4096-tab.VA%4096)), fill)
		}
	}
}

// scanReal filters with another VMCOREINFO, as a capture would.
func scanReal(t *testing.T, src vmcore.Source, text []byte) *filter.Result {
	t.Helper()
	info, err := kernel.ParseInfo(text)
	if err != nil {
		info = nil
	}
	res, err := filter.Scan(t.Context(), src, info, filter.Options{Level: 31})
	if err != nil {
		t.Fatal(err)
	}
	if info != nil {
		res.Warnings = append(res.Warnings, info.Malformed...)
	}
	return res
}

// logReal is the text of the log, or why there is none.
func logReal(t *testing.T, src vmcore.Source, text []byte) string {
	t.Helper()
	info, err := kernel.ParseInfo(text)
	if err != nil {
		return err.Error()
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	space, err := kernel.NewSpace(info, src.Machine(), r)
	if err != nil {
		return err.Error()
	}
	l, err := dmesg.Read(info, space)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := l.WriteText(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

// notLess fails when bad lacks a page of good, or grew in silence. It returns by
// how many pages it grew.
func notLess(t *testing.T, what string, silent bool, good, bad *filter.Result) (more uint64) {
	t.Helper()
	lost := uint64(0)
	for pfn := range good.Keep.Limit() {
		switch a, b := good.Keep.Has(pfn), bad.Keep.Has(pfn); {
		case a && !b:
			lost++
		case b && !a:
			more++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d pages are lost; warnings %q", what, lost, bad.Warnings)
	}
	if more > 0 && !silent && len(bad.Warnings) <= len(good.Warnings) {
		t.Errorf("%s: %d pages more are kept, and nothing is said", what, more)
	}
	return more
}

// overlay is a core with other bytes at one place.
type overlay struct {
	vmcore.Source
	pa uint64
	b  []byte
}

func (o *overlay) NewReader() (vmcore.Reader, error) {
	r, err := o.Source.NewReader()
	return overlaid{r, o}, err
}

type overlaid struct {
	vmcore.Reader
	o *overlay
}

func (r overlaid) ReadPhys(p []byte, pa uint64) error {
	if err := r.Reader.ReadPhys(p, pa); err != nil {
		return err
	}
	start, end := max(pa, r.o.pa), min(pa+uint64(len(p)), r.o.pa+uint64(len(r.o.b)))
	if start < end {
		copy(p[start-pa:end-pa], r.o.b[start-r.o.pa:])
	}
	return nil
}
