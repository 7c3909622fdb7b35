package dmesg

import "fmt"

// fakeRing writes a printk_ringbuffer as the kernel does: it reserves, goes round
// both rings, and gives the oldest records up for new ones.
type fakeRing struct {
	flat
	countBits, sizeBits uint
	infoSize            uint64
	ring                []byte // struct printk_ringbuffer
	descs, infos, text  []byte
	head, tail          uint64 // ids
	headPos, tailPos    uint64
	oldest              uint64 // oldest id that still has its text
	seq                 uint64
	exactFit            bool // a block may end at the end of the ring, as in newer kernels
}

const (
	vaPrb, vaRing   = 0xffffffff82000000, 0xffffffff82001000
	vaDescs         = 0xffff888001000000
	vaInfos, vaText = 0xffff888002000000, 0xffff888003000000
)

func newFakeRing(countBits, sizeBits uint, infoSize, firstID, firstPos uint64) *fakeRing {
	r := &fakeRing{countBits: countBits, sizeBits: sizeBits, infoSize: infoSize}
	le.PutUint64(r.span(vaPrb, 8), vaRing)
	r.ring = r.span(vaRing, 88)
	r.descs = r.span(vaDescs, 24<<countBits)
	r.infos = r.span(vaInfos, infoSize<<countBits)
	r.text = r.span(vaText, 1<<sizeBits)
	r.head, r.tail, r.oldest = firstID&descIDMask, firstID&descIDMask, (firstID+1)&descIDMask
	r.headPos, r.tailPos = firstPos, firstPos
	r.setState(r.head, descReusable)
	r.sync()
	return r
}

func (r *fakeRing) lines() []string {
	return []string{
		fmt.Sprintf("SYMBOL(prb)=%x", uint64(vaPrb)),
		"SIZE(printk_ringbuffer)=88", "OFFSET(printk_ringbuffer.desc_ring)=0", "OFFSET(printk_ringbuffer.text_data_ring)=40",
		"SIZE(prb_desc_ring)=40", "OFFSET(prb_desc_ring.count_bits)=0", "OFFSET(prb_desc_ring.descs)=8",
		"OFFSET(prb_desc_ring.infos)=16", "OFFSET(prb_desc_ring.head_id)=24", "OFFSET(prb_desc_ring.tail_id)=32",
		"SIZE(prb_data_ring)=32", "OFFSET(prb_data_ring.size_bits)=0", "OFFSET(prb_data_ring.data)=8",
		"SIZE(prb_desc)=24", "OFFSET(prb_desc.state_var)=0", "OFFSET(prb_desc.text_blk_lpos)=8",
		"SIZE(prb_data_blk_lpos)=16", "OFFSET(prb_data_blk_lpos.begin)=0", "OFFSET(prb_data_blk_lpos.next)=8",
		fmt.Sprintf("SIZE(printk_info)=%d", r.infoSize), "OFFSET(printk_info.seq)=0", "OFFSET(printk_info.ts_nsec)=8",
		"OFFSET(printk_info.text_len)=16", "OFFSET(printk_info.caller_id)=20",
	}
}

func (r *fakeRing) sync() {
	le.PutUint32(r.ring[0:], uint32(r.countBits))
	le.PutUint64(r.ring[8:], vaDescs)
	le.PutUint64(r.ring[16:], vaInfos)
	le.PutUint64(r.ring[24:], r.head)
	le.PutUint64(r.ring[32:], r.tail)
	le.PutUint32(r.ring[40:], uint32(r.sizeBits))
	le.PutUint64(r.ring[48:], vaText)
}

func (r *fakeRing) desc(id uint64) []byte { return r.descs[id%(1<<r.countBits)*24:][:24] }
func (r *fakeRing) info(id uint64) []byte {
	return r.infos[id%(1<<r.countBits)*r.infoSize:][:r.infoSize]
}
func (r *fakeRing) setState(id, state uint64) { le.PutUint64(r.desc(id), state<<62|id) }

// add stores one record and gives its id.
func (r *fakeRing) add(text string, level, facility uint8, caller uint32) uint64 {
	size := uint64(1) << r.sizeBits
	id := (r.head + 1) & descIDMask
	r.head = id
	for (r.head-r.tail)&descIDMask >= 1<<r.countBits {
		if r.tail == r.oldest {
			r.giveUp()
		}
		r.tail = (r.tail + 1) & descIDMask
	}
	d, begin, next := r.desc(id), uint64(emptyText), uint64(emptyText)
	if text != "" {
		need := (8 + uint64(len(text)) + 7) &^ 7
		begin = r.headPos
		at := begin % size
		next = begin + need
		last := next
		if r.exactFit {
			last--
		}
		if begin/size != last/size {
			next, at = next&^(size-1)+need, 0
		}
		for next-r.tailPos > size {
			r.giveUp()
		}
		r.headPos = next
		le.PutUint64(r.text[at:], id)
		copy(r.text[at+8:], text)
	}
	le.PutUint64(d[8:], begin)
	le.PutUint64(d[16:], next)
	r.setState(id, descFinalized)
	i := r.info(id)
	le.PutUint64(i, r.seq)
	le.PutUint64(i[8:], r.seq*1_000_001_000)
	le.PutUint16(i[16:], uint16(len(text)))
	i[18], i[19] = facility, level<<5
	le.PutUint32(i[20:], caller)
	r.seq++
	r.sync()
	return id
}

// giveUp makes the oldest record reusable and frees its text.
func (r *fakeRing) giveUp() {
	d := r.desc(r.oldest)
	if next := le.Uint64(d[16:]); next&1 == 0 {
		r.tailPos = next
	}
	r.setState(r.oldest, descReusable)
	r.oldest = (r.oldest + 1) & descIDMask
}
