package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/nbd"
)

// The captures that the power cuts and the full disks are measured by.
const (
	baseline    = "none"
	bigBaseline = "none, a large dump"
)

// hasty are deadlines for machines in which something is waited for in vain.
const hasty = "timeout device 15s\ntimeout mount 15s\ntimeout stall 15s\ntimeout reboot 15s\n"

// big makes a dump of some hundred MiB, of which about 80 cannot be done without.
const big = "codec none\nlevel 17\n"

func ext4(mib int64) qemu.Disk { return qemu.Disk{SizeMiB: mib, FSType: "ext4", UUID: lab.DiskUUID} }

// faults is the list, in the order of the table.
func (p *player) faults() []fault {
	plain := func(words string) lab.Story { return lab.Story{Config: lab.DefaultConfig + words} }
	list := []fault{
		{name: baseline, about: "nothing is wrong", short: true, story: plain(""), disk: &nbd.Faults{}, want: []end{complete}},
		{name: "disk missing", about: "no device has the UUID", want: []end{onScreen},
			story: lab.Story{Config: "ext4 UUID=00000000-1111-2222-3333-444444444444\npath /crash\nhost smoke\n" + hasty}},
		{name: "disk missing, two targets", about: "the second target is there", want: []end{complete},
			story: lab.Story{Config: "ext4 UUID=00000000-1111-2222-3333-444444444444\nhost smoke\n" + hasty + "ext4 UUID=" + lab.DiskUUID + "\npath " + lab.CrashDir + "\n"}},
		{name: "disk late", about: "the disk is plugged in 5 s after kdump-init starts", late: 5 * time.Second, story: plain(""), want: []end{complete}},
		{name: "disk read-only", about: "every write fails", want: []end{onScreen},
			story: lab.Story{Config: lab.DefaultConfig + hasty, ReadOnly: true}},
	}
	list = append(list, fault{name: bigBaseline, about: "nothing is wrong", short: true, want: []end{complete}, story: lab.Story{Config: lab.DefaultConfig + big, Disk: ext4(1024), Unmounted: true}})
	for _, percent := range []int64{10, 50, 90} {
		want := []end{partial}
		if percent == 10 {
			want = append(want, logOnly) // not even what a reader cannot do without fits
		}
		list = append(list, fault{name: fmt.Sprintf("disk full at %d %%", percent), about: fmt.Sprintf("the dump is larger than the disk: %d %% of it fit", percent),
			want: want, short: percent == 50, full: percent, story: lab.Story{Config: lab.DefaultConfig + big, Unmounted: true}})
	}
	list = append(list,
		fault{name: "EIO at 4 MiB", about: "every write fails from then on", short: true, disk: &nbd.Faults{FailAfter: 4 << 20}, story: plain(hasty), repair: true, want: []end{logOnly}},
		fault{name: "disk hangs at 4 MiB", about: "the disk answers nothing any more", disk: &nbd.Faults{HangAfter: 4 << 20}, story: plain(hasty), repair: true, want: []end{logOnly}},
		fault{name: "flushes dropped", about: "the disk says that it flushed and did not; power stays", disk: &nbd.Faults{DropFlush: true}, story: plain(""), want: []end{complete}},
	)
	// Most in the middle of the dump; and at the flushes, which stand between the
	// log, the dump, its name and the report.
	for i, part := range []float64{0.02, 0.2, 0.45, 0.7} {
		list = append(list, fault{name: fmt.Sprintf("power cut %d", i+1), about: fmt.Sprintf("after %.0f %% of all writes; half of what was not flushed is lost", 100*part),
			short: i == 2, cut: cut{part: part}, disk: &nbd.Faults{}, story: plain(""), repair: true, want: []end{complete, logOnly, nothing}})
	}
	for i := range 8 {
		list = append(list, fault{name: fmt.Sprintf("power cut %d", i+5), about: fmt.Sprintf("behind flush %d before the last one; half of what was not flushed is lost", 7-i),
			cut: cut{flush: 8 - i}, disk: &nbd.Faults{}, story: plain(""), repair: true, want: []end{complete, logOnly, nothing}})
	}
	list = append(list,
		fault{name: "module missing", about: "virtio_pci.ko is not in the image", want: []end{onScreen}, story: damaged(hasty, func(name string, data []byte) []byte {
			if path.Base(name) == "virtio_pci.ko" {
				return nil
			}
			return data
		})},
		fault{name: "image corrupted", about: "bytes changed in its middle", arming: "archive: ", story: lab.Story{Config: lab.DefaultConfig, Damage: corrupt}},
		fault{name: "init cannot run", about: "the crash kernel panics for want of an init", want: []end{nothing}, story: damaged("", func(name string, data []byte) []byte {
			if name == "init" {
				return bytes.Repeat([]byte{0}, len(data))
			}
			return data
		})},
		fault{name: "too little memory", about: "crashkernel=64M, armed by --force", want: []end{nothing, onScreen, logOnly}, repair: true,
			story: lab.Story{Config: lab.DefaultConfig + hasty, Reserve: "64M", ArmFlags: []string{"--force"}}},
		fault{name: "kernel hangs", about: "once the log is saved; the kernel's own watchdog (softdog) is in the image", serve: freezes, repair: true, want: []end{logOnly, nothing}},
		fault{name: "clock of 1970", about: "the machine's clock starts at 1970-01-01", want: []end{complete},
			story: lab.Story{Config: lab.DefaultConfig, Clock: "1970-01-01T00:00:00"}},
		fault{name: "crash loop", about: "the second crash within an hour, of which one dump is wanted (loop_guard 1 60m)", twice: true, want: []end{logOnly},
			story: lab.Story{Config: lab.DefaultConfig + "loop_guard 1 60m\n"}},
	)
	return append(list, remote()...)
}

// damaged is a story whose crash image is changed, file by file, and loaded all the
// same.
func damaged(words string, edit func(name string, data []byte) []byte) lab.Story {
	return lab.Story{
		Config: lab.DefaultConfig + words, ArmFlags: []string{"--force"},
		Damage: func(image string) error { return lab.Rewrite(image, edit) },
	}
}

// corrupt changes some bytes in the middle of a file.
func corrupt(image string) error {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 64), st.Size()/2)
	return err
}
