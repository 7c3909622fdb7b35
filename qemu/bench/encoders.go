package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// encoder is what one codec does with a sample of a core's pages on one CPU.
type encoder struct {
	name  string
	rate  float64 // bytes in, for each second
	share float64 // bytes out for each byte in
	both  float64 // how much two of them at once do, in parts of what one does
}

const (
	samplePages = 8192
	sampleBatch = 32 // pages whose time is taken at once: short, so that little interrupts
	sampleRuns  = 5
	scalingFor  = 500 * time.Millisecond
)

// encoders measures the encoders alone, and copying, which is what any of them does at
// least. Of each batch of pages the best of some runs counts, since other work on the
// machine only ever adds time.
func encoders(core string, progress io.Writer) ([]encoder, error) {
	fmt.Fprintf(progress, "encoders alone\n")
	pages, size, err := sample(core)
	if err != nil || len(pages) == 0 {
		return nil, err
	}
	room := make([]byte, codec.MaxEncoded(size))
	all := []encoder{measure1("copying", pages, func(p []byte) int { return copy(room, p) })}
	all[0].both, err = scaling(func() (func([]byte), error) {
		room := make([]byte, size)
		return func(p []byte) { copy(room, p) }, nil
	}, pages)
	if err != nil {
		return nil, err
	}
	for _, id := range []codec.ID{codec.Zstd, codec.Zlib, codec.LZO, codec.Snappy} {
		e, err := codec.NewEncoder(id, size)
		if err != nil {
			return nil, err
		}
		m := measure1(id.String(), pages, func(p []byte) int {
			if out, ok := e.Encode(room, p); ok {
				return len(out)
			}
			return len(p)
		})
		m.both, err = scaling(func() (func([]byte), error) {
			e, err := codec.NewEncoder(id, size)
			room := make([]byte, codec.MaxEncoded(size))
			return func(p []byte) { e.Encode(room, p) }, err
		}, pages)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// scaling measures what the machine gives to two goroutines that share nothing.
func scaling(each func() (func(page []byte), error), pages [][]byte) (float64, error) {
	rate := func(n int) (float64, error) {
		var done atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range n {
			do, err := each()
			if err != nil {
				return 0, err
			}
			wg.Go(func() {
				for time.Since(start) < scalingFor {
					for _, p := range pages {
						do(p)
					}
					done.Add(int64(len(pages)))
				}
			})
		}
		wg.Wait()
		return float64(done.Load()) / time.Since(start).Seconds(), nil
	}
	one, err := rate(1)
	if err != nil {
		return 0, err
	}
	two, err := rate(2)
	return two / one, err
}

// measure1 measures one encoder.
func measure1(name string, pages [][]byte, encode func(page []byte) int) encoder {
	best := make([]time.Duration, (len(pages)+sampleBatch-1)/sampleBatch)
	out := 0
	for run := range sampleRuns {
		out = 0
		for i := range best {
			batch := pages[i*sampleBatch : min((i+1)*sampleBatch, len(pages))]
			start := time.Now()
			for _, p := range batch {
				out += encode(p)
			}
			if d := time.Since(start); run == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	sum, in := time.Duration(0), float64(len(pages)*len(pages[0]))
	for _, d := range best {
		sum += d
	}
	return encoder{name: name, rate: in / sum.Seconds(), share: float64(out) / in}
}

// sample reads pages that are not all zeros from all over a core.
func sample(core string) (pages [][]byte, size int, err error) {
	src, err := vmcore.OpenPath(core)
	if err != nil {
		return nil, 0, err
	}
	defer src.Close()
	r, err := src.NewReader()
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	total, unit := uint64(0), src.PageSize()
	for _, m := range src.RAM() {
		total += (m.End - m.Start) / unit
	}
	step := max(total/samplePages, 1) * unit
	for _, m := range src.RAM() {
		for pa := (m.Start + step - 1) / step * step; pa+unit <= m.End; pa += step {
			p := make([]byte, unit)
			if err := r.ReadPhys(p, pa); errors.Is(err, vmcore.ErrNoPage) {
				continue
			} else if err != nil {
				return nil, 0, err
			}
			if strings.Trim(string(p), "\x00") != "" {
				pages = append(pages, p)
			}
		}
	}
	return pages, int(unit), nil
}

// encoderTable is the part of the document that tells of them.
func encoderTable(all []encoder) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n## The encoders alone\n\nOn one CPU, on pages of the core that are not all zeros; pages that do not shrink count as they are; and what\n" +
		"two of them at once do, each on a CPU. Where an encoder's time goes, `go test -bench Stage ./capture/codec` tells.\n\n" +
		"| encoder | MB/s | of the size | two at once |\n|---|---|---|---|\n")
	for _, e := range all {
		fmt.Fprintf(&b, "| %s | %.0f | %.1f %% | %.2f x |\n", e.name, e.rate/1e6, 100*e.share, e.both)
	}
	return b.String()
}
