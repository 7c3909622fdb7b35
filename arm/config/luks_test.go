package config

import (
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
)

const vaultID = "11111111-2222-3333-4444-555555555555"

// A target on an encrypted volume needs a key file, and the image its key.
func TestLUKSKey(t *testing.T) {
	local := &Local{
		Identify: func(string) (FS, error) {
			return FS{Type: "ext4", UUID: "1b4e28ba-2fa1-11d2-883f-0016d3cca427", Layers: []plan.Layer{{Kind: plan.LayerLUKS, UUID: vaultID, Name: "vault",
				Crypt: &plan.Crypt{Cipher: "aes-xts-plain64", Offset: 32768, SectorSize: 512}}}}, nil
		},
	}
	for text, want := range map[string]string{
		"ext4 /dev/mapper/vault\n":                          "lies on vault, an encrypted volume (LUKS), which the crash kernel opens only with a key file",
		"ext4 /dev/mapper/vault\nluks_key /etc/kdump.key\n": "",
	} {
		c, err := Parse(strings.NewReader(text), "f")
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(Host{Name: "h", Release: "6", Local: local})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if files := c.ImageFiles(p); len(files) != 1 || files[0] != (ImageFile{"luks-" + vaultID, "/etc/kdump.key"}) {
			t.Errorf("files %v", files)
		}
		if key := p.Targets[0].Device.Layers[0].Crypt.Key; key != "luks-"+vaultID {
			t.Errorf("the key is in %q", key)
		}
		if f := p.Features(); len(f) != 1 || f[0] != plan.FeatureStack {
			t.Errorf("features %v", f)
		}
	}
	if _, err := Parse(strings.NewReader("luks_key relative\n"), "f"); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a relative path: %v", err)
	}
}
