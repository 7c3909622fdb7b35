package dmesg

import (
	"bytes"
	"fmt"
	"strconv"
)

// maxLine is the longest line of a byte ring that becomes one record.
const maxLine = 64 << 10

// byteRing is the log of kernels before 3.5: the bytes that went to the
// console, each line with its level and, if printk.time was on, its time.
type byteRing struct {
	buf, size  uint64
	start, len uint64 // offset of the oldest byte, and how many there are
}

func newByteRing(f *fields, mem memory) (*byteRing, error) {
	end := f.symbol("log_end")
	r := &byteRing{}
	var err error
	if r.buf, r.size, err = oldBuffer(f, mem); err != nil {
		return nil, err
	}
	n, err := number(mem, end, 4)
	if err != nil {
		return nil, fmt.Errorf("read log_end at %#x: %w", end, err)
	}
	// log_end counts all bytes ever written; the size is a power of two.
	r.len = min(n, r.size)
	if n > r.size {
		r.start = n % r.size
	}
	return r, nil
}

func (r *byteRing) walk(mem memory, bad *tally, yield func(*Record) bool) {
	w := newWindow(mem, r.buf, r.size, maxLine)
	var seq uint64
	var line []byte
	give := func() bool {
		rec := parseLine(line)
		rec.Seq = seq
		seq++
		line = line[:0]
		return yield(&rec)
	}
	for done := uint64(0); done < r.len; {
		at := (r.start + done) % r.size
		// Never past the end of the ring or of a page.
		n := min(r.len-done, r.size-at, smallPage-(r.buf+at)%smallPage)
		piece, err := w.bytes(r.buf+at, int(n))
		done += n
		if err != nil {
			bad.add(unreadable, "offset", at)
			continue
		}
		for len(piece) > 0 {
			upTo := bytes.IndexByte(piece, '\n')
			whole := upTo >= 0
			if !whole {
				upTo = len(piece)
			}
			if len(line)+upTo > maxLine { // no line of a kernel is: keep memory bounded
				upTo, whole = maxLine-len(line), true
				line = append(line, piece[:upTo]...)
				piece = piece[upTo:]
			} else {
				line = append(line, piece[:upTo]...)
				piece = piece[min(upTo+1, len(piece)):]
			}
			if whole && !give() {
				return
			}
		}
	}
	if len(line) > 0 {
		give()
	}
}

// parseLine takes "<6>[    1.500000] text" apart; what is not there stays text.
func parseLine(line []byte) Record {
	rec := Record{Text: line}
	if len(line) > 2 && line[0] == '<' {
		if end := bytes.IndexByte(line[:min(len(line), 6)], '>'); end > 0 {
			if n, err := strconv.ParseUint(string(line[1:end]), 10, 11); err == nil {
				rec.Facility, rec.Level, rec.HasLevel = uint8(n>>3), uint8(n&7), true
				rec.Text = line[end+1:]
			}
		}
	}
	t := rec.Text
	if len(t) == 0 || t[0] != '[' {
		return rec
	}
	end := bytes.IndexByte(t[:min(len(t), 24)], ']')
	if end < 0 {
		return rec
	}
	sec, micro, ok := bytes.Cut(bytes.TrimLeft(t[1:end], " "), []byte("."))
	s, err1 := strconv.ParseUint(string(sec), 10, 33)
	us, err2 := strconv.ParseUint(string(micro), 10, 20)
	if !ok || err1 != nil || err2 != nil || len(micro) != 6 {
		return rec
	}
	rec.TimeNS, rec.Timed = s*1e9+us*1e3, true
	rec.Text = bytes.TrimPrefix(t[end+1:], []byte(" "))
	return rec
}
