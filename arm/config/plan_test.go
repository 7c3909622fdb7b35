package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
)

const mountinfo = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
28 27 254:2 /sub/dir /var/crash rw shared:2 master:3 - xfs /dev/vda2 rw
29 27 0:40 / /tmp rw - tmpfs tmpfs rw
30 27 0:31 /@/home /home rw - btrfs /dev/vdb rw,subvolid=256,subvol=/@/home
31 27 253:0 / /lvm rw - ext4 /dev/mapper/vg-lv rw
32 27 254:9 / /ext3 rw - ext3 /dev/vda9 rw
33 27 254:10 / /with\040space rw - ext4 /dev/vda10 rw
34 27 0:50 / /hidden rw - tmpfs tmpfs rw
35 34 254:11 / /hidden rw - ext4 /dev/vda11 rw
36 27 0:60 / /merged rw - overlay overlay rw
37 27 254:12 / /nouuid rw - ext4 /dev/vda12 rw
`

func host() Host {
	return Host{Name: "db1", Release: "6.1.0", Local: &Local{
		MountInfo: []byte(mountinfo),
		Identify: func(dev string) (FS, error) {
			fs, ok := map[string]FS{
				"254:1": {Type: "ext4", UUID: "u1"}, "254:2": {Type: "xfs", UUID: "u2"}, "/dev/vdb": {Type: "btrfs", UUID: "ub"}, "254:9": {Type: "ext3", UUID: "u9"},
				"254:10": {Type: "ext4", UUID: "u10"}, "254:11": {Type: "ext4", UUID: "u11"}, "254:12": {Type: "ext4", UUID: ""}, "/dev/vda1": {Type: "ext4", UUID: "u1"},
			}[dev]
			if !ok {
				return FS{}, errors.New("device mapper")
			}
			return fs, nil
		},
		Resolve: func(p string) (string, error) {
			if p == "/link" {
				return "/var/crash/x", nil
			}
			return p, nil
		},
	}}
}

func TestPlanOfPath(t *testing.T) {
	for dir, want := range map[string]plan.Target{
		"/data":         {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u1"}, Path: "/data"},
		"/var/crashed":  {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u1"}, Path: "/var/crashed"},
		"/var/crash":    {Kind: plan.KindFS, FSType: "xfs", Device: plan.Device{By: plan.ByUUID, Value: "u2"}, Path: "/sub/dir"},
		"/link":         {Kind: plan.KindFS, FSType: "xfs", Device: plan.Device{By: plan.ByUUID, Value: "u2"}, Path: "/sub/dir/x"},
		"/home/c":       {Kind: plan.KindFS, FSType: "btrfs", Device: plan.Device{By: plan.ByUUID, Value: "ub"}, Path: "/@/home/c", Options: "subvolid=5"},
		"/ext3/c":       {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u9"}, Path: "/c"},
		"/with space/c": {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u10"}, Path: "/c"},
		"/hidden/c":     {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u11"}, Path: "/c"},
		"/":             {Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "u1"}, Path: "/"},
	} {
		c := parse(t, `path "`+dir+`"`)
		p, err := c.Plan(host())
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		if d := cmp.Diff([]plan.Target{want}, p.Targets); d != "" {
			t.Errorf("%s: %s", dir, d)
		}
		if p.Host != "db1" || p.Kernel != "6.1.0" || p.Dump.Level != 31 || p.Dump.Codec != "zstd" {
			t.Errorf("plan %+v", p)
		}
	}
}

func TestPlanNamed(t *testing.T) {
	c := parse(t, "ext4 /dev/vda1\npath /x\nhost other")
	p, err := c.Plan(host())
	if err != nil {
		t.Fatal(err)
	}
	if want := (plan.Device{By: plan.ByUUID, Value: "u1"}); !cmp.Equal(p.Targets[0].Device, want) || p.Host != "other" {
		t.Errorf("device %+v, host %s: want %+v, other", p.Targets[0].Device, p.Host, want)
	}
	p, err = c.Plan(Host{Name: "h", Release: "1"})
	if err != nil || p.Targets[0].Device.Value != "/dev/vda1" {
		t.Errorf("for another machine: %+v, %v", p, err)
	}
}

func TestPlanTargets(t *testing.T) {
	c := parse(t, "path /x\nxfs LABEL=a\next4 UUID="+uuid+"\npath /y\nfailure_action dump_to_rootfs")
	p, err := c.Plan(host())
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Target{
		{Kind: plan.KindFS, FSType: "xfs", Device: plan.Device{By: plan.ByLabel, Value: "a"}, Path: "/x"},
		{Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: uuid}, Path: "/y"},
		{Kind: plan.KindFS, FSType: "xfs", Device: plan.Device{By: plan.ByUUID, Value: "u2"}, Path: "/sub/dir"},
	}
	if d := cmp.Diff(want, p.Targets); d != "" || p.FailureAction != plan.Reboot {
		t.Errorf("%s, then %s", d, p.FailureAction)
	}
}

func TestPlanErrors(t *testing.T) {
	foreign := Host{Name: "h", Release: "1"}
	broken := host()
	broken.Local.MountInfo = []byte("what is this")
	for _, tt := range []struct {
		text string
		host Host
		want string
	}{
		{"", foreign, "not for the running host"},
		{"path /tmp/x", host(), "path /tmp/x is on tmpfs (tmpfs, mounted at /tmp)"},
		{"path /merged", host(), "dumps cannot be saved there"},
		{"path /lvm", host(), "device mapper"},
		{"path /nouuid", host(), "no UUID"},
		{"", broken, "mountinfo line 1"},
		{"xfs /dev/vda1", host(), "kdump.conf:1: xfs /dev/vda1: the device holds ext4"},
		{"ext4 /dev/mapper/a-b", host(), "kdump.conf:1: ext4 /dev/mapper/a-b: device mapper"},
		{"ext4 /dev/mapper/a-b", foreign, "udev"},
		{"ext4 /dev/vda1", Host{Release: "1"}, "host"},
		{"ext4 /dev/vda1", Host{Name: "h"}, "kernel"},
	} {
		_, err := parse(t, tt.text).Plan(tt.host)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}
