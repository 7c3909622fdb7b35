//go:build vm

package smoke

import (
	"context"
	"path"
	"testing"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
)

// Nothing can be saved in these stories. Each must end by itself within its
// deadlines, say on the console what is wrong and show the end of the crashed
// kernel's log there.
func TestNothingToWriteTo(t *testing.T) {
	const short = "timeout device 3s\ntimeout mount 10s\n"
	for _, tt := range []struct {
		name  string
		story lab.Story
		says  []string
	}{
		{
			name:  "absent-disk",
			story: lab.Story{Config: "ext4 UUID=00000000-1111-2222-3333-444444444444\npath /crash\nhost smoke\n" + short},
			says:  []string{"00000000-1111-2222-3333-444444444444"},
		},
		{
			name:  "read-only-disk",
			story: lab.Story{Config: lab.DefaultConfig + short, ReadOnly: true},
			says:  []string{"read-only"},
		},
		{
			name: "module-that-will-not-load",
			story: lab.Story{Config: lab.DefaultConfig + short, ArmFlags: []string{"--force"}, Damage: func(image string) error {
				return lab.Rewrite(image, func(name string, data []byte) []byte {
					if path.Base(name) == "virtio_blk.ko" {
						return []byte("this is no module")
					}
					return data
				})
			}},
			says: []string{"virtio_blk"},
		},
		{
			name: "missing-module",
			story: lab.Story{Config: lab.DefaultConfig + short, ArmFlags: []string{"--force"}, Damage: func(image string) error {
				return lab.Rewrite(image, func(name string, data []byte) []byte {
					if path.Base(name) == "virtio_pci.ko" {
						return nil
					}
					return data
				})
			}},
			says: []string{"virtio_pci"},
		},
		{
			name: "corrupt-plan",
			story: lab.Story{ArmFlags: []string{"--force"}, Damage: func(image string) error {
				return lab.Rewrite(image, func(name string, data []byte) []byte {
					if name == "plan.json" {
						return data[:len(data)/2]
					}
					return data
				})
			}},
			says: []string{"plan"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := crash(t, tt.story)
			console(t, o, tt.says...)
			console(t, o, "reboot: Restarting system")
			if all, err := o.Left(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("%d directories on a disk that was not to be found, %v", len(all), err)
			}
		})
	}
}

// A person may be called for: failure_action shell gives a console, and what is
// typed there decides.
func TestRescueConsole(t *testing.T) {
	o := crash(t, lab.Story{
		Config: "ext4 UUID=00000000-1111-2222-3333-444444444444\nhost smoke\nfailure_action shell\ntimeout device 2s\n",
		Talk: func(ctx context.Context, vm *qemu.VM) error {
			if err := vm.Expect(ctx, "rescue"); err != nil {
				return err
			}
			for _, say := range []struct{ typed, answer string }{
				{"status\n", "00000000-1111-2222-3333-444444444444"},
				{"ls /dev\n", "vda"},
				{"reboot\n", "reboot: Restarting system"},
			} {
				if err := lab.Type(ctx, vm, say.typed, say.answer); err != nil {
					return err
				}
			}
			return nil
		},
	})
	console(t, o, trigger)
}
