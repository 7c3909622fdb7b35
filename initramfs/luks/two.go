package luks

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The JSON of LUKS2, as far as it is of use. Numbers of 64 bits are strings there.
type document struct {
	Keyslots map[string]keyslot   `json:"keyslots"`
	Segments map[string]segment   `json:"segments"`
	Digests  map[string]digestDoc `json:"digests"`
	Config   struct {
		Requirements struct {
			Mandatory []string `json:"mandatory"`
		} `json:"requirements"`
	} `json:"config"`
}

type keyslot struct {
	Type    string `json:"type"`
	KeySize int    `json:"key_size"`
	AF      struct {
		Type    string `json:"type"`
		Stripes int    `json:"stripes"`
		Hash    string `json:"hash"`
	} `json:"af"`
	Area struct {
		Type       string `json:"type"`
		Offset     string `json:"offset"`
		Encryption string `json:"encryption"`
		KeySize    int    `json:"key_size"`
	} `json:"area"`
	KDF struct {
		Type       string `json:"type"`
		Salt       []byte `json:"salt"`
		Hash       string `json:"hash"`
		Iterations int    `json:"iterations"`
		Time       int    `json:"time"`
		Memory     int    `json:"memory"` // KiB
		CPUs       int    `json:"cpus"`
	} `json:"kdf"`
}

type segment struct {
	Type       string          `json:"type"`
	Offset     string          `json:"offset"`
	Size       string          `json:"size"`
	Tweak      string          `json:"iv_tweak"`
	Encryption string          `json:"encryption"`
	SectorSize int             `json:"sector_size"`
	Integrity  json.RawMessage `json:"integrity"`
}

type digestDoc struct {
	Type       string   `json:"type"`
	Keyslots   []string `json:"keyslots"`
	Segments   []string `json:"segments"`
	Hash       string   `json:"hash"`
	Iterations int      `json:"iterations"`
	Salt       []byte   `json:"salt"`
	Digest     []byte   `json:"digest"`
}

// version2 reads the first copy of the header; head is its binary part.
func version2(r io.ReaderAt, head []byte) (*Volume, error) {
	size := binary.BigEndian.Uint64(head[8:])
	if size < 16<<10 || size > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes", size)
	}
	all := make([]byte, size)
	if _, err := r.ReadAt(all, 0); err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	if alg := text(all[72:104]); alg != "sha256" {
		return nil, fmt.Errorf("header checksum %q: %w", alg, ErrUnsupported)
	}
	want := bytes.Clone(all[448 : 448+sha256.Size])
	clear(all[448:512])
	if got := sha256.Sum256(all); !bytes.Equal(got[:], want) {
		return nil, errors.New("the header's checksum is wrong: cryptsetup repair mends it")
	}
	var doc document
	if err := json.NewDecoder(bytes.NewReader(bytes.TrimRight(all[4096:], "\x00"))).Decode(&doc); err != nil {
		return nil, fmt.Errorf("the header's JSON: %w", err)
	}
	v := &Volume{Version: 2, UUID: strings.ToLower(text(head[168:208]))}
	if err := v.segment(doc); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Keyslots)) {
		n, err := strconv.Atoi(name)
		if err != nil || doc.Keyslots[name].Type != "luks2" {
			continue // a slot of a reencryption
		}
		s, err := newSlot(n, doc.Keyslots[name])
		if err != nil {
			return nil, fmt.Errorf("key slot %d: %w", n, err)
		}
		v.slots = append(v.slots, s)
	}
	for name, x := range doc.Digests {
		if x.Type != "pbkdf2" || !slices.Contains(x.Segments, "0") {
			continue
		}
		d := digest{slots: map[int]bool{}, iterations: x.Iterations, salt: x.Salt, want: x.Digest}
		var err error
		if d.hash, err = hashes(x.Hash); err == nil {
			err = within("iterations", int64(x.Iterations), 1, maxIterations)
		}
		if err != nil || len(x.Digest) < 16 {
			return nil, fmt.Errorf("digest %s of %d bytes: %w", name, len(x.Digest), err)
		}
		for _, k := range x.Keyslots {
			if n, err := strconv.Atoi(k); err == nil {
				d.slots[n] = true
			}
		}
		v.digests = append(v.digests, d)
	}
	return v, nil
}

// segment takes a volume that is one piece, encrypted in the usual way.
func (v *Volume) segment(doc document) error {
	if need := doc.Config.Requirements.Mandatory; len(need) > 0 {
		return fmt.Errorf("the volume asks for %s: %w", strings.Join(need, ", "), ErrUnsupported)
	}
	s, ok := doc.Segments["0"]
	if !ok || len(doc.Segments) != 1 || s.Type != "crypt" || s.Size != "dynamic" {
		return fmt.Errorf("%d segments, the first %q of size %q: %w, want one encrypted to the device's end", len(doc.Segments), s.Type, s.Size, ErrUnsupported)
	}
	if s.Encryption != Cipher || len(s.Integrity) > 0 {
		return fmt.Errorf("cipher %q, integrity %q: %w, want %s alone", s.Encryption, s.Integrity, ErrUnsupported, Cipher)
	}
	offset, err := strconv.ParseUint(s.Offset, 10, 62)
	if err == nil {
		v.Tweak, err = strconv.ParseUint(s.Tweak, 10, 62)
	}
	if err != nil || offset%512 != 0 {
		return fmt.Errorf("segment at %q, tweak %q", s.Offset, s.Tweak)
	}
	switch s.SectorSize {
	case 512, 1024, 2048, 4096:
	default:
		return fmt.Errorf("encryption sectors of %d bytes", s.SectorSize)
	}
	v.Offset, v.SectorSize = offset/512, s.SectorSize
	return nil
}

func newSlot(n int, k keyslot) (slot, error) {
	s := slot{number: n, stripes: k.AF.Stripes, size: k.KeySize}
	var err error
	if s.hash, err = hashes(k.AF.Hash); err != nil {
		return s, err
	}
	if s.offset, err = strconv.ParseInt(k.Area.Offset, 10, 62); err != nil || s.offset < 0 {
		return s, fmt.Errorf("key material at %q", k.Area.Offset)
	}
	if k.AF.Type != "luks1" || k.Area.Type != "raw" || k.Area.Encryption != Cipher {
		return s, fmt.Errorf("splitter %q, area %q in %q: %w", k.AF.Type, k.Area.Type, k.Area.Encryption, ErrUnsupported)
	}
	if err := errors.Join(keySize(k.KeySize), keySize(k.Area.KeySize), within("stripes", int64(s.stripes), 1, maxStripes)); err != nil {
		return s, err
	}
	f := k.KDF
	switch f.Type {
	case "pbkdf2":
		h, err := hashes(f.Hash)
		if err != nil {
			return s, err
		}
		s.derive = byPBKDF2(h, f.Salt, f.Iterations, k.Area.KeySize)
		return s, within("iterations", int64(f.Iterations), 1, maxIterations)
	case "argon2i", "argon2id":
		derive := argon2.IDKey
		if f.Type == "argon2i" {
			derive = argon2.Key
		}
		s.derive = func(secret []byte) ([]byte, error) {
			return derive(secret, f.Salt, uint32(f.Time), uint32(f.Memory), uint8(f.CPUs), uint32(k.Area.KeySize)), nil
		}
		return s, errors.Join(within("argon2 time", int64(f.Time), 1, maxTime), within("argon2 memory", int64(f.Memory), 8, maxMemory), within("argon2 threads", int64(f.CPUs), 1, 64))
	}
	return s, fmt.Errorf("key derivation %q: %w", f.Type, ErrUnsupported)
}
