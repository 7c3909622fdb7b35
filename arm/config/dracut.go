package config

import (
	"net/netip"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// dracut takes one word about the network as dracut.cmdline(7) has it, so that
// what works on a host's command line can be copied.
func (p *parser) dracut(word string) {
	key, value, _ := strings.Cut(word, "=")
	f := splitColons(value)
	get := func(n int) string {
		if n < len(f) {
			return f[n]
		}
		return ""
	}
	switch key {
	case "ip":
		p.dracutIP(word, f, get)
	case "vlan": // vlan=NAME:OVER; the tag is the number at the name's end
		id := get(0)[strings.LastIndexFunc(get(0), func(r rune) bool { return r < '0' || r > '9' })+1:]
		if len(f) != 2 || id == "" {
			p.errorf("network %s: want vlan=NAME:DEVICE, with the tag at the name's end", clip(word))
			return
		}
		p.addVLAN(get(0), strings.TrimLeft(id, "0"), get(1))
	case "bond": // bond=NAME:MEMBERS:OPTIONS:MTU
		if len(f) < 2 {
			p.errorf("network %s: want bond=NAME:DEVICE,DEVICE[:OPTIONS[:MTU]]", clip(word))
			return
		}
		var options []string
		if get(2) != "" {
			options = strings.Split(get(2), ",")
		}
		p.addBond(get(0), get(1), options)
		if i, ok := p.net.ifs[get(0)]; ok && get(3) != "" {
			i.MTU, _ = p.number("network bond: MTU", get(3), 576, 65535)
		}
	case "nameserver":
		p.nameserver(key, strings.Trim(value, "[]"))
	case "rd.route": // NETWORK:GATEWAY[:DEVICE]
		p.addRoute(get(0), get(1), get(2))
	default:
		p.errorf("network %s= is not known: want ip=, vlan=, bond=, nameserver= or rd.route=", clip(key))
	}
}

// dracutIP takes ip=METHOD, ip=DEVICE:METHOD[:MTU[:MAC]] and
// ip=ADDRESS:PEER:GATEWAY:NETMASK:HOST:DEVICE:METHOD[:MTU[:MAC]] or with up to two DNS
// servers in place of the last ones.
func (p *parser) dracutIP(word string, f []string, get func(int) string) {
	method := func(i *plan.Interface, m string) bool {
		switch m {
		case "dhcp", "on", "any":
			i.DHCP4 = true
		case "dhcp6":
			i.DHCP6, i.SLAAC = true, true
		case "auto6", "link6":
			i.SLAAC = true
		case "either6":
			i.DHCP6, i.SLAAC = true, true
		case "none", "off", "static", "":
		default:
			p.errorf("network %s: %s is no way to get an address", clip(word), clip(m))
			return false
		}
		return true
	}
	tail := func(i *plan.Interface, from int) {
		if get(from) == "" {
			return
		}
		if a, err := netip.ParseAddr(get(from)); err == nil {
			p.net.dns = append(p.net.dns, a)
			if b, err := netip.ParseAddr(get(from + 1)); err == nil {
				p.net.dns = append(p.net.dns, b)
			}
			return
		}
		i.MTU, _ = p.number("network ip: MTU", get(from), 576, 65535)
		i.MAC = strings.ToLower(strings.Join(f[min(from+1, len(f)):], ":"))
	}
	if len(f) == 1 {
		if i, ok := p.iface(""); ok {
			method(i, get(0))
		}
		return
	}
	if _, err := netip.ParseAddr(get(0)); err != nil && get(0) != "" || len(f) < 6 {
		if i, ok := p.iface(get(0)); ok && method(i, get(1)) {
			tail(i, 2)
		}
		return
	}
	i, ok := p.iface(get(5))
	if !ok || !method(i, get(6)) {
		return
	}
	if get(0) != "" {
		a, err := netip.ParseAddr(get(0))
		bits := maskBits(get(3))
		if err != nil || bits < 0 || bits > a.BitLen() {
			p.errorf("network %s: address %s with netmask %s is none", clip(word), get(0), get(3))
			return
		}
		i.Addresses = append(i.Addresses, netip.PrefixFrom(a, bits))
	}
	if get(2) != "" {
		p.gateway(i, get(2))
	}
	tail(i, 7)
}

// maskBits takes a length of 0 to 128, or a netmask of IPv4; -1 is neither.
func maskBits(s string) int {
	if n := len(s); n > 0 && n <= 3 && strings.Trim(s, "0123456789") == "" {
		bits := 0
		for _, c := range s {
			bits = bits*10 + int(c-'0')
		}
		return bits
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return -1
	}
	bits, ended := 0, false
	for _, b := range a.As4() {
		for m := byte(0x80); m != 0; m >>= 1 {
			switch {
			case b&m == 0:
				ended = true
			case ended:
				return -1
			default:
				bits++
			}
		}
	}
	return bits
}

// splitColons splits at colons that are not inside brackets, which it takes off:
// addresses of IPv6 stand in them.
func splitColons(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == ':' && depth == 0 {
			out = append(out, strings.Trim(s[start:i], "[]"))
			start = i + 1
			continue
		}
		switch s[i] {
		case '[':
			depth = 1
		case ']':
			depth = 0
		}
	}
	return out
}
