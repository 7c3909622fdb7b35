package dmesg

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/kernel"
)

// usual gives the layouts of printk_ringbuffer on 64-bit kernels from 5.10 to
// 7.2, by the keys of VMCOREINFO: the descriptor ring grew by last_finalized_seq
// in 5.18, and struct printk_info by the caller's name in 7.0. The log is to be
// found also where VMCOREINFO lacks a key or has it wrong.
func usual() []map[string]uint64 {
	var all []map[string]uint64
	for _, descRing := range []uint64{48, 40} {
		for _, info := range []uint64{88, 112} {
			l := maps.Clone(usualParts)
			l["OFFSET(printk_ringbuffer.text_data_ring)"] = descRing
			l["SIZE(prb_desc_ring)"] = descRing
			l["SIZE(printk_ringbuffer)"] = descRing + 40
			l["SIZE(printk_info)"] = info
			all = append(all, l)
		}
	}
	return all
}

var usualParts = map[string]uint64{
	"OFFSET(printk_ringbuffer.desc_ring)": 0,
	"OFFSET(prb_desc_ring.count_bits)":    0, "OFFSET(prb_desc_ring.descs)": 8, "OFFSET(prb_desc_ring.infos)": 16,
	"OFFSET(prb_desc_ring.head_id)": 24, "OFFSET(prb_desc_ring.tail_id)": 32,
	"SIZE(prb_desc)": 24, "OFFSET(prb_desc.state_var)": 0, "OFFSET(prb_desc.text_blk_lpos)": 8,
	"SIZE(prb_data_blk_lpos)": 16, "OFFSET(prb_data_blk_lpos.begin)": 0, "OFFSET(prb_data_blk_lpos.next)": 8,
	"OFFSET(printk_info.seq)": 0, "OFFSET(printk_info.ts_nsec)": 8, "OFFSET(printk_info.text_len)": 16, "OFFSET(printk_info.caller_id)": 20,
	"SIZE(prb_data_ring)": 32, "OFFSET(prb_data_ring.size_bits)": 0, "OFFSET(prb_data_ring.data)": 8,
}

// findRingbuffer finds the ring as VMCOREINFO describes it; if that gives a log
// with flaws, as the usual kernel has it, at the address of the pointer prb or of
// the ring that a kernel is built with. The best log wins, VMCOREINFO's first.
// The note says when it is another.
func findRingbuffer(info *kernel.Info, mem memory) (best *ringbuffer, note string, err error) {
	best, err = newRingbuffer(&fields{info: info}, mem, 0)
	most, flawless := 0, false
	if err == nil {
		most, flawless = best.judge(mem)
	}
	layouts := usual()
	if flawless && slices.ContainsFunc(layouts, func(l map[string]uint64) bool { return fits(info, l) }) {
		return best, "", nil
	}
	static, _ := info.Symbol("printk_rb_static")
	for _, l := range layouts {
		for _, at := range []uint64{0, static} {
			r, err := newRingbuffer(&fields{info: info, usual: l}, mem, at)
			if err != nil {
				continue
			}
			if score, _ := r.judge(mem); score > most {
				best, most = r, score
				note = "VMCOREINFO does not fit the log; it is read as kernels from 5.10 on usually have it"
				if at != 0 {
					note += ", in the ring that the kernel is built with"
				}
			}
		}
	}
	if best == nil {
		return nil, "", err
	}
	if note != "" && err != nil {
		note = fmt.Sprintf("%s (%v)", note, err)
	}
	return best, note, nil
}

// fits tells that VMCOREINFO has all keys of l, with the same values.
func fits(info *kernel.Info, l map[string]uint64) bool {
	for key, want := range l {
		kind, name, _ := strings.Cut(strings.TrimSuffix(key, ")"), "(")
		get := info.Offset
		if kind == "SIZE" {
			get = info.Size
		}
		if v, ok := get(name); !ok || v != want {
			return false
		}
	}
	return true
}

// second is the most, in nanoseconds, by which a record may be older than the one
// before it: CPUs write at the same time.
const second = 1e9

// judge weighs the log that r gives: records, less what speaks against them.
func (r *ringbuffer) judge(mem memory) (score int, flawless bool) {
	var bad tally
	var last uint64
	good, back := 0, 0
	r.walk(mem, &bad, func(rec *Record) bool {
		good++
		if rec.TimeNS+second < last {
			back++
		}
		last = rec.TimeNS
		return true
	})
	wrong := back
	for d, c := range bad {
		if d := damage(d); d != unfinished && d != textLost {
			wrong += int(min(c.n, 1<<20))
		}
	}
	score = 2*good - wrong
	if r.level {
		score++
	}
	return score, good > 0 && wrong == 0 && r.level
}
