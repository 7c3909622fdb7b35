package kexec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeCaller answers with the errors in its list, one for each call, then nil.
type fakeCaller struct {
	errs   []error
	calls  int
	kernel []byte // what the last load was given
}

func (c *fakeCaller) next() error {
	c.calls++
	if len(c.errs) == 0 {
		return nil
	}
	err := c.errs[0]
	c.errs = c.errs[1:]
	return err
}

func (c *fakeCaller) LoadCrash(kernel, image *os.File, cmdline string) error {
	c.kernel, _ = io.ReadAll(io.NewSectionReader(kernel, 0, 1<<30))
	return c.next()
}

func (c *fakeCaller) UnloadCrash() error { return c.next() }

func request(t *testing.T, kernel []byte) Request {
	t.Helper()
	open := func(name string, b []byte) *os.File {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	return Request{Kernel: open("vmlinuz", kernel), Image: open("kdump.img", []byte("image")), Cmdline: "panic=10"}
}

func TestLoad(t *testing.T) {
	c := &fakeCaller{errs: []error{unix.EBUSY, unix.EINTR}}
	kernel := bzImage("6.1.0-test")
	if err := Load(t.Context(), c, At(t.TempDir()), request(t, kernel)); err != nil {
		t.Fatal(err)
	}
	if c.calls != 3 {
		t.Errorf("%d calls, want 3: busy, interrupted, done", c.calls)
	}
	if !bytes.Equal(c.kernel, kernel) {
		t.Error("the kernel did not reach the call as it is")
	}
}

func TestLoadBusyEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	c := &fakeCaller{errs: []error{unix.EBUSY, unix.EBUSY, unix.EBUSY, unix.EBUSY}}
	err := Load(ctx, c, At(t.TempDir()), request(t, bzImage("6.1.0")))
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("error %v, want EBUSY", err)
	}
}

// The numbers in the message come from the files and the system, not from the
// caller.
func TestLoadExplains(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/sys/kernel/kexec_crash_size", "67108864\n")
	c := &fakeCaller{errs: []error{unix.EADDRNOTAVAIL}}
	err := Load(t.Context(), c, At(root), request(t, bzImage("6.1.0")))
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("error %v, want *Error with EADDRNOTAVAIL", err)
	}
	for _, want := range []string{"64.0 MiB reserved", "51.5 MiB while it starts", "EADDRNOTAVAIL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if e.Hint() == "" {
		t.Error("no hint")
	}
}

func TestUnload(t *testing.T) {
	if err := Unload(t.Context(), &fakeCaller{}, At(t.TempDir())); err != nil {
		t.Error(err)
	}
	err := Unload(t.Context(), &fakeCaller{errs: []error{unix.ENOSYS}}, At(t.TempDir()))
	if !errors.Is(err, unix.ENOSYS) || !strings.HasPrefix(err.Error(), "unload crash kernel") {
		t.Errorf("error %v, want ENOSYS of unload", err)
	}
}

func TestExplain(t *testing.T) {
	base := Situation{
		KernelPath: "/boot/vmlinuz", ImagePath: "/k.img", KernelSize: 14 << 20, ImageSize: 3 << 20,
		CmdlineLen: 300, Reserved: 128 << 20, ReservedKnown: true, Limit: -1, MayBoot: true, Lockdown: "none",
	}
	for _, tt := range []struct {
		name  string
		errno unix.Errno
		do    func(*Situation)
		want  string
	}{
		{"nothing reserved", unix.EADDRNOTAVAIL, func(s *Situation) { s.Reserved = 0 }, "no memory is reserved"},
		{"does not fit", unix.EADDRNOTAVAIL, nil, "do not fit into the 128.0 MiB reserved"},
		{"reservation unknown", unix.EADDRNOTAVAIL, func(s *Situation) { s.Reserved, s.ReservedKnown = 0, false }, "do not fit ("},
		{"no capability", unix.EPERM, func(s *Situation) { s.MayBoot, s.Disabled, s.Lockdown = false, true, "integrity" }, "CAP_SYS_BOOT"},
		{"disabled", unix.EPERM, func(s *Situation) { s.Disabled, s.Lockdown = true, "integrity" }, "kexec_load_disabled"},
		{"limit", unix.EPERM, func(s *Situation) { s.Limit = 0 }, "kexec_load_limit_panic"},
		{"lockdown", unix.EPERM, func(s *Situation) { s.Lockdown = "integrity" }, "locked down (integrity)"},
		{"security module", unix.EPERM, nil, "security module"},
		{"long line", unix.EINVAL, func(s *Situation) { s.CmdlineLen, s.CmdlineMax = 2000, 1985 }, "2000 bytes, this kernel takes 1985"},
		{"empty file", unix.EINVAL, func(s *Situation) { s.ImageSize = 0 }, "empty"},
		{"invalid", unix.EINVAL, nil, "refuses the call"},
		{"not a kernel", unix.ENOEXEC, nil, "/boot/vmlinuz is not a kernel"},
		{"rejected", unix.EKEYREJECTED, nil, "not by a key"},
		{"no key", unix.ENOKEY, nil, "keyrings"},
		{"unsigned", unix.ENODATA, nil, "no signature"},
		{"bad signature", unix.EBADMSG, nil, "damaged"},
		{"no call", unix.ENOSYS, nil, "CONFIG_KEXEC_FILE"},
		{"no memory", unix.ENOMEM, nil, "17.0 MiB"},
		{"open for writing", unix.ETXTBSY, nil, "open for writing"},
		{"busy", unix.EBUSY, nil, "under way"},
		{"closed", unix.EBADF, nil, "not open"},
		{"access", unix.EACCES, nil, "SELinux"},
		{"too big", unix.EFBIG, nil, "larger"},
		{"not supported", unix.EOPNOTSUPP, nil, "this way"},
		{"disk", unix.EIO, nil, "reading"},
		{"new one", unix.EXDEV, nil, "new here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := base
			if tt.do != nil {
				tt.do(&s)
			}
			err := Explain("load", tt.errno, s)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q lacks %q", err, tt.want)
			}
			if !errors.Is(err, tt.errno) {
				t.Errorf("errors.Is does not find %v", tt.errno)
			}
			if err.Hint() == "" {
				t.Error("no hint")
			}
		})
	}
}

func write(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
