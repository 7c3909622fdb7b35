package hostnet

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// bondDefaults are the values of options that need not be set, in the order in
// which the others are: some need those before them.
var bondDefaults = []plan.BondOption{
	{Name: "miimon", Value: "0"}, {Name: "updelay", Value: "0"}, {Name: "downdelay", Value: "0"},
	{Name: "arp_interval", Value: "0"}, {Name: "arp_ip_target", Value: ""}, {Name: "arp_validate", Value: "none"},
	{Name: "xmit_hash_policy", Value: "layer2"}, {Name: "lacp_rate", Value: "slow"}, {Name: "ad_select", Value: "stable"},
	{Name: "min_links", Value: "0"}, {Name: "fail_over_mac", Value: "none"},
	{Name: "primary", Value: ""}, {Name: "primary_reselect", Value: "always"},
}

// readBond reads a bond's settings in sysfs, as far as they are not the driver's
// own. A value has its name first and its number behind.
func readBond(dir string) plan.Bond {
	value := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		s := strings.TrimSpace(string(b))
		if name == "arp_ip_target" {
			return strings.ReplaceAll(s, " ", ",")
		}
		first, _, _ := strings.Cut(s, " ")
		return first
	}
	bond := plan.Bond{Mode: value("mode")}
	watched := false
	for _, o := range bondDefaults {
		v := value(o.Name)
		if v == "" || v == o.Value {
			continue
		}
		watched = watched || o.Name == "miimon" || o.Name == "arp_interval"
		bond.Options = append(bond.Options, plan.BondOption{Name: o.Name, Value: v})
	}
	if !watched { // a dead NIC must be noticed
		bond.Options = append([]plan.BondOption{{Name: "miimon", Value: "100"}}, bond.Options...)
	}
	return bond
}
