package initramfs

import (
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/elftest"
	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

const release = "6.1.0-test"

func ko(modinfo ...string) []byte {
	return elftest.Module(elf.EM_X86_64, append(modinfo, "vermagic="+release+" SMP")...)
}

func options0(t *testing.T) Options {
	t.Helper()
	m := fstest.MapFS{}
	for name, data := range map[string][]byte{
		"kernel/virtio.ko": ko(), "kernel/virtio_ring.ko": ko("depends=virtio"), "kernel/virtio_pci.ko": ko("depends=virtio_ring"),
		"kernel/ext4.ko": ko("softdep=pre: crc32c"), "kernel/crypto/crc32c_generic.ko": ko("alias=crc32c"), "modules.builtin": []byte("kernel/nvme.ko\n"),
	} {
		m["lib/modules/"+release+"/"+name] = &fstest.MapFile{Data: data}
	}
	tree, err := modules.Open(m, release)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Plan: &plan.Plan{
			Version: plan.Version, Host: "h", Kernel: release,
			Targets:   []plan.Target{{Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByLabel, Value: "x"}, Path: "/c"}},
			Dump:      plan.Dump{Level: 31, Codec: "zstd"},
			Deadlines: plan.DefaultDeadlines(), FailureAction: plan.Reboot, FinalAction: plan.Reboot,
		},
		Tree:        tree,
		Wants:       []modules.Want{{Name: "virtio-pci"}, {Name: "nvme"}, {Name: "ext4"}, {Name: "ahci", Optional: true}},
		Init:        elftest.Program(elf.EM_X86_64, ""),
		Compression: archive.Zstd,
	}
}

func build(t *testing.T, o Options) ([]byte, *Report) {
	t.Helper()
	var b bytes.Buffer
	rep, err := Build(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), rep
}

func TestBuild(t *testing.T) {
	image, rep := build(t, options0(t))
	c, err := Read(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
	var names []string
	for _, f := range c.Files {
		names = append(names, f.Name)
	}
	want := "dev init mnt modules modules/crc32c_generic.ko modules/ext4.ko modules/virtio.ko modules/virtio_pci.ko modules/virtio_ring.ko plan.json proc sys tmp"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	p, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rep.Plan, p); d != "" {
		t.Errorf("the report's plan is not the image's: %s", d)
	}
	var order []string
	for _, m := range p.Modules {
		order = append(order, m.Name)
	}
	if got := strings.Join(order, " "); got != "virtio virtio_ring virtio_pci crc32c_generic ext4" {
		t.Errorf("loading order %s", got)
	}
	if rep.Size.Packed != int64(len(image)) || rep.Size.Plain != c.Plain {
		t.Errorf("sizes %+v, want %d packed, %d plain", rep.Size, len(image), c.Plain)
	}
	if len(rep.Modules.Absent) != 1 || len(rep.Modules.Builtin) != 1 {
		t.Errorf("report %+v", rep.Modules)
	}
}

// What a module may ask for comes with it, where there is any, and plain.
func TestFirmware(t *testing.T) {
	m := fstest.MapFS{}
	for name, data := range map[string][]byte{
		"lib/modules/" + release + "/kernel/nic.ko":        ko("firmware=nic/one.bin", "firmware=nic/two.bin", "firmware=none.bin", "firmware=../../etc/shadow", "depends=bus"),
		"lib/modules/" + release + "/kernel/bus.ko":        ko("firmware=nic/one.bin"),
		"lib/firmware/nic/one.bin":                         []byte("one"),
		"lib/firmware/updates/" + release + "/nic/one.bin": []byte("newer"),
		"usr/lib/firmware/nic/two.bin.zst":                 packed("two"),
		"lib/firmware/other.bin":                           []byte("other"),
		"etc/shadow":                                       []byte("secret"),
	} {
		m[name] = &fstest.MapFile{Data: data}
	}
	tree, err := modules.Open(m, release)
	if err != nil {
		t.Fatal(err)
	}
	o := options0(t)
	o.Tree, o.Wants = tree, []modules.Want{{Name: "nic"}}
	image, rep := build(t, o)
	c, err := Read(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
	got := map[string]string{}
	for _, f := range c.Files {
		if name, ok := strings.CutPrefix(f.Name, "lib/firmware/"); ok && f.Mode.IsRegular() {
			got[name] = string(f.Data)
		}
	}
	if d := cmp.Diff(map[string]string{"nic/one.bin": "newer", "nic/two.bin": "two"}, got); d != "" || len(rep.Firmware) != 2 {
		t.Errorf("%s\nreport %v", d, rep.Firmware)
	}
	add(c, archive.File{Name: "lib/firmware/other.bin", Mode: 0o644})
	if err := c.Verify(); err == nil || !strings.Contains(err.Error(), "other.bin") {
		t.Errorf("firmware that no module asks for: %v", err)
	}
	m["lib/firmware/updates/"+release+"/nic/one.bin"].Data = make([]byte, modules.MaxFirmware)
	if _, rep := build(t, o); len(rep.Firmware) != 1 || len(rep.NoFirmware) != 1 || rep.NoFirmware[0] != "nic/two.bin" {
		t.Errorf("too much: %v, %v", rep.Firmware, rep.NoFirmware)
	}
}

func packed(text string) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll([]byte(text), nil)
}

func TestReproducible(t *testing.T) {
	for _, c := range archive.Compressions() {
		o := options0(t)
		o.Compression = c
		first, _ := build(t, o)
		for range 3 { // maps are walked in another order each time
			o := options0(t)
			o.Compression = c
			if again, _ := build(t, o); !bytes.Equal(first, again) {
				t.Fatalf("%s: two builds differ", c)
			}
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	whole := elftest.Program(elf.EM_X86_64, "")
	far := bytes.Clone(whole)
	far[24+3] = 0x7f // e_entry
	for name, tt := range map[string]struct {
		do   func(*Options)
		want string
	}{
		"text":    {func(o *Options) { o.Init = []byte("#!/bin/sh") }, "not an ELF program"},
		"empty":   {func(o *Options) { o.Init = nil }, "not an ELF program"},
		"object":  {func(o *Options) { o.Init = ko() }, "not a program"},
		"dynamic": {func(o *Options) { o.Init = elftest.Program(elf.EM_X86_64, "/lib/ld.so") }, "dynamically linked"},
		"arm64":   {func(o *Options) { o.Init = elftest.Program(elf.EM_AARCH64, "") }, "EM_AARCH64"},
		"cut":     {func(o *Options) { o.Init = whole[:len(whole)-1] }, "cut short"},
		"entry":   {func(o *Options) { o.Init = far }, "entry"},
		"missing": {func(o *Options) { o.Wants = append(o.Wants, modules.Want{Name: "hpsa", For: "the disk"}) }, "no module hpsa"},
		"kernel":  {func(o *Options) { o.Plan.Kernel = "5" }, "kernel 5"},
		"plan":    {func(o *Options) { o.Plan.Host = "" }, "host"},
		"modules": {func(o *Options) { o.Plan.Modules = []plan.Module{{Name: "x", Path: "/x"}} }, "already"},
		"packing": {func(o *Options) { o.Compression = "lzma" }, "lzma"},
	} {
		o := options0(t)
		tt.do(&o)
		if _, err := Build(io.Discard, o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

func TestVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*Contents)
		want string
	}{
		"no init":      {func(c *Contents) { drop(c, "init") }, "no /init"},
		"init text":    {func(c *Contents) { file(c, "init").Data = []byte("x") }, "/init: not an ELF"},
		"init mode":    {func(c *Contents) { file(c, "init").Mode = 0o644 }, "not executable"},
		"init machine": {func(c *Contents) { file(c, "init").Data = elftest.Program(elf.EM_AARCH64, "") }, "EM_AARCH64"},
		"no plan":      {func(c *Contents) { drop(c, "plan.json") }, "no /plan.json"},
		"bad plan":     {func(c *Contents) { file(c, "plan.json").Data = []byte("{}") }, "version 0"},
		"no module":    {func(c *Contents) { drop(c, "modules/virtio.ko") }, "/modules/virtio.ko is not in the image"},
		"bad module":   {func(c *Contents) { file(c, "modules/virtio.ko").Data = []byte("x") }, "module virtio: not a kernel module"},
		"old module":   {func(c *Contents) { file(c, "modules/virtio.ko").Data = elftest.Module(elf.EM_X86_64, "vermagic=5") }, `built for kernel "5"`},
		"arm module": {func(c *Contents) {
			file(c, "modules/ext4.ko").Data = elftest.Module(elf.EM_AARCH64, "vermagic="+release)
		}, "ext4 is for EM_AARCH64"},
		"order":        {func(c *Contents) { file(c, "modules/virtio.ko").Data = ko("depends=ext4") }, "virtio comes before ext4"},
		"extra":        {func(c *Contents) { add(c, archive.File{Name: "bin/sh", Mode: 0o755}) }, `"bin/sh" (-rwxr-xr-x) does not belong`},
		"extra module": {func(c *Contents) { add(c, archive.File{Name: "modules/x.ko", Mode: 0o644}) }, `"modules/x.ko"`},
		"symlink":      {func(c *Contents) { file(c, "plan.json").Mode = fs.ModeSymlink }, `"plan.json"`},
		"twice":        {func(c *Contents) { add(c, c.Files[0]) }, "twice"},
		"no dir":       {func(c *Contents) { drop(c, "proc") }, "/proc is missing"},
	} {
		image, _ := build(t, options0(t))
		c, err := Read(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		tt.do(c)
		if err := c.Verify(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

func file(c *Contents, name string) *archive.File {
	for i := range c.Files {
		if c.Files[i].Name == name {
			return &c.Files[i]
		}
	}
	panic(name)
}

func add(c *Contents, f archive.File) { c.Files = append(c.Files, f) }

func drop(c *Contents, name string) {
	for i := range c.Files {
		if c.Files[i].Name == name {
			c.Files = append(c.Files[:i:i], c.Files[i+1:]...)
			return
		}
	}
	panic(name)
}

func TestReadCut(t *testing.T) {
	image, _ := build(t, options0(t))
	for _, n := range []int{0, 10, len(image) / 2, len(image) - 20} {
		if _, err := Read(bytes.NewReader(image[:n])); err == nil {
			t.Errorf("an image cut to %d of %d bytes was read", n, len(image))
		}
	}
}
