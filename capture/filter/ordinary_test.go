package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// A page that is taken for an ordinary one gets the class, and is counted, as the
// rules have it, on all kernels, at all levels and with any doubt.
func TestOrdinary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, era := range map[string]*synth.Era{"6.1": &synth.V61, "6.4": &synth.V64, "6.6": &synth.V66, "6.12": &synth.V612, "7.1": &synth.V71} {
		for _, less := range []string{"", "PG_hwpoison", "PG_swapcache", "PG_slab", "PG_private"} {
			opt := synth.Options{Era: era}
			if less != "" {
				opt.Drop = []string{"NUMBER(" + less + ")"}
			}
			info, err := kernel.ParseInfo(synth.New(opt).Info)
			if err != nil {
				t.Fatal(err)
			}
			l, err := kernel.NewPageLayout(info)
			if err != nil {
				t.Fatal(err)
			}
			seen := uint64(0)
			for i := range 40000 {
				doubtful := l
				if i%4 == 3 {
					doubtful = l.Without(kernel.Doubt(random.IntN(64)))
				}
				seen += sameVerdict(t, doubtful, i%32, randomPage(random))
			}
			if seen < 500 && less == "" {
				t.Errorf("%s: only %d pages were ordinary", name, seen)
			}
		}
	}
}

// randomPage is a struct page that is somewhat like one of a process or a file.
func randomPage(r *rand.Rand) []byte {
	p := make([]byte, 128)
	word := func(off int, all ...uint64) { binary.LittleEndian.PutUint64(p[off:], all[r.IntN(len(all))]) }
	flags := uint64(0x17ffffc0000000) | 1<<r.IntN(24) | 1<<r.IntN(24) | 1<<r.IntN(24) | 1<<[]int{4, 5}[r.IntN(2)]
	word(0, flags, flags, flags, flags, r.Uint64(), 0, ^uint64(0))
	const va = 0xffff888012345000
	word(8, va, va, va, 0, 0xdead000000000100, va|1, r.Uint64())
	word(24, va, va|1, va, va|1, va|2, va|3, 0, 0xdead000000000400, r.Uint64())
	word(40, 0, va, 3, 0x48575053)
	word(48, 0, 0xffffffff, 1, 5, 0xffffff7f, 0xfffffeff, 0xf0000000|uint64(r.Uint32()>>4), uint64(r.Uint32()))
	refs := []uint32{1, 2, 3, 1, 2, 3, 0, 1 << 30, 1<<30 + 1, r.Uint32()}
	binary.LittleEndian.PutUint32(p[52:], refs[r.IntN(len(refs))])
	return p
}

// sameVerdict tells whether a page is an ordinary one.
func sameVerdict(t *testing.T, l *kernel.PageLayout, level int, p []byte) uint64 {
	t.Helper()
	quick, slow := newOrdinary(level), tally{}
	var got part
	n := quick.judge(l, &got, p[:l.Size], 6)
	if n == 0 {
		return 0
	}
	quick.settle(l, &got.tally)
	v := decide(l, level, p[:l.Size], p[l.Size:], 6, 0xffffea0000000180, &slow)
	class := Kept
	if len(got.drops) > 0 {
		class = got.drops[0].class
	}
	if class != v.class || v.claim != noClaim || v.absurd || got.tally != slow || l.IsPlain(p) || l.IsTail(p) || l.IsHead(p) || l.IsReserved(p) || l.IsSlab(p) {
		t.Fatalf("level %d, % x:\nis %v, counted %+v\nwant %+v, %+v", level, p[:l.Size], class, got.tally, v, slow)
	}
	return n
}

// Runs of pages of all kinds come out as they do one by one.
func TestOrdinaryRuns(t *testing.T) {
	info, err := kernel.ParseInfo(synth.New(synth.Options{}).Info)
	if err != nil {
		t.Fatal(err)
	}
	l, err := kernel.NewPageLayout(info)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	var all []byte
	for len(all) < 1000*int(l.Size) {
		if p := randomPage(random)[:l.Size]; l.OrdinaryRun(make([]kernel.Ordinary, 1), p) == 1 {
			all = append(all, p...)
		}
	}
	one, many := newOrdinary(31), newOrdinary(31)
	var want, got part
	for i := range uint64(1000) {
		one.judge(l, &want, all[i*l.Size:(i+1)*l.Size], 64+i)
	}
	n := many.judge(l, &got, append(all, make([]byte, 10*l.Size)...), 64)
	if n != 1000 || one.count != many.count || len(got.drops) != len(want.drops) {
		t.Fatalf("%d pages in %d runs, want 1000 in %d", n, len(got.drops), len(want.drops))
	}
	for i := range want.drops {
		if got.drops[i] != want.drops[i] {
			t.Fatalf("run %d is %+v, want %+v", i, got.drops[i], want.drops[i])
		}
	}
}
