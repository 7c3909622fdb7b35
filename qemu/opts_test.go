package qemu

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArgs(t *testing.T) {
	tests := []struct {
		name string
		o    Opts
		want []string // runs of arguments that must be there, in order
		not  []string // arguments that must not
	}{
		{
			name: "defaults",
			o:    Opts{Kernel: "k"},
			want: []string{"-accel tcg,thread=single", "-cpu qemu64", "-smp 2", "-m 1024M", "-kernel k", "-append console=ttyS0,115200", "-no-reboot"},
			not:  []string{"-initrd", "-drive"},
		},
		{
			name: "everything",
			o: Opts{Kernel: "k", Initrd: "i", Append: "panic=1", MemoryMiB: 512, CPUs: 4, CPU: "max", Accel: KVM, Reboot: true,
				Drives: []Drive{{Path: "a,b.img"}, {Path: "c.img", ReadOnly: true, WriteMiBps: 2}}, Extra: []string{"-watchdog-action", "reset"}},
			want: []string{"-accel kvm", "-cpu max", "-smp 4", "-m 512M", "-initrd i", "-append console=ttyS0,115200 panic=1",
				"-drive file=a,,b.img,if=none,id=disk0,format=raw,cache=unsafe", "-device virtio-blk-pci,drive=disk0",
				"-drive file=c.img,if=none,id=disk1,format=raw,cache=unsafe,readonly=on,throttling.bps-write=2097152", "-device virtio-blk-pci,drive=disk1",
				"-watchdog-action reset"},
			not: []string{"-no-reboot"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args, err := tt.o.Args()
			if err != nil {
				t.Fatal(err)
			}
			line := strings.Join(args, " ")
			for _, w := range tt.want {
				at := strings.Index(line, w)
				if at < 0 {
					t.Fatalf("%q is missing or out of order in\n%s", w, line)
				}
				line = line[at+len(w):]
			}
			for _, n := range tt.not {
				if slices.Contains(args, n) {
					t.Errorf("%q among the arguments", n)
				}
			}
		})
	}
}

func TestArgsRefused(t *testing.T) {
	for name, o := range map[string]Opts{
		"no kernel":        {},
		"negative memory":  {Kernel: "k", MemoryMiB: -1},
		"negative CPUs":    {Kernel: "k", CPUs: -1},
		"negative timeout": {Kernel: "k", Timeout: -time.Second},
		"empty drive":      {Kernel: "k", Drives: []Drive{{}}},
	} {
		if args, err := o.Args(); err == nil {
			t.Errorf("%s: accepted as %q", name, args)
		}
	}
}

func TestMkfs(t *testing.T) {
	tests := []struct {
		d    Disk
		want string
	}{
		{Disk{}, ""},
		{Disk{FSType: "ext4", UUID: "u", Label: "l", From: "dir"},
			"mke2fs -q -F -t ext4 -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -U u -L l -d dir img"},
		{Disk{FSType: "xfs", UUID: "u", Label: "l"}, "mkfs.xfs -q -f -m uuid=u -L l img"},
		{Disk{FSType: "btrfs", UUID: "u"}, "mkfs.btrfs -q -f -U u img"},
	}
	for _, tt := range tests {
		args, err := tt.d.mkfs("img")
		if got := strings.Join(args, " "); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.d, got, err, tt.want)
		}
	}
	for _, d := range []Disk{{FSType: "ntfs"}, {FSType: "xfs", From: "dir"}} {
		if args, err := d.mkfs("img"); err == nil {
			t.Errorf("%+v: accepted as %q", d, args)
		}
	}
}
