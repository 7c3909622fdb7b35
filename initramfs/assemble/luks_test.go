package assemble

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

const vaultID = "11111111-2222-3333-4444-555555555555"

// vault is the start of a LUKS volume, for blkid alone.
func vault() []byte {
	b := make([]byte, 128<<10)
	copy(b, "LUKS\xba\xbe")
	binary.BigEndian.PutUint16(b[6:], 2)
	copy(b[168:], vaultID)
	return b
}

func TestLUKS(t *testing.T) {
	m := newMachine(t)
	files := t.TempDir()
	m.check(os.WriteFile(filepath.Join(files, "luks-x"), []byte{0xab, 0x01}, 0o600))
	d := plan.Device{By: plan.ByUUID, Value: "30313233-3435-3637-3839-616263646566", Layers: []plan.Layer{{Kind: plan.LayerLUKS, UUID: vaultID, Name: "vault",
		Crypt: &plan.Crypt{Cipher: "aes-xts-plain64", Key: "luks-x", Offset: 32768, Tweak: 7, SectorSize: 4096}}}}
	b := m.builder()
	b.Files = files
	made := 0
	b.crypt = func(name, uuid string, line dmLine) error {
		const mib = 1 << 20
		want := dmLine{0, 84*mib/512 - 0, "crypt", "aes-xts-plain64 ab01 7 254:0 32768 1 sector_size:4096"}
		if line != want || name != "kdump-"+vaultID || !strings.HasPrefix(uuid, "CRYPT-LUKS-11111111222233334444555555555555") {
			t.Errorf("%s %s: %+v, want %+v", name, uuid, line, want)
		}
		made++
		m.add("dm-0", extSuper(), 84*mib)
		m.set("dm-0", "dm/uuid", uuid)
		return nil
	}
	if _, _, err := b.Find(t.Context(), d); !errors.Is(err, blkid.ErrNotFound) {
		t.Errorf("without the device: %v", err)
	}
	m.add("vda", vault(), 100<<20+1536) // its end is no whole sector of 4096 bytes
	for range 2 {
		if got, _, err := b.Find(t.Context(), d); err != nil || got != filepath.Join(m.dev, "dm-0") {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if made != 1 {
		t.Errorf("opened %d times", made)
	}
}

func TestLUKSRefused(t *testing.T) {
	crypt := plan.Crypt{Cipher: "aes-xts-plain64", Key: "luks-x", Offset: 32768, SectorSize: 512}
	for name, tt := range map[string]struct {
		devices int
		size    int64
		key     string
		want    string
	}{
		"twice":  {2, 100 << 20, "luks-x", "both are it"},
		"no key": {1, 100 << 20, "luks-y", "luks-y"},
		"short":  {1, 16 << 20, "luks-x", "begins at sector 32768"},
	} {
		m := newMachine(t)
		files := t.TempDir()
		m.check(os.WriteFile(filepath.Join(files, tt.key), []byte{1}, 0o600))
		for i := range tt.devices {
			m.add([]string{"vda", "vdb"}[i], vault(), tt.size)
		}
		b := m.builder()
		b.Files = files
		b.crypt = func(string, string, dmLine) error { t.Errorf("%s: opened", name); return nil }
		c := crypt
		if name == "no key" {
			c.Key = "luks-y"
			m.check(os.Remove(filepath.Join(files, tt.key)))
		}
		l := plan.Layer{Kind: plan.LayerLUKS, UUID: vaultID, Name: "vault", Crypt: &c}
		if _, _, err := b.Find(t.Context(), plan.Device{By: plan.ByLayer, Value: vaultID, Layers: []plan.Layer{l}}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}
