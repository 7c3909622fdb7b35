package luks

import (
	"crypto/pbkdf2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// struct luks_phdr, in bytes; numbers are big endian.
const (
	slots1    = 208
	slotSize1 = 48
	active1   = 0x00AC71F3
)

func version1(b []byte) (*Volume, error) {
	be := binary.BigEndian
	if c := text(b[8:40]) + "-" + text(b[40:72]); c != Cipher {
		return nil, fmt.Errorf("cipher %q: %w, want %s", c, ErrUnsupported, Cipher)
	}
	h, err := hashes(text(b[72:104]))
	if err != nil {
		return nil, err
	}
	v := &Volume{Version: 1, UUID: strings.ToLower(text(b[168:208])), Offset: uint64(be.Uint32(b[104:])), SectorSize: 512}
	size := int(be.Uint32(b[108:]))
	if err := keySize(size); err != nil {
		return nil, err
	}
	d := digest{slots: map[int]bool{}, hash: h, iterations: int(be.Uint32(b[164:])), salt: b[132:164], want: b[112:132]}
	if err := within("digest iterations", int64(d.iterations), 1, maxIterations); err != nil {
		return nil, err
	}
	for n := range 8 {
		k := b[slots1+n*slotSize1:][:slotSize1]
		if be.Uint32(k) != active1 {
			continue
		}
		s := slot{number: n, hash: h, stripes: int(be.Uint32(k[44:])), offset: int64(be.Uint32(k[40:])) * 512, size: size}
		iterations := int(be.Uint32(k[4:]))
		if err := errors.Join(within("stripes", int64(s.stripes), 1, maxStripes), within("iterations", int64(iterations), 1, maxIterations)); err != nil {
			return nil, fmt.Errorf("key slot %d: %w", n, err)
		}
		s.derive = byPBKDF2(h, k[8:40], iterations, size)
		v.slots = append(v.slots, s)
		d.slots[n] = true
	}
	v.digests = []digest{d}
	return v, nil
}

func byPBKDF2(h func() hash.Hash, salt []byte, iterations, size int) func([]byte) ([]byte, error) {
	return func(secret []byte) ([]byte, error) { return pbkdf2.Key(h, string(secret), salt, iterations, size) }
}
