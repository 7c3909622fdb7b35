package dmesg

import (
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/capturetest/spoil"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// TestSpoiledInfo spoils each key of VMCOREINFO: the log is the same as ever.
func TestSpoiledInfo(t *testing.T) {
	for name, opt := range map[string]synth.Options{
		"4 levels": {KASLR: 0x1a000000}, "5 levels, SME": {Level5: true, SMEMask: 1 << 51},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := synth.New(opt)
			src := m.Source()
			text := func(info []byte) (string, []string) {
				i, err := kernel.ParseInfo(info)
				if err != nil {
					return err.Error(), nil
				}
				s, err := kernel.NewSpace(i, src.Machine(), m)
				if err != nil {
					return err.Error(), nil
				}
				l, err := Read(i, s)
				if err != nil {
					return err.Error(), nil
				}
				var b strings.Builder
				if err := l.WriteText(&b); err != nil {
					return err.Error(), nil
				}
				return b.String(), append(append(s.Mended, i.Malformed...), l.Warnings...)
			}
			want, warnings := text(m.Info)
			if len(warnings) > 0 || !strings.Contains(want, "synthetic crash") {
				t.Fatalf("%q, warnings %q", want, warnings)
			}
			for _, bad := range spoil.Each(m.Info, nil) {
				if got, warnings := text(bad.Info); got != want {
					t.Errorf("%v: log is %q, want %q; warnings %q", bad, got, want, warnings)
				}
			}
		})
	}
}
