package boot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/cmdline"
	"golang.org/x/sys/unix"
)

func TestGuardAndWithin(t *testing.T) {
	var p *PanicError
	if err := Guard(func() error { panic("boom") }); !errors.As(err, &p) || p.Value != "boom" || len(p.Stack) == 0 {
		t.Errorf("Guard: %v", err)
	}
	if err := Within(t.Context(), "x", func() error { return unix.EIO }); err != unix.EIO {
		t.Errorf("Within: %v", err)
	}
	if err := Within(t.Context(), "x", func() error { panic("boom") }); !errors.As(err, &p) {
		t.Errorf("Within, panic: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	hang := make(chan struct{})
	defer close(hang)
	var s *StuckError
	err := Within(ctx, "mount", func() error { <-hang; return nil })
	if !errors.As(err, &s) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "mount does not return") {
		t.Errorf("Within, hang: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	modules := make([]plan.Module, 0, 5)
	for _, n := range []string{"virtio", "there", "gone", "hangs", "nodev", "last"} {
		m := plan.Module{Name: n, Path: filepath.Join(dir, n+".ko"), Params: n + "=1"}
		if n != "gone" {
			if err := os.WriteFile(m.Path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		modules = append(modules, m)
	}
	hang := make(chan struct{})
	defer close(hang)
	loaded := make(chan string, 10)
	l := Loader{
		Patience: time.Second,
		Finit: func(f *os.File, params string) error {
			switch filepath.Base(f.Name()) {
			case "there.ko":
				return unix.EEXIST
			case "nodev.ko":
				return unix.ENODEV
			case "hangs.ko":
				<-hang
			}
			loaded <- params
			return nil
		},
	}
	err := l.Load(t.Context(), modules)
	for _, part := range []string{"load module gone: open", "load module hangs: finit_module does not return", "load module nodev: no such device (its device is not in this machine)"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "there") {
		t.Errorf("a loaded module is an error: %v", err)
	}
	if a, b := <-loaded, <-loaded; a != "virtio=1" || b != "last=1" {
		t.Errorf("loaded %s, %s", a, b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Load(ctx, modules); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "6 of 6") {
		t.Errorf("no time left: %v", err)
	}
}

func TestFinitModuleNamesErrno(t *testing.T) {
	f, err := os.Open(os.DevNull) // no module: some errno, whoever runs the test
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := finitModule(f, ""); err == nil || !strings.Contains(err.Error(), "errno ") {
		t.Errorf("got %v", err)
	}
}

func TestWait(t *testing.T) {
	d := plan.Device{By: plan.ByUUID, Value: "aa"}
	seen := []blkid.Seen{{Name: "vda", Path: "/dev/vda", Size: 1 << 30, Infos: []blkid.Info{{Type: "swap"}}}}
	k := &sink{}
	looks := 0
	w := Waiter{Log: NewLog(k, nil, 7, false), Poll: time.Millisecond, Tell: time.Nanosecond}
	w.Find = func(context.Context, plan.Device) (string, []blkid.Seen, error) {
		if looks++; looks < 5 {
			return "", seen, blkid.ErrNotFound
		}
		return "/dev/vdb", seen, nil
	}
	if path, err := w.Wait(t.Context(), d); path != "/dev/vdb" || err != nil || looks != 5 {
		t.Errorf("got %q, %v after %d looks", path, err, looks)
	}
	if !strings.Contains(k.text(), "waiting for UUID=aa") || !strings.Contains(k.text(), "/dev/vda: 1.0 GiB, swap") {
		t.Errorf("told: %q", k.text())
	}

	for name, tt := range map[string]struct {
		find func(context.Context) error
		is   error
		text string
	}{
		"missing":   {func(context.Context) error { return blkid.ErrNotFound }, blkid.ErrNotFound, "/dev/vda: 1.0 GiB, swap"},
		"cut short": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, blkid.ErrNotFound, "waited"},
		"ambiguous": {func(context.Context) error { return blkid.ErrAmbiguous }, blkid.ErrAmbiguous, "/dev/vda"},
		"no sysfs":  {func(context.Context) error { return os.ErrNotExist }, os.ErrNotExist, "UUID=aa"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		w.Find = func(ctx context.Context, _ plan.Device) (string, []blkid.Seen, error) { return "", seen, tt.find(ctx) }
		if _, err := w.Wait(ctx, d); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestMountKernel(t *testing.T) {
	root := t.TempDir()
	var got []string
	err := MountKernel(root, func(dev, dir, fstype string, _ uintptr, _ string) error {
		got = append(got, fstype+" "+strings.TrimPrefix(dir, root))
		switch fstype {
		case "proc":
			return unix.EBUSY
		case "sysfs":
			return unix.ENODEV
		}
		return nil
	})
	if !errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EBUSY) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff([]string{"proc /proc", "sysfs /sys", "devtmpfs /dev"}, got); d != "" {
		t.Error(d)
	}
}

func TestMountTarget(t *testing.T) {
	target := plan.Target{FSType: "xfs", Options: "logbufs=8"}
	dir := filepath.Join(t.TempDir(), "mnt")
	hang := make(chan struct{})
	defer close(hang)
	for name, tt := range map[string]struct {
		mnt  MountFunc
		want string
	}{
		"good":    {func(_, _, _ string, _ uintptr, _ string) error { return nil }, ""},
		"driver":  {func(_, _, _ string, _ uintptr, _ string) error { return unix.ENODEV }, "does not know xfs"},
		"damaged": {func(_, _, _ string, _ uintptr, _ string) error { return unix.EUCLEAN }, "run fsck"},
		"locked":  {func(_, _, _ string, _ uintptr, _ string) error { return unix.EROFS }, "write-protected"},
		"broken":  {func(_, _, _ string, _ uintptr, _ string) error { panic("x") }, "panic"},
		"hangs":   {func(_, _, _ string, _ uintptr, _ string) error { <-hang; return nil }, "mount /dev/vda (xfs) on " + dir + " does not return"},
	} {
		patience := time.Minute
		if name == "hangs" {
			patience = time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := MountTarget(ctx, target, "/dev/vda", dir, tt.mnt)
		cancel()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDumpDir(t *testing.T) {
	mnt := t.TempDir()
	outside := t.TempDir()
	for link, to := range map[string]string{"abs": outside, "up": "../..", "rel": "real", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(mnt, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(mnt, "real"), 0o755), os.WriteFile(filepath.Join(mnt, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for sub, good := range map[string]bool{
		"/": true, "/var/crash": true, "/rel/crash": true, "/rel": true,
		"/abs": false, "/abs/crash": false, "/up/x": false, "/loop/x": false, "/file": false, "/file/x": false,
	} {
		got, err := DumpDir(mnt, sub)
		if good != (err == nil) {
			t.Errorf("%s: %q, %v", sub, got, err)
			continue
		}
		if st, err := os.Stat(got); good && (err != nil || !st.IsDir()) {
			t.Errorf("%s: %v", sub, err)
		}
	}
	if st, err := os.Stat(filepath.Join(mnt, "var/crash")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode: %v, %v", st.Mode(), err)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("made %v outside", left)
	}
}

func TestMemAvailable(t *testing.T) {
	for in, want := range map[string]uint64{
		"MemTotal: 10 kB\nMemAvailable:    1024 kB\n": 1 << 20,
		"MemAvailable: x kB\n":                        0,
		"MemAvailable: 99999999999999999 kB\n":        0,
		"MemTotal: 10 kB\n":                           0,
	} {
		got, err := MemAvailable(strings.NewReader(in))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}

func TestOptions(t *testing.T) {
	parsed := func(m map[string]string) func() *cmdline.CmdLine {
		return func() *cmdline.CmdLine { return &cmdline.CmdLine{AsMap: m} }
	}
	for name, tt := range map[string]struct {
		parse func() *cmdline.CmdLine
		raw   string
		want  Options
	}{
		"none":   {parsed(nil), "gokdump.shell", Options{}},
		"both":   {parsed(map[string]string{"gokdump.shell": "1", "gokdump.debug": ""}), "", Options{true, true}},
		"off":    {parsed(map[string]string{"gokdump.shell": "0"}), "", Options{}},
		"panic":  {func() *cmdline.CmdLine { panic("slice bounds") }, "x=\" gokdump.shell gokdump.debug=0\n", Options{Shell: true}},
		"unread": {func() *cmdline.CmdLine { return &cmdline.CmdLine{Err: os.ErrNotExist} }, "", Options{}},
	} {
		if got := optionsFrom(tt.parse, func() string { return tt.raw }); got != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
