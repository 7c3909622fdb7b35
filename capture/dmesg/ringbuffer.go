package dmesg

import "fmt"

// Limits of struct printk_ringbuffer. The kernel's own are 2 GiB of text
// (LOG_BUF_LEN_MAX, kernel/printk/printk.c) and one descriptor for 32 bytes of
// it; beyond 256 MiB nobody has been seen, and a damaged size costs time.
const (
	maxCountBits = 24
	maxSizeBits  = 28
)

// States of a descriptor, the top two bits of state_var (printk_ringbuffer.h).
const (
	descReserved  = 0
	descCommitted = 1
	descFinalized = 2
	descReusable  = 3
	descIDMask    = 1<<62 - 1
)

// Positions of a record without a block in the text ring.
const (
	noText    = 1 // FAILED_LPOS: there was no room for it
	emptyText = 3 // EMPTY_LINE_LPOS, NO_LPOS
	blockID   = 8 // bytes of the id in front of each block
)

// ringbuffer is struct printk_ringbuffer of 5.10 and later.
type ringbuffer struct {
	count      uint64 // descriptors, a power of two
	descs      uint64 // array of struct prb_desc
	infos      uint64 // array of struct printk_info
	head, tail uint64 // ids of the newest and the oldest descriptor
	size       uint64 // bytes of text, a power of two
	data       uint64

	descSize, state, begin, next uint64
	infoSize, seq, ts, textLen   uint64
	caller                       uint64
	level                        bool // facility and level lie between text_len and caller_id
}

// newRingbuffer reads the ring at address at, or where the pointer prb points if
// that is 0.
func newRingbuffer(f *fields, mem memory, at uint64) (*ringbuffer, error) {
	r := &ringbuffer{}
	var prb uint64
	if at == 0 {
		prb = f.symbol("prb")
	}
	ringSize := f.size("printk_ringbuffer")
	descRingSize, dataRingSize := f.size("prb_desc_ring"), f.size("prb_data_ring")
	descRing := f.offset("printk_ringbuffer.desc_ring", descRingSize, ringSize)
	dataRing := f.offset("printk_ringbuffer.text_data_ring", dataRingSize, ringSize)
	countBits := descRing + f.offset("prb_desc_ring.count_bits", 4, descRingSize)
	descs := descRing + f.offset("prb_desc_ring.descs", 8, descRingSize)
	infos := descRing + f.offset("prb_desc_ring.infos", 8, descRingSize)
	head := descRing + f.offset("prb_desc_ring.head_id", 8, descRingSize)
	tail := descRing + f.offset("prb_desc_ring.tail_id", 8, descRingSize)
	sizeBits := dataRing + f.offset("prb_data_ring.size_bits", 4, dataRingSize)
	data := dataRing + f.offset("prb_data_ring.data", 8, dataRingSize)

	r.descSize = f.size("prb_desc")
	lposSize := f.size("prb_data_blk_lpos")
	r.state = f.offset("prb_desc.state_var", 8, r.descSize)
	lpos := f.offset("prb_desc.text_blk_lpos", lposSize, r.descSize)
	r.begin = lpos + f.offset("prb_data_blk_lpos.begin", 8, lposSize)
	r.next = lpos + f.offset("prb_data_blk_lpos.next", 8, lposSize)
	r.infoSize = f.size("printk_info")
	r.seq = f.offset("printk_info.seq", 8, r.infoSize)
	r.ts = f.offset("printk_info.ts_nsec", 8, r.infoSize)
	r.textLen = f.offset("printk_info.text_len", 2, r.infoSize)
	r.caller = f.offset("printk_info.caller_id", 4, r.infoSize)
	r.level = r.caller == r.textLen+4
	f.apart([]part{{"seq", r.seq, 8}, {"ts_nsec", r.ts, 8}, {"text_len", r.textLen, 2}, {"caller_id", r.caller, 4}})
	if err := f.err(); err != nil {
		return nil, err
	}

	if at == 0 {
		var err error
		if at, err = number(mem, prb, 8); err != nil {
			return nil, fmt.Errorf("read the pointer prb at %#x: %w", prb, err)
		}
	}
	b := make([]byte, ringSize)
	if err := mem.ReadVirt(b, at); err != nil {
		return nil, fmt.Errorf("read struct printk_ringbuffer at %#x: %w", at, err)
	}
	cb, sb := u32(b[countBits:]), u32(b[sizeBits:])
	if cb == 0 || cb > maxCountBits || sb < 4 || sb > maxSizeBits {
		return nil, fmt.Errorf("struct printk_ringbuffer at %#x: 2^%d descriptors and 2^%d bytes of text are not sound (at most 2^%d and 2^%d)",
			at, cb, sb, maxCountBits, maxSizeBits)
	}
	r.count, r.size = 1<<cb, 1<<sb
	r.descs, r.infos, r.data = u64(b[descs:]), u64(b[infos:]), u64(b[data:])
	r.head, r.tail = u64(b[head:])&descIDMask, u64(b[tail:])&descIDMask
	for _, a := range []struct {
		name     string
		va, size uint64
	}{{"descs", r.descs, r.count * r.descSize}, {"infos", r.infos, r.count * r.infoSize}, {"data", r.data, r.size}} {
		if a.va == 0 || a.va+a.size < a.va {
			return nil, fmt.Errorf("struct printk_ringbuffer at %#x: %s at %#x with %d bytes is not sound", at, a.name, a.va, a.size)
		}
	}
	return r, nil
}

// walk goes from the oldest id to the newest. The ids tell how many there are,
// so that no content of the ring can make it go on for ever.
func (r *ringbuffer) walk(mem memory, bad *tally, yield func(*Record) bool) {
	descs := newWindow(mem, r.descs, r.count*r.descSize, 32<<10)
	infos := newWindow(mem, r.infos, r.count*r.infoSize, 64<<10)
	text := newWindow(mem, r.data, r.size, 128<<10)
	n := (r.head-r.tail)&descIDMask + 1
	if n > r.count {
		bad.add(badEnds, "tail id", r.tail)
		n = r.count
	}
	var rec Record
	for i := uint64(0); i < n; i++ {
		id := (r.head - (n - 1) + i) & descIDMask
		slot := id % r.count
		d, err := descs.bytes(r.descs+slot*r.descSize, int(r.descSize))
		if err != nil {
			// Millions of descriptors can be missing: pass over the page's others.
			here := (r.descs + slot*r.descSize) % smallPage
			skip := min((smallPage-here-1)/r.descSize, n-1-i, r.count-1-slot)
			bad.addN(unreadable, "id", id, 1+skip)
			i += skip
			continue
		}
		sv := u64(d[r.state:])
		switch state := sv >> 62; {
		case sv&descIDMask != id:
			bad.add(foreign, "id", id)
			continue
		case state == descReusable: // a slot given up, or never used
			continue
		case state == descReserved:
			bad.add(unfinished, "id", id)
			continue
		}
		begin, next := u64(d[r.begin:]), u64(d[r.next:])
		want, err := r.info(infos, slot, &rec)
		if err != nil {
			bad.add(unreadable, "id", id)
			continue
		}
		var ok bool
		if rec.Text, ok = r.text(text, begin, next, id, want, bad); !ok {
			continue
		}
		if !yield(&rec) {
			return
		}
	}
}

// info fills in what struct printk_info tells, and gives the length of the text.
func (r *ringbuffer) info(infos *window, slot uint64, rec *Record) (uint64, error) {
	b, err := infos.bytes(r.infos+slot*r.infoSize, int(r.infoSize))
	if err != nil {
		return 0, err
	}
	*rec = Record{Seq: u64(b[r.seq:]), TimeNS: u64(b[r.ts:]), Timed: true, Caller: u32(b[r.caller:])}
	if r.level { // u8 facility; u8 flags:5, level:3
		rec.HasLevel = true
		rec.Facility, rec.Level = b[r.textLen+2], b[r.textLen+3]>>5
	}
	return uint64(u16(b[r.textLen:])), nil
}
