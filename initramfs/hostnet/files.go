package hostnet

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

// maxFile bounds a file that is read, in bytes.
const maxFile = 1 << 20

// readResolv reads resolv.conf, and where that names a server on this host, which
// will not be there, the file in which systemd-resolved keeps its own servers.
func readResolv(root fs.FS) (dns []netip.Addr, search []string) {
	for _, name := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf"} {
		b, err := fs.ReadFile(root, name)
		if err != nil || len(b) > maxFile {
			continue
		}
		d, s := parseResolv(b)
		if dns = append(dns, d...); search == nil {
			search = s
		}
		if len(dns) > 0 {
			break
		}
	}
	return dns, search
}

// parseResolv leaves out what the crash kernel cannot use.
func parseResolv(text []byte) (dns []netip.Addr, search []string) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			a, err := netip.ParseAddr(f[1])
			if err == nil && a.Zone() == "" && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && len(dns) < 3 {
				dns = append(dns, a.Unmap())
			}
		case "search", "domain":
			search = nil
			for _, s := range f[1:] {
				if s = strings.TrimSuffix(s, "."); s != "" && len(s) < 254 && !strings.ContainsAny(s, "/\x00") && len(search) < 6 {
					search = append(search, s)
				}
			}
		}
	}
	return dns, search
}

// leasedIn looks for an address in the leases that the usual DHCP clients keep:
// some set addresses without a lifetime.
func leasedIn(root fs.FS, l Link, a netip.Addr) bool {
	for _, pattern := range []string{
		fmt.Sprintf("run/systemd/netif/leases/%d", l.Index),
		"var/lib/dhcp/dhclient*.lease*", "var/lib/dhclient/*.lease*",
		"var/lib/NetworkManager/*-" + l.Name + ".lease",
	} {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			b, err := fs.ReadFile(root, name)
			if err == nil && len(b) <= maxFile && holdsLease(b, l.Name, a) {
				return true
			}
		}
	}
	return false
}

// holdsLease knows the forms of systemd and NetworkManager, and of dhclient.
func holdsLease(text []byte, iface string, a netip.Addr) bool {
	here := false // in a lease of dhclient's for this interface
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSpace(line); line {
		case "ADDRESS=" + a.String():
			return true
		case fmt.Sprintf("interface %q;", iface):
			here = true
		case "}":
			here = false
		case "fixed-address " + a.String() + ";":
			if here {
				return true
			}
		}
	}
	return false
}
