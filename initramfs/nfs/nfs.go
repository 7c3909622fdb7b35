// Package nfs mounts an NFS export by mount(2) alone, as the crash kernel must:
// no mount.nfs, no rpcbind, no statd. It also tells on the host, ahead of time,
// whether an export can be mounted and written.
//
// It owns the mount options and what their errors mean. A mount is always soft
// and bounded: a server that is gone costs an error, never the reboot. It brings up no
// network and resolves no names.
//
// Facts: nfs(5), fs/nfs/fs_context.c of the kernel (what mount.nfs else adds must
// be in the options: addr, proto, vers), net/sunrpc/xprt.c (timeouts).
package nfs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// Port is an NFS server's, unless the option port says otherwise.
const Port = 2049

// How patient the kernel is with a server that does not answer, unless the
// options say otherwise: 15, 30 and 15 s more for each of two retries, 45 s in
// all, less than the plan's deadline "stall".
const (
	timeo   = 150 // tenths of a second
	retrans = 2
)

// Call is what one mount(2) is called with.
type Call struct {
	Source, FSType, Data string
	Version              string
}

// Calls gives the mounts to try one after the other: one, or for the version
// auto one for each, the newest first. options are a person's own, as in fstab.
func Calls(n plan.NFS, at netip.Addr, options string) ([]Call, error) {
	given, err := parseOptions(options)
	if err != nil {
		return nil, err
	}
	versions := []string{n.Version}
	if n.Version == plan.NFSAuto {
		versions = plan.NFSVersions()
	}
	host, proto := at.String(), "tcp"
	if at.Is6() {
		host, proto = "["+host+"]", "tcp6"
	}
	var out []Call
	for _, v := range versions {
		c := Call{Source: host + ":" + n.Export, FSType: "nfs4", Version: v}
		data := []string{"addr=" + at.String(), "vers=" + v, "proto=" + proto, "soft",
			"timeo=" + strconv.Itoa(timeo), "retrans=" + strconv.Itoa(retrans), "sec=sys"}
		if v == "3" {
			c.FSType = "nfs"
			data = append(data, "nolock", "mountproto="+proto, "mountvers=3", "mountaddr="+at.String())
		}
		c.Data = strings.Join(merge(data, given, v), ",")
		out = append(out, c)
	}
	return out, nil
}

// Patience is how long the kernel waits for an answer before an operation fails, by the
// options.
func Patience(options string) time.Duration {
	tenths, again := timeo, retrans
	for _, o := range strings.Split(options, ",") {
		name, value, _ := strings.Cut(o, "=")
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
		case name == "timeo":
			tenths = n
		case name == "retrans":
			again = n
		}
	}
	return time.Duration(tenths*(again+1)) * (time.Second / 10)
}

// PortOf is the port that the options name, or [Port].
func PortOf(options string) int {
	for _, o := range strings.Split(options, ",") {
		if v, ok := strings.CutPrefix(o, "port="); ok {
			if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1<<16 {
				return n
			}
		}
	}
	return Port
}

// ours are the options that are not a person's to give, and why.
func ours(name string) string {
	switch name {
	case "hard", "soft", "softerr", "softreval":
		return "the mount must be soft, so that a dead server cannot stop the reboot"
	case "addr", "clientaddr", "mountaddr", "proto", "mountproto", "tcp", "tcp6", "udp", "udp6", "mounthost":
		return "it follows from the server's address"
	case "vers", "nfsvers", "minorversion", "v3", "v4", "v4.0", "v4.1", "v4.2", "mountvers":
		return "say nfs_version instead"
	case "ro", "rw", "bg", "fg", "retry", "lock", "fsc", "noexec", "_netdev", "auto", "noauto":
		return "it means nothing here"
	case "sec":
		return "only sec=sys works without the programs that Kerberos needs"
	}
	return ""
}

// CheckOptions tells whether options can be a person's, for a configuration.
func CheckOptions(options string) error {
	_, err := parseOptions(options)
	return err
}

func parseOptions(options string) ([]string, error) {
	if options == "" {
		return nil, nil
	}
	if len(options) > 1000 || strings.ContainsAny(options, " \t\n\x00") {
		return nil, errors.New("NFS options: want at most 1000 bytes without spaces, separated by commas")
	}
	var out []string
	for _, o := range strings.Split(options, ",") {
		name, value, _ := strings.Cut(o, "=")
		why := ours(name)
		switch {
		case o == "" || o == "nolock" || o == "sec=sys":
			continue
		case why != "":
			return nil, fmt.Errorf("NFS option %s: %s", o, why)
		case (name == "timeo" || name == "retrans") && !within(value, 1, 600):
			return nil, fmt.Errorf("NFS option %s: want a number from 1 to 600", o)
		case (name == "port" || name == "mountport") && !within(value, 1, 65535):
			return nil, fmt.Errorf("NFS option %s: want a port from 1 to 65535", o)
		}
		out = append(out, o)
	}
	return out, nil
}

func within(s string, low, high int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= low && n <= high
}

// merge lets a person's options replace those of the same name. What only version
// 3 knows is left out of others.
func merge(data, given []string, version string) []string {
	for _, g := range given {
		name, _, _ := strings.Cut(g, "=")
		if name == "mountport" && version != "3" {
			continue
		}
		data = slices.DeleteFunc(data, func(d string) bool {
			n, _, _ := strings.Cut(d, "=")
			return n == name
		})
		data = append(data, g)
	}
	return data
}

// Hint says what an error of a mount mostly means.
func Hint(err error) string {
	for _, h := range []struct {
		errno unix.Errno
		hint  string
	}{
		{unix.EACCES, " (the server does not export this to this machine: see its exports)"},
		{unix.EPERM, " (the server does not let this machine in: see its exports)"},
		{unix.ENOENT, " (the server has no such export)"},
		{unix.ECONNREFUSED, " (no NFS server listens there; for version 3, no mountd or portmapper)"},
		{unix.ETIMEDOUT, " (the server does not answer)"},
		{unix.EPROTONOSUPPORT, " (the server or this kernel does not know this version of NFS)"},
		{unix.ENODEV, " (this kernel knows no NFS: are its modules in the image?)"},
		{unix.EINVAL, " (an option that this kernel does not take: see the kernel's messages)"},
		{unix.ESTALE, " (the export was made anew: mount it again)"},
	} {
		if errors.Is(err, h.errno) {
			return h.hint
		}
	}
	return ""
}

// OtherVersion tells whether another version of the protocol may work where one
// gave err.
func OtherVersion(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EPROTOTYPE) || errors.Is(err, unix.ENODEV) ||
		errors.Is(err, unix.EPFNOSUPPORT) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL)
}

// Transient tells whether the same mount may work a little later.
func Transient(err error) bool {
	for _, e := range []unix.Errno{unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EIO, unix.EAGAIN, unix.EHOSTDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
