package canary

import "testing"

func TestMarks(t *testing.T) {
	p := make([]byte, 3*PageSize)
	Mark(p[:2*PageSize], Shmem, 5)
	Mark(p[2*PageSize:], Freed, 1<<24-1)
	var n [NumClasses]int
	for at := 0; at < len(p); at += PageSize {
		Count(p[at:at+PageSize], &n)
	}
	if n[Shmem] != 2*Pieces || n[Freed] != Pieces {
		t.Errorf("counted %v", n)
	}
	// fewer than 64 bytes are none, wherever they lie; two pages' marks do not add up
	for cut, want := range map[int]int{56: 0, 64: 1, 127: 1, 128: 2} {
		var n [NumClasses]int
		page := make([]byte, PageSize)
		copy(page[800:], p[:cut])
		Count(page, &n)
		if n[Shmem] != want {
			t.Errorf("%d bytes count as %d", cut, n[Shmem])
		}
	}
	page := append(append([]byte{}, p[PageSize-32:PageSize+32]...), make([]byte, 64)...)
	n = [NumClasses]int{}
	if Count(page, &n); n[Shmem] != 0 {
		t.Errorf("halves of two pages count as %d", n[Shmem])
	}
	for c := Anon; c < NumClasses; c++ {
		if c.String() == "" {
			t.Errorf("class %d has no name", c)
		}
	}
}
