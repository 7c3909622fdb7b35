package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
)

const ageKey = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

const uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse(strings.NewReader(text), "kdump.conf")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEmptyIsDefault(t *testing.T) {
	want := Default()
	want.Name = "kdump.conf"
	if d := cmp.Diff(want, parse(t, "\n# nothing\n   \n")); d != "" {
		t.Error(d)
	}
}

func TestLoadOptional(t *testing.T) {
	name := t.TempDir() + "/kdump.conf"
	c, err := Load(name, true)
	if err != nil || c.Level != 31 || c.Codec != "zstd" || c.Path != "/var/crash" {
		t.Errorf("Load(absent) = %+v, %v", c, err)
	}
	if _, err := Load(name, false); err == nil {
		t.Error("an absent file that is required gave no error")
	}
}

func TestParse(t *testing.T) {
	c := parse(t, `# a familiar file
ext4 UUID=1B4E28BA-2fa1-11d2-883f-0016d3cca427   # the data disk
path	/crash//here/
core_collector makedumpfile -l --message-level 7 -d 31,17 --num-threads=3
failure_action shell
final_action poweroff
extra_modules dm-mod, xhci_pci
host db#1
timeout capture 2h
timeout device 90
`)
	want := Default()
	want.Name = "kdump.conf"
	want.Targets = []Target{{Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: uuid}, Path: "/crash/here", Line: 2}}
	want.Codec, want.Workers = "lzo", 3
	want.FailureAction, want.FinalAction = plan.Shell, plan.Poweroff
	want.ExtraModules = []string{"dm-mod", "xhci_pci"}
	want.Host = "db#1"
	want.Deadlines.Capture = plan.Seconds(2 * time.Hour)
	want.Deadlines.Device = plan.Seconds(90 * time.Second)
	want.Notes = c.Notes
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	notes := strings.Join(c.Notes, "\n")
	for _, s := range []string{"kdump.conf:4", "--message-level", "only level 31"} {
		if !strings.Contains(notes, s) {
			t.Errorf("notes %q lack %q", notes, s)
		}
	}
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]plan.Device{
		`UUID="` + uuid + `"`:           {By: plan.ByUUID, Value: uuid},
		"/dev/disk/by-uuid/" + uuid:     {By: plan.ByUUID, Value: uuid},
		"LABEL=crash#1":                 {By: plan.ByLabel, Value: "crash#1"},
		`LABEL="two words"`:             {By: plan.ByLabel, Value: "two words"},
		`/dev/disk/by-label/two\x20w\`:  {By: plan.ByLabel, Value: `two w\`},
		"PARTUUID=8F0C1A2B-01":          {By: plan.ByPartUUID, Value: "8f0c1a2b-01"},
		"PARTLABEL=crash":               {By: plan.ByPartLabel, Value: "crash"},
		"/dev/disk/by-partuuid/" + uuid: {By: plan.ByPartUUID, Value: uuid},
		"/dev/vda1":                     {By: plan.ByPath, Value: "/dev/vda1"},
		"/dev/mapper/vg-lv":             {By: plan.ByPath, Value: "/dev/mapper/vg-lv"},
	} {
		for _, fs := range plan.FSTypes() {
			c := parse(t, fs+" "+text)
			if len(c.Targets) != 1 || c.Targets[0].FSType != fs || !cmp.Equal(c.Targets[0].Device, want) {
				t.Errorf("%s %s gave %+v", fs, text, c.Targets)
			}
		}
	}
}

func TestCollector(t *testing.T) {
	for args, want := range map[string]plan.Dump{
		"":                       {Level: 0, Codec: "none"},
		"-d 31":                  {Level: 31, Codec: "none"},
		"-d17 -c":                {Level: 17, Codec: "zlib"},
		"-cd 1":                  {Level: 1, Codec: "zlib"},
		"-pd8":                   {Level: 8, Codec: "snappy"},
		"-z --num-threads 4":     {Codec: "zstd", Workers: 4},
		"-l -d 16,8":             {Level: 16, Codec: "lzo"},
		"--message-level=1 -d 0": {Codec: "none"},
	} {
		c := parse(t, "core_collector makedumpfile "+args)
		if got := (plan.Dump{Level: c.Level, Codec: c.Codec, Workers: c.Workers}); got != want {
			t.Errorf("%q gave %+v, want %+v", args, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"path", "kdump.conf:1: path has no value"},
		{"\n\nlevle 3", "kdump.conf:3: unknown word levle; did you mean level?"},
		{"failure-action reboot", "did you mean failure_action"},
		{"xyzzy 1", "unknown word xyzzy"},
		{"path /a\npath /b", "kdump.conf:2: path was already given on line 1"},
		{"path a/b", "not absolute"},
		{"path /a/../b", "must not hold .."},
		{"path /a /b", "want one value"},
		{`path "/a`, "quotes"},
		{"ext4 LABEL=x\next4 LABEL=x", "kdump.conf:2: this target is named on line 1 already"},
		{"ext4 LABEL=a\next4 LABEL=b\next4 LABEL=c\next4 LABEL=d\next4 LABEL=e", "kdump.conf:5: this is target 5: at most 4"},
		{"ext4 LABEL=a\npath /a\npath /b", "kdump.conf:3: path was already given on line 2"},
		{"ext4 UUID=1234", "this is no UUID"},
		{"ext4 UUID=", "want one value"},
		{"ext4 LABEL=", "want one value"},
		{"ext4 /etc/passwd", "path under /dev"},
		{"ext4 /dev/../etc/x", "path under /dev"},
		{"ext4 vda1", "path under /dev"},
		{"ext4 UUID=" + uuid + " noatime", "want one value"},
		{"level 32", "number from 0 to 31"},
		{"level -1", "number from 0 to 31"},
		{"level x", "number from 0 to 31"},
		{"codec zstt", "did you mean zstd?"},
		{"codec lz4", "codec lz4 is not known"},
		{"level 1\ncore_collector makedumpfile -d 1", "kdump.conf:2: core_collector and level (line 1)"},
		{"core_collector makedumpfile -d 1\ncodec lzo", "kdump.conf:2: codec and core_collector (line 1)"},
		{"core_collector scp", "core_collector scp is not supported"},
		{"core_collector makedumpfile -c -l", "-l asks for lzo, but zlib"},
		{"core_collector makedumpfile -d 1 -d 2", "-d is given twice"},
		{"core_collector makedumpfile -d", "-d has no value"},
		{"core_collector makedumpfile -d 99", "number from 0 to 31"},
		{"core_collector makedumpfile -F", "flattened"},
		{"core_collector makedumpfile -E", "ELF"},
		{"core_collector makedumpfile -X", "option -X is not supported"},
		{"core_collector makedumpfile --split", "option --split is not supported"},
		{"core_collector makedumpfile vmcore", "file names"},
		{"core_collector makedumpfile --num-threads -3", "number from 0"},
		{"ssh backup.example.org", "want USER@HOST"},
		{"ssh a@b:22", "the port is said by ssh_port"},
		{"ssh a@b:/dir", "the directory by path"},
		{"sshkey /k", "below the line of a target that begins with ssh"},
		{"ssh a@b\nsshkey k", "absolute path"},
		{"ssh a@b\nsshkey /k\nsshkey /l", "sshkey was already given on line 2"},
		{"ssh a@b\nssh_port 0", "from 1 to 65535"},
		{"ssh a@b\nssh a@b", "named on line 1 already"},
		{"s3 https://s3.example.org", "which bucket"},
		{"s3 https://s3.example.org/b/../c", "which bucket"},
		{"s3 ftp://s3.example.org/b", "want https://"},
		{"s3 https://key:secret@s3.example.org/b", "want https://"},
		{"s3 http://a/b\ns3_ca /c", "not asked by https"},
		{"s3 https://192.0.2.1/b\ns3_style virtual", "named by its address"},
		{"s3 https://a/b\ns3_style vhost", "want path or virtual"},
		{"final_action dump_to_rootfs", "is not known"},
		{"final_action dance", "final_action dance"},
		{"default reboot", "failure_action"},
		{"cifs a:/b", "network targets"},
		{"raw UUID=" + uuid, "PARTUUID="},
		{"ext4 PARTUUID=12345678", "this is none"},
		{"ext4 /dev/sda1 subvol=x", "for btrfs"},
		{"btrfs /dev/sda1 subvol=a,b", "comma"},
		{"kdump_pre /bin/x", "no scripts"},
		{"blacklist x", "obsolete"},
		{"ext3 /dev/x", "write ext4"},
		{"extra_modules ../x.ko", "not a module's name"},
		{"host a/b", "host"},
		{"host ..", "host"},
		{"timeout capture", "want timeout NAME DURATION"},
		{"timeout captur 2h", "did you mean capture?"},
		{"timeout stall 0", "whole seconds"},
		{"timeout stall 1500ms", "whole seconds"},
		{"timeout stall 9000h", "whole seconds"},
		{"timeout stall 1s\ntimeout stall 2s", "kdump.conf:2: timeout stall was already given on line 1"},
		{"recipient age1x", "age1x"},
		{"recipient AGE-SECRET-KEY-1QQPQ", "kdump.conf:1: recipient: this is a private key"},
		{"recipient " + ageKey + "\nrecipient " + ageKey, "kdump.conf:2: recipient " + ageKey[:20]},
		{"notify x", "notify: want a URL"},
		{"notify_ca /x", "need notify URL"},
		{"notify http://x\nnotify_token x", "notify_token x is not absolute"},
		{"keep 0", "number from 1"},
		{"keep_free x", "keep_free x: want a size"},
		{"keep_free 99999999999T", "want a size"},
		{"loop_guard 3", "want loop_guard N DURATION"},
		{"loop_guard 0 1h", "number from 1"},
		{"loop_guard 3 60", "want a time"},
		{"path /a\x00b", "not text"},
		{"path \xff", "not text"},
	} {
		_, err := Parse(strings.NewReader(tt.text), "kdump.conf")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
			continue
		}
		if e := new(Error); !errors.As(err, &e) || e.Line < 1 {
			t.Errorf("%q: %v holds no *Error with a line", tt.text, err)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, err := Parse(strings.NewReader("level 99\ncifs a:/b\ncodec q\n"), "k")
	for _, s := range []string{"k:1:", "k:2:", "k:3:"} {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("error %v lacks %s", err, s)
		}
	}
	_, err = Parse(strings.NewReader(strings.Repeat("bogus\n", 500)), "k")
	if err == nil || strings.Count(err.Error(), "\n") > maxErrors || !strings.Contains(err.Error(), "480 more") {
		t.Errorf("500 errors were not cut short: %v", err)
	}
	if _, err := Parse(strings.NewReader(strings.Repeat("#\n", MaxSize)), "k"); err == nil {
		t.Error("a file larger than MaxSize was taken")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ext4 UUID=" + uuid + "\npath /x\ncore_collector makedumpfile -l -d 31")
	f.Add("timeout capture 2h\nextra_modules a,b c\nlevel 1\ncodec none\nhost x")
	f.Add("btrfs LABEL=\"a b\"\nxfs /dev/disk/by-label/a\\x20b")
	f.Add("nfs x\nlevle 1")
	f.Add("nfs a:/b\nnfs_options port=1,timeo=3\nnetwork ip=[::1]::[::2]:64::e:none:9000:1:2 vlan=v7:b bond=b:e,f:miimon=1,mode=4:9000")
	f.Add("nfs4 [2001:db8::1]:/b\nvlan v 7 on b\nbond b on 52:54:00:00:00:01,e mode=1 primary=e\nnetwork dhcp 192.0.2.1/24 gateway 192.0.2.2 on v\nroute 10.0.0.0/8 via 10.0.0.1 on v\nnameserver ::2")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(strings.NewReader(text), "k")
		if err != nil {
			return
		}
		// What is taken makes a plan, save for names that only a host can resolve.
		if len(c.Targets) == 0 || c.DumpToRootfs || slices.ContainsFunc(c.Targets, func(t Target) bool { return t.Device.By == plan.ByPath }) {
			return
		}
		if _, err := c.Plan(Host{Name: "h", Release: "1", Network: knownNetwork}); err != nil {
			t.Fatalf("taken, but makes no plan: %v", err)
		}
	})
}
