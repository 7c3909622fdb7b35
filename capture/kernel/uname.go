package kernel

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// utsField is the size of each member of struct new_utsname
// (include/uapi/linux/utsname.h, __NEW_UTS_LEN + 1).
const utsField = 65

// ReadUname reads the crashed kernel's names from init_uts_ns. It is an error
// when the memory there is no utsname: the sysname is not "Linux", or the
// release is not the one of VMCOREINFO.
func ReadUname(info *Info, s *Space) (vmcore.Uname, error) {
	at, ok := info.Symbol("init_uts_ns")
	if !ok {
		return vmcore.Uname{}, errors.New("read names of the kernel: VMCOREINFO has no SYMBOL(init_uts_ns)")
	}
	// struct uts_namespace started with a 4-byte reference count until 5.11
	off, ok := info.Offset("uts_namespace.name")
	if !ok && !info.atLeast(5, 11) {
		off = 4
	}
	var p [6 * utsField]byte
	if err := s.ReadVirt(p[:], at+off); err != nil {
		return vmcore.Uname{}, fmt.Errorf("read init_uts_ns: %w", err)
	}
	field := func(i int) string {
		b := p[i*utsField : (i+1)*utsField]
		if end := bytes.IndexByte(b, 0); end >= 0 {
			b = b[:end]
		}
		return string(b)
	}
	u := vmcore.Uname{Sysname: field(0), Nodename: field(1), Release: field(2), Version: field(3), Machine: field(4), Domainname: field(5)}
	if u.Sysname != "Linux" {
		return vmcore.Uname{}, fmt.Errorf("init_uts_ns at %#x: sysname is %.20q, not Linux", at+off, u.Sysname)
	}
	if u.Release != info.Release && info.Release != "" {
		return vmcore.Uname{}, fmt.Errorf("init_uts_ns at %#x: release is %.70q, VMCOREINFO says %.70q", at+off, u.Release, info.Release)
	}
	return u, nil
}
