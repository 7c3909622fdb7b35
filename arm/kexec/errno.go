package kexec

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Error is a refusal of kexec_file_load(2), with what it means on this machine.
// errors.Is finds the error number in it.
type Error struct {
	// Op is "load" or "unload".
	Op string
	// Errno is what the kernel returned.
	Errno unix.Errno
	// Meaning says what is wrong, with the numbers.
	Meaning string
	// Next says what to do about it.
	Next string
}

// Error gives the meaning and, after it, the kernel's own word.
func (e *Error) Error() string {
	return fmt.Sprintf("%s crash kernel: %s (%s: %v)", e.Op, e.Meaning, unix.ErrnoName(e.Errno), e.Errno)
}

// Unwrap gives the error number.
func (e *Error) Unwrap() error { return e.Errno }

// Hint says what to do next.
func (e *Error) Hint() string { return e.Next }

// Situation is what the meaning of an error number depends on.
type Situation struct {
	KernelPath, ImagePath string
	// KernelSize and ImageSize are the files' sizes in bytes, 0 if unknown.
	KernelSize, ImageSize int64
	// InitSize is what the kernel needs while it unpacks itself, in bytes; 0
	// if unknown.
	InitSize uint64
	// CmdlineLen is the command line's length, CmdlineMax the longest that
	// this kernel takes in bytes; CmdlineMax 0 if unknown.
	CmdlineLen, CmdlineMax int
	// Reserved is the reservation in bytes; it counts only if ReservedKnown.
	Reserved      uint64
	ReservedKnown bool
	// Lockdown is [System.Lockdown].
	Lockdown string
	// Disabled is [System.LoadDisabled], Limit [System.LoadLimit].
	Disabled bool
	Limit    int64
	// MayBoot is [System.MayBoot].
	MayBoot bool
}

// situation gathers what the running system tells.
func (s System) situation() Situation {
	n, err := s.Reserved()
	return Situation{
		Reserved:      n,
		ReservedKnown: err == nil,
		Lockdown:      s.Lockdown(),
		Disabled:      s.LoadDisabled(),
		Limit:         s.LoadLimit(),
		MayBoot:       s.MayBoot(),
	}
}

// Explain turns an error number of kexec_file_load(2) into an [*Error] that
// says what it means in situation s.
func Explain(op string, errno unix.Errno, s Situation) *Error {
	e := &Error{Op: op, Errno: errno}
	switch errno {
	case unix.EPERM:
		e.Meaning, e.Next = s.permission()
	case unix.EADDRNOTAVAIL:
		e.Meaning, e.Next = s.room()
	case unix.EINVAL:
		e.Meaning, e.Next = s.invalid()
	default:
		e.Meaning, e.Next = s.other(errno)
	}
	return e
}

// permission tells the reasons for EPERM apart, in the order in which the
// kernel asks for them.
func (s Situation) permission() (meaning, next string) {
	switch {
	case !s.MayBoot:
		return "this process lacks CAP_SYS_BOOT",
			"run it as root on the host itself, not in a container"
	case s.Disabled:
		return "kernel.kexec_load_disabled is 1: loading is shut until the next boot",
			"find who sets it (grep -r kexec_load_disabled /etc/sysctl.d /usr/lib/sysctl.d /etc/sysctl.conf), arm before that, reboot"
	case s.Limit == 0:
		return "kernel.kexec_load_limit_panic is 0: no crash kernel may be loaded until the next boot",
			"find who sets it (grep -r kexec_load_limit /etc/sysctl.d /usr/lib/sysctl.d), raise it, reboot"
	case s.Lockdown != "" && s.Lockdown != "none":
		return fmt.Sprintf("the kernel is locked down (%s) and trusts no signature on %s", s.Lockdown, s.KernelPath),
			"use the distribution's signed kernel as it was installed (check with sbverify --list), or enrol its key (mokutil --import)"
	}
	return "a security module forbids it, or this is a container's root",
		"look for the refusal in dmesg and the audit log (SELinux, AppArmor, IMA); run it on the host itself"
}

// room tells "nothing reserved" from "does not fit".
func (s Situation) room() (meaning, next string) {
	if s.ReservedKnown && s.Reserved == 0 {
		return "no memory is reserved for a crash kernel", NextReserve
	}
	text := fmt.Sprintf("kernel (%s) and image (%s) do not fit", mib(uint64(s.KernelSize)), mib(uint64(s.ImageSize)))
	if s.InitSize > 0 {
		text = fmt.Sprintf("kernel (%s, %s while it starts) and image (%s) do not fit",
			mib(uint64(s.KernelSize)), mib(s.InitSize), mib(uint64(s.ImageSize)))
	}
	if s.ReservedKnown {
		text += fmt.Sprintf(" into the %s reserved", mib(s.Reserved))
	}
	return text, "give crashkernel= more memory on the kernel command line and reboot, or make the image smaller"
}

// NextReserve says how to reserve memory.
const NextReserve = "add crashkernel=256M to the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub) and reboot; " +
	"if it is there already, dmesg | grep -i crashkernel says why the kernel refused it"

func (s Situation) invalid() (meaning, next string) {
	if s.CmdlineMax > 0 && s.CmdlineLen > s.CmdlineMax {
		return fmt.Sprintf("the command line is %d bytes, this kernel takes %d", s.CmdlineLen, s.CmdlineMax),
			"take words out with --remove; kdump-arm load --dry-run shows the line"
	}
	if s.KernelSize == 0 || s.ImageSize == 0 {
		return "the kernel or the image is an empty or irregular file", "build the image anew with kdump-mkinitramfs; check the kernel's path"
	}
	return fmt.Sprintf("the kernel refuses the call: a flag it does not know, a command line (%d bytes) it cannot hold, or an image it cannot place", s.CmdlineLen),
		"the last lines of dmesg say which; try with fewer words (--remove)"
}

func (s Situation) other(errno unix.Errno) (meaning, next string) {
	switch errno {
	case unix.ENOEXEC:
		return s.KernelPath + " is not a kernel that kexec_file_load takes",
			"give the boot image with --kernel: a 64-bit bzImage (vmlinuz) on x86_64, an Image on arm64; not vmlinux, not a unified kernel image"
	case unix.EBUSY:
		return "another kexec load or unload is under way, or the crash memory is in use", "wait for it to end and try again"
	case unix.EKEYREJECTED:
		return "the signature of " + s.KernelPath + " is not by a key that this kernel trusts",
			"use the distribution's kernel as it was installed, or enrol the signer's key (mokutil --import)"
	case unix.ENOKEY:
		return "the key that signed " + s.KernelPath + " is not in this kernel's keyrings",
			"use the distribution's kernel as it was installed, or enrol the signer's key (mokutil --import)"
	case unix.ENODATA:
		return s.KernelPath + " carries no signature and this kernel insists on one",
			"use the distribution's signed kernel as it was installed, or sign this one (sbsign)"
	case unix.EBADMSG, unix.ELIBBAD, unix.ENOPKG:
		return "the signature of " + s.KernelPath + " is damaged or of a kind this kernel cannot check",
			"install the kernel's package again, or sign it anew (sbsign)"
	case unix.ENOSYS:
		return "this kernel has no kexec_file_load: built without CONFIG_KEXEC_FILE, or a seccomp filter hides it",
			"use a kernel with CONFIG_KEXEC_FILE=y; until then kexec-tools can load the same pair: kexec -p -c"
	case unix.EOPNOTSUPP:
		return "this kernel does not load crash kernels this way", "use a kernel with CONFIG_KEXEC_FILE=y and CONFIG_CRASH_DUMP=y"
	case unix.ENOMEM:
		return fmt.Sprintf("the running system lacks memory to read kernel and image (%s)", mib(uint64(s.KernelSize)+uint64(s.ImageSize))),
			"free some memory and try again"
	case unix.EBADF:
		return "the kernel or the image was not open for reading when the call was made", "report this as a defect of kdump-arm"
	case unix.EACCES:
		return "a security module (SELinux, IMA appraisal) forbids to read " + s.KernelPath + " or " + s.ImagePath + " as a kexec image",
			"look for the refusal in dmesg and the audit log; restorecon or sign the files"
	case unix.ETXTBSY:
		return s.KernelPath + " or " + s.ImagePath + " is open for writing", "wait until whoever writes it (a package update?) is done and try again"
	case unix.EFBIG:
		return fmt.Sprintf("the kernel (%s) or the image (%s) is larger than the call takes", mib(uint64(s.KernelSize)), mib(uint64(s.ImageSize))),
			"check that both paths are right"
	case unix.EIO:
		return "reading " + s.KernelPath + " or " + s.ImagePath + " failed", "dmesg names the disk error"
	case unix.EINTR:
		return "interrupted again and again", "try again"
	}
	return "the kernel gives a reason that is new here", "the last lines of dmesg may say more; please report it"
}

func mib(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
