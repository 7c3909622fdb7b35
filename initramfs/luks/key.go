package luks

import (
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/crypto/xts"
)

// Key gives the volume's own key: what dm-crypt needs, 32 or 64 bytes. secret is the
// whole text of a key file, or a passphrase. It takes as long as cryptsetup open does,
// for each slot that is tried: seconds, and as much memory as the slot was made to
// take. The error wraps [ErrNoKey] when no slot opens.
func (v *Volume) Key(r io.ReaderAt, secret []byte) ([]byte, error) {
	var errs []error
	for _, s := range v.slots {
		key, err := v.open(r, s, secret)
		if err == nil && key != nil {
			return key, nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("key slot %d: %w", s.number, err))
		}
	}
	return nil, fmt.Errorf("luks: %w", errors.Join(append(errs, fmt.Errorf("%w (%d tried)", ErrNoKey, len(v.slots)))...))
}

// open gives nil when secret is not the slot's.
func (v *Volume) open(r io.ReaderAt, s slot, secret []byte) ([]byte, error) {
	slotKey, err := s.derive(secret)
	if err != nil {
		return nil, err
	}
	const sector = 512
	material := make([]byte, (s.size*s.stripes+sector-1)/sector*sector)
	if _, err := r.ReadAt(material, s.offset); err != nil {
		return nil, fmt.Errorf("read the key material: %w", err)
	}
	c, err := xts.NewCipher(aes.NewCipher, slotKey)
	if err != nil {
		return nil, err
	}
	for n := 0; n < len(material)/sector; n++ {
		part := material[n*sector : (n+1)*sector]
		c.Decrypt(part, part, uint64(n))
	}
	key := merge(s.hash, material, s.size, s.stripes)
	for _, d := range v.digests {
		if !d.slots[s.number] {
			continue
		}
		got, err := pbkdf2.Key(d.hash, string(key), d.salt, d.iterations, len(d.want))
		if err != nil {
			return nil, err
		}
		if subtle.ConstantTimeCompare(got, d.want) == 1 {
			return key, nil
		}
	}
	return nil, nil
}

// merge undoes the anti-forensic splitter: of each stripe but the last, the sum so far is
// diffused.
func merge(h func() hash.Hash, material []byte, size, stripes int) []byte {
	key := make([]byte, size)
	for n := range stripes {
		subtle.XORBytes(key, key, material[n*size:])
		if n < stripes-1 {
			diffuse(h, key)
		}
	}
	return key
}

// diffuse hashes b in pieces of the hash's size, each with its number before it.
func diffuse(h func() hash.Hash, b []byte) {
	for n := uint32(0); len(b) > 0; n++ {
		d := h()
		part := b[:min(len(b), d.Size())]
		d.Write(binary.BigEndian.AppendUint32(nil, n))
		d.Write(part)
		copy(part, d.Sum(nil))
		b = b[len(part):]
	}
}
