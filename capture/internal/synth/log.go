package synth

import "encoding/binary"

// Layout of printk_ringbuffer and its parts as of 6.1
// (kernel/printk/printk_ringbuffer.h), in bytes.
const (
	rbSize, descSize, infoSize = 88, 24, 88
	rbText                     = 48 // text_data_ring inside printk_ringbuffer
)

// buildLog writes the variable prb, the ring it points at, and the records in
// Opt.Log; old records fall out when the rings are too small, as in a kernel.
func (m *Machine) buildLog() {
	prb, rb := m.variable("prb", 8, 8), m.variable("printk_rb_static", rbSize, 64)
	m.variable("clear_seq", 24, 8)
	m.Put64(prb, m.ImageVA(rb))
	count, size := uint64(1)<<m.Opt.DescBits, uint64(1)<<m.Opt.LogBits
	round := func(n uint64) uint64 { return (n + PageSize - 1) &^ (PageSize - 1) }
	descs, infos := m.alloc(round(count*descSize), PageSize), m.alloc(round(count*infoSize), PageSize)
	data := m.alloc(round(size), PageSize)
	m.blank(descs, count*descSize)
	m.blank(infos, count*infoSize)
	m.blank(data, size)

	// ids grow from here so that the first record takes slot 0
	// (printk_ringbuffer.h, DESC0_ID: -(count+1), its sequence number is 0)
	id := -(count + 1) & (1<<62 - 1)
	lpos := -size // BLK0_LPOS
	type span struct{ id, begin uint64 }
	var live []span
	for seq, r := range m.Opt.Log {
		id = (id + 1) & (1<<62 - 1)
		need := (8 + uint64(len(r.Text)) + 7) &^ 7
		begin := lpos
		if lpos%size+need > size { // wraps: the data goes to the ring's start
			lpos += size - lpos%size
			m.Put64(data+begin%size, id)
		}
		start := lpos % size
		lpos += need
		for len(live) > 0 && (lpos-live[0].begin > size || uint64(len(live)) >= count) {
			live = live[1:]
		}
		live = append(live, span{id, begin})
		m.Put64(data+start, id)
		m.Put(data+start+8, []byte(r.Text))
		d := descs + id%count*descSize
		m.Put64(d, id|2<<62) // finalized
		m.Put64(d+8, begin)
		m.Put64(d+16, lpos)
		info := make([]byte, infoSize)
		binary.LittleEndian.PutUint64(info, uint64(seq))
		binary.LittleEndian.PutUint64(info[8:], r.TimeNS)
		binary.LittleEndian.PutUint16(info[16:], uint16(len(r.Text)))
		info[18], info[19] = r.Facility, r.Level<<5
		binary.LittleEndian.PutUint32(info[20:], r.Caller)
		m.Put(infos+id%count*infoSize, info)
	}
	tail, tailPos := id, lpos
	if len(live) > 0 {
		tail, tailPos = live[0].id, live[0].begin
	}
	m.Put32(rb, uint32(m.Opt.DescBits))
	for i, v := range []uint64{m.PageOffset() + descs, m.PageOffset() + infos, id, tail, id} {
		m.Put64(rb+8+uint64(i)*8, v)
	}
	m.Put32(rb+rbText, uint32(m.Opt.LogBits))
	for i, v := range []uint64{m.PageOffset() + data, lpos, tailPos} {
		m.Put64(rb+rbText+8+uint64(i)*8, v)
	}
	m.Symbols["descs"], m.Symbols["infos"], m.Symbols["log text"] = m.PageOffset()+descs, m.PageOffset()+infos, m.PageOffset()+data
}

// logKeys are the VMCOREINFO lines of kernel/printk/printk.c.
func logKeys(add func(string, ...any), symbol func(string)) {
	symbol("prb")
	symbol("printk_rb_static")
	symbol("clear_seq")
	for _, l := range []string{
		"SIZE(printk_ringbuffer)=88", "OFFSET(printk_ringbuffer.desc_ring)=0", "OFFSET(printk_ringbuffer.text_data_ring)=48",
		"OFFSET(printk_ringbuffer.fail)=80", "SIZE(prb_desc_ring)=48", "OFFSET(prb_desc_ring.count_bits)=0",
		"OFFSET(prb_desc_ring.descs)=8", "OFFSET(prb_desc_ring.infos)=16", "OFFSET(prb_desc_ring.head_id)=24",
		"OFFSET(prb_desc_ring.tail_id)=32", "SIZE(prb_desc)=24", "OFFSET(prb_desc.state_var)=0",
		"OFFSET(prb_desc.text_blk_lpos)=8", "SIZE(prb_data_blk_lpos)=16", "OFFSET(prb_data_blk_lpos.begin)=0",
		"OFFSET(prb_data_blk_lpos.next)=8", "SIZE(printk_info)=88", "OFFSET(printk_info.seq)=0",
		"OFFSET(printk_info.ts_nsec)=8", "OFFSET(printk_info.text_len)=16", "OFFSET(printk_info.caller_id)=20",
		"OFFSET(printk_info.dev_info)=24", "SIZE(dev_printk_info)=64", "OFFSET(dev_printk_info.subsystem)=0",
		"LENGTH(printk_info_subsystem)=16", "OFFSET(dev_printk_info.device)=16", "LENGTH(printk_info_device)=48",
		"SIZE(prb_data_ring)=32", "OFFSET(prb_data_ring.size_bits)=0", "OFFSET(prb_data_ring.data)=8",
		"OFFSET(prb_data_ring.head_lpos)=16", "OFFSET(prb_data_ring.tail_lpos)=24", "SIZE(atomic_long_t)=8",
		"OFFSET(atomic_long_t.counter)=0", "SIZE(latched_seq)=24", "OFFSET(latched_seq.val)=8",
	} {
		add("%s", l)
	}
}
