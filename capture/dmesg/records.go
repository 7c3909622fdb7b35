package dmesg

import "fmt"

// maxBuffer bounds the older buffers, in bytes, as maxSizeBits does the ring.
const maxBuffer = 1 << maxSizeBits

// records is the buffer of variable-length records of 3.5 to 5.9: struct log, from
// 3.11 on struct printk_log.
type records struct {
	buf, size   uint64
	first, next uint64 // byte offsets of the oldest record and behind the newest

	header, ts, length, textLen, dictLen uint64
	caller                               uint64 // 0: not recorded
}

func newRecords(f *fields, mem memory) (*records, error) {
	name := "printk_log"
	if _, ok := f.info.Size(name); !ok {
		name = "log"
	}
	r := &records{header: f.size(name)}
	r.ts = f.offset(name+".ts_nsec", 8, r.header)
	r.length = f.offset(name+".len", 2, r.header)
	r.textLen = f.offset(name+".text_len", 2, r.header)
	r.dictLen = f.offset(name+".dict_len", 4, r.header) // and facility, level behind it
	if _, ok := f.info.Offset(name + ".caller_id"); ok {
		r.caller = f.offset(name+".caller_id", 4, r.header)
	}
	first, next := f.symbol("log_first_idx"), f.symbol("log_next_idx")
	if err := f.err(); err != nil {
		return nil, err
	}
	var err error
	if r.buf, r.size, err = oldBuffer(f, mem); err != nil {
		return nil, err
	}
	if r.first, err = number(mem, first, 4); err != nil {
		return nil, fmt.Errorf("read log_first_idx: %w", err)
	}
	if r.next, err = number(mem, next, 4); err != nil {
		return nil, fmt.Errorf("read log_next_idx: %w", err)
	}
	if r.header < 16 || r.size < r.header {
		return nil, fmt.Errorf("a header of %d bytes in a log of %d is not sound", r.header, r.size)
	}
	return r, nil
}

// oldBuffer gives the place of the buffer that the variables log_buf and
// log_buf_len describe.
func oldBuffer(f *fields, mem memory) (va, size uint64, err error) {
	ptr, length := f.symbol("log_buf"), f.symbol("log_buf_len")
	if err := f.err(); err != nil {
		return 0, 0, err
	}
	if va, err = number(mem, ptr, 8); err != nil {
		return 0, 0, fmt.Errorf("read the pointer log_buf at %#x: %w", ptr, err)
	}
	if size, err = number(mem, length, 4); err != nil {
		return 0, 0, fmt.Errorf("read log_buf_len at %#x: %w", length, err)
	}
	if va == 0 || va+size < va || size == 0 || size > maxBuffer {
		return 0, 0, fmt.Errorf("log_buf at %#x with %d bytes is not sound (at most %d)", va, size, uint64(maxBuffer))
	}
	return va, size, nil
}

// walk follows the chain of records. It goes forward only and passes the end of
// the buffer once, so it ends whatever the records say.
func (r *records) walk(mem memory, bad *tally, yield func(*Record) bool) {
	first, next := r.first, r.next
	if first >= r.size || next > r.size {
		bad.add(badEnds, "log_first_idx", first)
		first, next = 0, r.size // all there is, perhaps in the wrong order
	}
	w := newWindow(mem, r.buf, r.size, 128<<10)
	var seq uint64
	if first > next { // the log goes round the end of the buffer
		if !r.part(w, first, r.size, &seq, bad, yield) {
			return
		}
		first = 0
	}
	r.part(w, first, next, &seq, bad, yield)
}

// part gives the records between two offsets; false when yield has had enough.
// A header that makes no sense is passed over, four bytes at a time (the
// alignment of records), up to a place where two in a row make sense.
func (r *records) part(w *window, at, end uint64, seq *uint64, bad *tally, yield func(*Record) bool) bool {
	torn := false
	for at < end && end-at >= r.header {
		h, err := r.head(w, at, end)
		if err == nil && h.wrap && end == r.size {
			return true
		}
		if err != nil || h.len == 0 || torn && !r.follows(w, at+h.len, end) {
			if !torn {
				bad.add(tornHeader, "offset", at)
			}
			torn = true
			step := uint64(4)
			if err != nil && w.err != nil { // a missing page: on to the next
				step = smallPage - (r.buf+at)%smallPage
			}
			at += step
			continue
		}
		torn = false
		text, err := w.bytes(r.buf+at+r.header, int(h.textLen))
		if err != nil {
			bad.add(unreadable, "offset", at)
		} else {
			h.rec.Seq, h.rec.Text = *seq, text
			if !yield(&h.rec) {
				return false
			}
		}
		*seq++
		at += h.len
	}
	return true
}

// recordHead is a parsed header; len is 0 when it makes no sense.
type recordHead struct {
	rec          Record
	len, textLen uint64
	wrap         bool // the mark that the rest of the buffer is not used
}

func (r *records) head(w *window, at, end uint64) (recordHead, error) {
	b, err := w.bytes(r.buf+at, int(r.header))
	if err != nil {
		return recordHead{}, err
	}
	h := recordHead{len: uint64(u16(b[r.length:])), textLen: uint64(u16(b[r.textLen:]))}
	if h.len == 0 {
		h.wrap = true
		return h, nil
	}
	// The kernel pads a record to 4 or 8 bytes.
	used := r.header + h.textLen + uint64(u16(b[r.dictLen:]))
	if h.len%4 != 0 || h.len < used || h.len-used >= 8 || h.len > end-at {
		return recordHead{}, nil
	}
	h.rec = Record{TimeNS: u64(b[r.ts:]), Timed: true, HasLevel: true,
		Facility: b[r.dictLen+2], Level: b[r.dictLen+3] >> 5}
	if r.caller != 0 {
		h.rec.Caller = u32(b[r.caller:])
	}
	return h, nil
}

// follows tells whether a record, or the end of the log, is at this offset.
func (r *records) follows(w *window, at, end uint64) bool {
	if end-at < r.header {
		return true
	}
	h, err := r.head(w, at, end)
	return err == nil && (h.len != 0 || h.wrap)
}
