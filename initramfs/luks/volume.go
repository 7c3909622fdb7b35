// Package luks reads the header of a volume that is encrypted with LUKS, version 1 or
// 2, and gets the volume's own key out of it by a key file.
//
// It runs on the host when an image is built, never in the crash kernel: what
// derives a key from a key file may take a GiB of memory by intention (argon2), which the
// crash kernel has not. It never writes, and opens no device mapper: that is the
// business of initramfs/assemble, which is given the key.
//
// Facts: the LUKS1 On-Disk Format Specification 1.2.3 and the LUKS2 On-Disk Format
// Specification 1.1.1, both of the cryptsetup project; dm-crypt.rst.
package luks

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Cipher is the only one that is supported, in dm-crypt's words: what cryptsetup takes
// unless it is told otherwise, for ten years now.
const Cipher = "aes-xts-plain64"

// ErrNoKey is wrapped by the error for a key file that opens no key slot.
var ErrNoKey = errors.New("the key file opens none of the volume's key slots")

// ErrUnsupported is wrapped by the error for a volume of another make.
var ErrUnsupported = errors.New("not supported")

// Volume is what a header says.
type Volume struct {
	// Version is 1 or 2.
	Version int
	// UUID is the volume's, as blkid(8) prints it.
	UUID string
	// Offset is where the encrypted data begins on the device, in sectors of 512
	// bytes; Tweak is the number that its first sector has for the cipher.
	Offset, Tweak uint64
	// SectorSize is what is encrypted at a time: 512 to 4096 bytes.
	SectorSize int

	slots   []slot
	digests []digest
}

// slot is one place where the volume's key is kept.
type slot struct {
	number  int
	derive  func(secret []byte) ([]byte, error)
	hash    func() hash.Hash // of the splitter
	stripes int
	offset  int64 // of the key material, in bytes
	size    int   // of the volume's key, in bytes
}

// digest tells a right key.
type digest struct {
	slots      map[int]bool
	hash       func() hash.Hash
	iterations int
	salt, want []byte
}

// Bounds of what is believed, far above what cryptsetup makes.
const (
	maxHeader     = 4 << 20 // of LUKS2, one copy
	maxStripes    = 8000
	maxIterations = 1 << 31 // some hours
	maxMemory     = 4 << 20 // of argon2, in KiB: cryptsetup's own limit
	maxTime       = 1 << 20
)

const magic = "LUKS\xba\xbe"

// Read reads the header on the device r.
func Read(r io.ReaderAt) (*Volume, error) {
	head := make([]byte, 4096)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("luks: read the header: %w", err)
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, errors.New("luks: no header of a LUKS volume")
	}
	var v *Volume
	var err error
	switch n := binary.BigEndian.Uint16(head[6:]); n {
	case 1:
		v, err = version1(head)
	case 2:
		v, err = version2(r, head)
	default:
		err = fmt.Errorf("version %d: %w", n, ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("luks: %w", err)
	}
	return v, nil
}

// hashes are those by name that volumes are made with.
func hashes(name string) (func() hash.Hash, error) {
	switch strings.ToLower(name) {
	case "sha1":
		return sha1.New, nil
	case "sha256":
		return sha256.New, nil
	case "sha512":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("hash %q: %w", name, ErrUnsupported)
}

// text cuts a name off at its first NUL.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func within(what string, n, low, high int64) error {
	if n < low || n > high {
		return fmt.Errorf("%s of %d is not within %d and %d", what, n, low, high)
	}
	return nil
}

// keySize takes those of AES-128 and AES-256 in XTS, in bytes.
func keySize(n int) error {
	if n != 32 && n != 64 {
		return fmt.Errorf("a key of %d bytes: %w", n, ErrUnsupported)
	}
	return nil
}
