package hostnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// lookupLimit bounds a lookup while an image is built.
const lookupLimit = 20 * time.Second

// maxAddresses bounds the addresses of one name that are kept.
const maxAddresses = 8

// Lookup gives the addresses of a name as this host sees it, hosts file and all.
func Lookup(name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	var out []netip.Addr
	for _, a := range list {
		if a = a.Unmap().WithZone(""); !a.IsLoopback() && !slices.Contains(out, a) && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("look up %s: it is this host itself (%v)", name, list)
	}
	return out, nil
}
