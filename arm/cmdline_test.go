package arm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sparing = "cryptomgr.notests mitigations=off initcall_blacklist=tracer_init_tracefs"
	x86Tail = "panic=10 nr_cpus=1 reset_devices irqpoll cgroup_disable=memory transparent_hugepage=never nokaslr novmcoredd " +
		"cma=0 hugetlb_cma=0 kfence.sample_interval=0 pcie_ports=compat acpi_no_memhotplug random.trust_cpu=on " + sparing + " mce=off numa=off hest_disable"
	armTail = "panic=10 nr_cpus=1 reset_devices irqpoll cgroup_disable=memory transparent_hugepage=never nokaslr novmcoredd " +
		"cma=0 hugetlb_cma=0 kfence.sample_interval=0 pcie_ports=compat acpi_no_memhotplug random.trust_cpu=on " + sparing + " swiotlb=noforce"
)

var x86 = Machine{Arch: "amd64", BootAPIC: 0}

func TestDerive(t *testing.T) {
	graviton := Machine{Arch: "arm64", Vendor: "Amazon EC2", BootAPIC: -1}
	for _, tt := range []struct {
		name, running string
		m             Machine
		w             Wishes
		want          string
	}{
		{"empty", "\n", x86, Wishes{}, x86Tail},
		{"Debian cloud", "BOOT_IMAGE=/boot/vmlinuz-6.1.0-56-cloud-amd64 root=PARTUUID=5da7b9d6-e0a6 ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0 crashkernel=128M\n",
			x86, Wishes{}, "console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0 " + x86Tail},
		{"RHEL", "BOOT_IMAGE=(hd0,gpt2)/vmlinuz-5.14 root=/dev/mapper/rhel-root ro crashkernel=1G-4G:192M,4G-:256M resume=/dev/mapper/rhel-swap rd.lvm.lv=rhel/root rd.lvm.lv=rhel/swap rhgb quiet audit=1 fips=1",
			x86, Wishes{}, "audit=1 fips=1 " + x86Tail},
		{"huge pages", "default_hugepagesz=1G hugepagesz=1G hugepages=64 hugepagesz=2M hugepages=512 hugetlb_cma=8G cma=1G intel_iommu=on",
			x86, Wishes{}, "intel_iommu=on " + x86Tail},
		{"dash is underscore", "hugetlb-cma=8G log-buf-len=16M trace-buf-size=1G slub-debug=FZ", x86, Wishes{}, x86Tail},
		{"memory map", "mem=4G memmap=4G!12G kernelcore=2G swiotlb=65536 log_buf_len=64M kmemleak=on page_owner=on", x86, Wishes{}, x86Tail},
		{"init", "init=/usr/lib/systemd/systemd rdinit=/sbin/x initrd=\\initrd.img noinitrd retain_initrd", x86, Wishes{}, x86Tail},
		{"tracing and debugging", "ftrace=function trace_event=sched:* kfence.sample_interval=10 slub_debug=FZP kasan.fault=panic bootconfig", x86, Wishes{}, x86Tail},
		{"panics of less", "panic_on_warn panic_on_taint=0x20 oops=panic softlockup_panic=1 nmi_watchdog=panic sysctl.kernel.panic=0 sysctl.vm.nr_hugepages=9",
			x86, Wishes{}, x86Tail},
		{"own values replaced, once", "panic=0 panic=-1 nr_cpus=4 maxcpus=2 numa=fake=4 mce=bootlog kaslr", x86, Wishes{}, "kaslr " + x86Tail},
		{"quoted", `dyndbg="file drivers/usb/* +p" "foo=a b" root="LABEL=my root" console=ttyS0`, x86, Wishes{},
			`dyndbg="file drivers/usb/* +p" "foo=a b" console=ttyS0 ` + x86Tail},
		{"open quote", `console=ttyS0 dyndbg="file x +p`, x86, Wishes{}, `console=ttyS0 dyndbg="file x +p" ` + x86Tail},
		{"quoted name removed", `"crashkernel=128M" "init=/a b"`, x86, Wishes{}, x86Tail},
		{"for init", "console=ttyS0 -- single crashkernel=x --foo", x86, Wishes{}, "console=ttyS0 " + x86Tail},
		{"module options stay", "nvme_core.io_timeout=255 xen-blkfront.max=8 i915.modeset=0", x86, Wishes{}, "nvme_core.io_timeout=255 xen-blkfront.max=8 i915.modeset=0 " + x86Tail},
		{"near names stay", "rooted=1 initcall_blacklist=x memtest=1 crashkernels=2 ipv6.disable=1", x86, Wishes{},
			"rooted=1 initcall_blacklist=x memtest=1 crashkernels=2 ipv6.disable=1 " + x86Tail},
		{"systemd", "systemd.unit=rescue.target rd.break rd.luks.uuid=x udev.log_level=3 luks.name=y ip=dhcp ds=nocloud", x86, Wishes{}, x86Tail},
		{"arm64", "root=/dev/vda1 console=ttyAMA0", Machine{Arch: "arm64", BootAPIC: -1}, Wishes{}, "console=ttyAMA0 " + armTail},
		{"Graviton", "console=ttyS0", graviton, Wishes{}, "console=ttyS0 " + strings.Replace(armTail, "irqpoll ", "", 1)},
		{"two CPUs", "", Machine{Arch: "amd64", BootAPIC: 16}, Wishes{CPUs: 2}, strings.Replace(x86Tail, "nr_cpus=1", "nr_cpus=2 disable_cpu_apicid=16", 1)},
		{"two CPUs on arm64", "", Machine{Arch: "arm64", BootAPIC: -1}, Wishes{CPUs: 2}, strings.Replace(armTail, "nr_cpus=1", "nr_cpus=2", 1)},
		{"append", "console=tty0", x86, Wishes{Append: "console=ttyS1 foo.bar=\"a b\""}, "console=tty0 " + x86Tail + ` console=ttyS1 foo.bar="a b"`},
		{"append replaces ours", "", x86, Wishes{Append: "panic=5 numa=on panic=-1"},
			strings.NewReplacer("panic=10 ", "", "numa=off ", "").Replace(x86Tail) + " numa=on panic=-1"},
		{"remove", "console=tty0 console=ttyS0 a.x=1 a.y=2 b", x86, Wishes{Remove: "console=tty0 a.* irqpoll nokaslr absent"},
			"console=ttyS0 b " + strings.NewReplacer("irqpoll ", "", "nokaslr ", "").Replace(x86Tail)},
		{"unremove", "root=/dev/sda1", x86, Wishes{Append: "root=/dev/sda1"}, x86Tail + " root=/dev/sda1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Derive(tt.running, tt.m, tt.w)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Fields(tt.want), strings.Fields(got.Text)); d != "" {
				t.Error(d)
			}
			for _, c := range append(got.Removed, got.Added...) {
				if c.Why == "" || c.Word == "" {
					t.Errorf("a change without a reason: %+v", c)
				}
			}
			again, err := Derive(got.Text, tt.m, tt.w)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(" "+again.Text, " panic="); n != 1 {
				t.Errorf("derived twice it has panic= %d times: %s", n, again.Text)
			}
		})
	}
}

func TestDeriveReasons(t *testing.T) {
	got, err := Derive("crashkernel=1G quiet panic=0 foo -- x y", x86, Wishes{Remove: "foo", Append: "bar"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"crashkernel=1G": "inside the reservation", "quiet": "console", "panic=0": "its own", "foo": "--remove", "-- x y": "init",
	}
	if len(got.Removed) != len(want) {
		t.Errorf("removed %v", got.Removed)
	}
	for _, c := range got.Removed {
		if w := want[c.Word]; w == "" || !strings.Contains(c.Why, w) {
			t.Errorf("%s is removed because %q, want %q", c.Word, c.Why, w)
		}
	}
	if last := got.Added[len(got.Added)-1]; last != (Change{"bar", "--append"}) {
		t.Errorf("last addition is %v", last)
	}
}

func TestDeriveErrors(t *testing.T) {
	for _, tt := range []struct {
		name, running string
		m             Machine
		w             Wishes
		want          string
	}{
		{"hang", "", x86, Wishes{Append: "panic=0"}, "hang"},
		{"hang by words", "", x86, Wishes{Append: "panic=never"}, "hang"},
		{"no panic", "", x86, Wishes{Remove: "pan*"}, "cannot be removed"},
		{"init", "", x86, Wishes{Append: "rdinit=/bin/sh"}, "/init"},
		{"memory", "", x86, Wishes{Append: "mem=1G"}, "lose its memory"},
		{"dashes", "", x86, Wishes{Append: "a -- b"}, "--"},
		{"NUL", "a\x00b", x86, Wishes{}, "NUL"},
		{"NUL of the user", "", x86, Wishes{Append: "a\x00b"}, "NUL"},
		{"too many CPUs", "", x86, Wishes{CPUs: 513}, "513"},
		{"negative CPUs", "", x86, Wishes{CPUs: -1}, "-1"},
		{"no APIC id", "", Machine{Arch: "amd64", BootAPIC: -1}, Wishes{CPUs: 2}, "--cpus 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Derive(tt.running, tt.m, tt.w)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, error %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestCheckLength(t *testing.T) {
	line := strings.Repeat("a", 100) + " bb=" + strings.Repeat("b", 200) + " c"
	if err := checkLength(line, len(line)); err != nil {
		t.Errorf("a line of the limit: %v", err)
	}
	err := checkLength(line, len(line)-1)
	if err == nil || !strings.Contains(err.Error(), "306 bytes; this kernel takes 305") {
		t.Errorf("error %v", err)
	}
	if hint := Hint(err); !strings.Contains(hint, "bb (203)") {
		t.Errorf("hint %q does not name the longest word", hint)
	}
}

func TestBootAPIC(t *testing.T) {
	for text, want := range map[string]int{
		"processor\t: 0\napicid\t\t: 16\ninitial apicid\t: 18\n\nprocessor\t: 1\ninitial apicid\t: 20\n": 18,
		"processor\t: 0\n\nprocessor\t: 1\ninitial apicid\t: 20\n":                                       -1,
		"initial apicid\t: x\n": -1,
		"":                      -1,
	} {
		if got := bootAPIC(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// Whatever the running kernel was given, the result cuts into the same words
// again, and panic= is there once.
func FuzzDerive(f *testing.F) {
	f.Add(`console=ttyS0 "a=b c" d="e f" panic=0 -- init`, "panic=5", "console")
	f.Add(`x="`, `y="`, "*")
	f.Fuzz(func(t *testing.T, running, add, remove string) {
		c, err := Derive(running, x86, Wishes{Append: add, Remove: remove})
		if err != nil {
			return
		}
		words, rest, err := splitCmdline(c.Text)
		if err != nil || rest != "" || joinWords(words) != c.Text {
			t.Fatalf("%q cuts into %q, rest %q, %v", c.Text, joinWords(words), rest, err)
		}
		n := 0
		for _, w := range words {
			if w.key == "panic" {
				n++
			}
			if w.key == "rdinit" || w.key == "initrd" || w.key == "init" {
				t.Errorf("%q would keep /init from running", w.text)
			}
		}
		if n != 1 {
			t.Errorf("panic= %d times in %q", n, c.Text)
		}
	})
}
