package config

import (
	"fmt"
	"slices"

	"github.com/gokdump/gokdump/capture/plan"
)

// luksFile begins the names of files with the keys of LUKS volumes; their UUIDs follow.
const luksFile = "luks-"

// unlock gives each LUKS volume that a target lies on the name of the file that its key
// will be in. Without a key file there can be none.
func (c *Config) unlock(p *plan.Plan) error {
	for _, t := range p.Targets {
		for _, l := range t.Device.Layers {
			if l.Kind != plan.LayerLUKS {
				continue
			}
			if c.LUKSKey == "" {
				return fmt.Errorf("target %s lies on %s, an encrypted volume (LUKS), which the crash kernel opens only with a key file: name one with luks_key in %s, or another target", t, l.Name, File)
			}
			l.Crypt.Key = luksFile + l.UUID
			if !slices.Contains(p.Files, l.Crypt.Key) {
				p.Files = append(p.Files, l.Crypt.Key)
			}
		}
	}
	return nil
}
