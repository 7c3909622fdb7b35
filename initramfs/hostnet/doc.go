// Package hostnet tells how the running host reaches a server, as the network
// part of a plan: the interface that the route goes by, what it is made of (NIC,
// VLAN, bond, bridge), how its addresses came about, the routes and the DNS
// servers.
//
// It owns the reading of the host's set-up and the judgement of it. It changes
// nothing on the host, sends no packet but for names that it is asked to look up,
// and never decides which server: that is the plan's. What drives a NIC is the
// business of initramfs/drivers.
//
// Facts: rtnetlink(7), /usr/include/linux/if_addr.h and rtnetlink.h,
// Documentation/networking/bonding.rst, Documentation/ABI/testing/sysfs-class-net,
// resolv.conf(5), dhclient.leases(5).
package hostnet
