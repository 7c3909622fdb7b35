package assemble

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

// luks opens an encrypted volume by its own key, which lies in the image: what made that of
// a key file was done on the host. Whether the key fits shows in what the volume then
// holds: without its file system's UUID it is not mounted.
func (b *Builder) luks(l plan.Layer, seen []blkid.Seen) (string, error) {
	uuid := "CRYPT-LUKS-" + strings.ReplaceAll(l.UUID, "-", "") + "-kdump"
	var on []blkid.Seen
	for _, s := range seen {
		if b.attribute(s.Name, "dm/uuid") == uuid && s.Size > 0 {
			return s.Name, nil
		}
		if len(s.Infos) == 1 && s.Infos[0].Type == "crypto_LUKS" && s.Infos[0].UUID == l.UUID {
			on = append(on, s)
		}
	}
	switch len(on) {
	case 0:
		return "", fmt.Errorf("no device has it")
	case 1:
	default:
		return "", fmt.Errorf("%w: %s and %s both are it", blkid.ErrAmbiguous, on[0].Path, on[1].Path)
	}
	key, err := os.ReadFile(filepath.Join(b.files(), l.Crypt.Key))
	if err != nil {
		return "", err
	}
	line, err := cryptLine(l.Crypt, key, on[0].Size, b.attribute(on[0].Name, "dev"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", on[0].Path, err)
	}
	make := b.crypt
	if make == nil {
		make = func(name, uuid string, line dmLine) error {
			return makeDevice(b.dev(), name, uuid, []dmLine{line})
		}
	}
	if err := make("kdump-"+l.UUID, uuid, line); err != nil {
		return "", err
	}
	b.say("%s opened on %s", l, on[0].Path)
	return b.made("dm/uuid", uuid)
}

// cryptLine is dm-crypt's table for a device of size bytes (dm-crypt.rst).
func cryptLine(c *plan.Crypt, key []byte, size int64, device string) (dmLine, error) {
	sectors := uint64(size) / 512
	if sectors <= c.Offset || device == "" {
		return dmLine{}, fmt.Errorf("of %d bytes, and the encrypted data begins at sector %d", size, c.Offset)
	}
	length := (sectors - c.Offset) &^ uint64(c.SectorSize/512-1)
	params := fmt.Sprintf("%s %x %d %s %d", c.Cipher, key, c.Tweak, device, c.Offset)
	if c.SectorSize != 512 {
		params += fmt.Sprintf(" 1 sector_size:%d", c.SectorSize)
	}
	return dmLine{0, length, "crypt", params}, nil
}
