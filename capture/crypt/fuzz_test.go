package crypt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/gokdump/gokdump/capture/crypt/crypttest"
)

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(p)
	return p
}

// FuzzFile does whatever comes to a file, and the same to a slice. Where the file
// takes it, both must hold the same in the end; no nonce may serve twice.
func FuzzFile(f *testing.F) {
	f.Add([]byte{0, 200, 3, 2, 1, 30, 40, 200, 0, 7, 9, 3, 3, 0, 20})
	f.Add([]byte{1, 1, 255, 255, 1, 0, 255, 255, 2, 0, 100, 1, 1, 1, 0})
	f.Add(bytes.Repeat([]byte{1, 0, 200, 0, 255}, 40))
	id := crypttest.Identity(f)
	f.Fuzz(func(t *testing.T, ops []byte) {
		file, path := newFile(t, id)
		var want []byte
		if len(ops) > 1 && ops[0]%2 == 0 {
			n := int64(ops[1]) * 4096
			if err := file.Allocate(0, n); err != nil {
				t.Fatal(err)
			}
			want = make([]byte, n)
		}
		r := rand.New(rand.NewPCG(1, uint64(len(ops))))
		for ops = ops[min(2, len(ops)):]; len(ops) >= 3; ops = ops[3:] {
			off, n := int64(ops[1])*5003, int(ops[2])*1009
			switch ops[0] % 4 {
			case 0, 1:
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				done, err := file.WriteAt(p, off)
				if err != nil && !errors.Is(err, ErrSealed) {
					t.Fatal(err)
				}
				if end := off + int64(done); done > 0 && end > int64(len(want)) {
					want = append(want, make([]byte, end-int64(len(want)))...)
				}
				copy(want[min(off, int64(len(want))):], p[:done])
			case 2:
				err := file.Truncate(off)
				if errors.Is(err, ErrSealed) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				if off > int64(len(want)) {
					want = append(want, make([]byte, off-int64(len(want)))...)
				}
				want = want[:off]
			case 3:
				got := make([]byte, n)
				m, _ := file.ReadAt(got, off)
				if rest := want[min(off, int64(len(want))):]; !bytes.Equal(got[:m], rest[:min(m, len(rest))]) || m != min(n, len(rest)) {
					t.Fatalf("read %d bytes at %d: got %d that differ", n, off, m)
				}
			}
			if file.Size() != int64(len(want)) {
				t.Fatalf("size %d, want %d", file.Size(), len(want))
			}
		}
		commit(t, file)
		if got := crypttest.Decrypt(t, path, id); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes differ from the %d that were written", len(got), len(want))
		}
	})
}
