package netup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// link is an interface of the kernel's.
type link struct {
	index int
	name  string
	// mac is the permanent hardware address, or else the one in use; path is the
	// device's in sysfs without /sys/devices/, empty when there is no hardware.
	mac, path string
	ethernet  bool
	running   bool // it is up and has a carrier
}

// kernel is what is asked of the kernel; tests have another.
type kernel interface {
	prepare() error
	links() ([]link, error)
	link(index int) (link, error)
	sysctl(path, value string) error
	configure(index int, mac string, mtu int) error // before it is up
	up(index int) error
	bond(name, mode string) (index int, err error)
	bondOption(name string, o plan.BondOption) error
	enslave(index, master int) error
	vlan(name string, over int, v plan.VLAN) (index int, err error)
	address(index int, p netip.Prefix) error
	addresses(index int) ([]netip.Prefix, error) // global ones of IPv6 that are ready
	linkLocal(index int) bool                    // a link-local address is ready
	route(index int, r plan.Route, metric int) error
	gateway(index int, to netip.Addr) netip.Addr
}

// system is the kernel that runs.
type system struct{}

const sysNet = "/sys/class/net"

// prepare has the kernel gather randomness, which it does only while somebody waits
// for it, and DHCP needs some: on a machine without a generator of its own nothing
// else in a crash kernel would ever make it. It also has routes without a carrier
// left out of account, so that of two interfaces with a way to a server the living
// one is taken.
func (s system) prepare() error {
	go func() { _, _ = unix.Getrandom(make([]byte, 1), 0) }()
	if err := netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo"}}); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return errors.Join(
		s.sysctl("ipv4/conf/all/ignore_routes_with_linkdown", "1"),
		s.sysctl("ipv6/conf/all/ignore_routes_with_linkdown", "1"))
}

func (system) links() ([]link, error) {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []link
	for _, l := range all {
		out = append(out, linkOf(l))
	}
	return out, nil
}

func (system) link(index int) (link, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return link{}, fmt.Errorf("interface %d: %w", index, err)
	}
	return linkOf(l), nil
}

func linkOf(n netlink.Link) link {
	a := n.Attrs()
	l := link{index: a.Index, name: a.Name, mac: a.HardwareAddr.String(), ethernet: a.EncapType == "ether",
		running: a.RawFlags&(unix.IFF_UP|unix.IFF_RUNNING) == unix.IFF_UP|unix.IFF_RUNNING}
	if len(a.PermHWAddr) == 6 {
		l.mac = a.PermHWAddr.String()
	}
	l.path = devicePath(sysNet, a.Name)
	return l
}

// devicePath is where sysfs has the device of an interface, without
// /sys/devices/; empty when there is none.
func devicePath(class, name string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(class, name, "device"))
	if err != nil {
		return ""
	}
	_, path, _ := strings.Cut(dir, "/devices/")
	return path
}

func (system) sysctl(path, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0)
}

func byIndex(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func (system) configure(index int, mac string, mtu int) error {
	var errs []error
	if mac != "" {
		hw, err := net.ParseMAC(mac)
		if err == nil {
			err = netlink.LinkSetHardwareAddr(byIndex(index), hw)
		}
		errs = append(errs, wrap("set the hardware address "+mac, err))
	}
	if mtu != 0 {
		errs = append(errs, wrap(fmt.Sprintf("set the MTU %d", mtu), netlink.LinkSetMTU(byIndex(index), mtu)))
	}
	return errors.Join(errs...)
}

func (system) up(index int) error { return wrap("set up", netlink.LinkSetUp(byIndex(index))) }

func (s system) bond(name, mode string) (int, error) {
	b := netlink.NewLinkBond(netlink.LinkAttrs{Name: name})
	b.Mode = netlink.StringToBondMode(mode)
	return s.add(name, b)
}

// bondOption goes by sysfs, which takes what people write, for every kernel's
// options.
func (system) bondOption(name string, o plan.BondOption) error {
	for _, v := range bondValues(o) {
		if err := os.WriteFile(filepath.Join(sysNet, name, "bonding", o.Name), []byte(v), 0); err != nil {
			return err
		}
	}
	return nil
}

// bondValues are what is written for o, one after the other: of a list, sysfs takes
// each value on its own, with a plus before it (bonding.rst, arp_ip_target).
func bondValues(o plan.BondOption) []string {
	if o.Name != "arp_ip_target" {
		return []string{o.Value}
	}
	var out []string
	for _, v := range strings.Split(o.Value, ",") {
		out = append(out, "+"+strings.TrimSpace(v))
	}
	return out
}

func (system) enslave(index, master int) error {
	if err := netlink.LinkSetDown(byIndex(index)); err != nil {
		return wrap("set down", err)
	}
	return wrap("put it into the bond", netlink.LinkSetMasterByIndex(byIndex(index), master))
}

func (s system) vlan(name string, over int, v plan.VLAN) (int, error) {
	l := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: over}, VlanId: v.ID, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	if v.Protocol == "802.1ad" {
		l.VlanProtocol = netlink.VLAN_PROTOCOL_8021AD
	}
	return s.add(name, l)
}

// add makes an interface; one of that name from an attempt before serves.
func (system) add(name string, l netlink.Link) (int, error) {
	if err := netlink.LinkAdd(l); err != nil && !errors.Is(err, unix.EEXIST) {
		hint := ""
		if errors.Is(err, unix.EOPNOTSUPP) {
			hint = " (is its module in the image?)"
		}
		return 0, fmt.Errorf("make a %s: %w%s", l.Type(), err, hint)
	}
	made, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("make a %s: %w", l.Type(), err)
	}
	return made.Attrs().Index, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
