package plan

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() *Plan {
	return &Plan{
		Version: Version,
		Host:    "db1",
		Kernel:  "6.1.0-56-cloud-amd64",
		Modules: []Module{{Name: "virtio_blk", Path: "/modules/virtio_blk.ko"}},
		Targets: []Target{{
			Kind:   KindFS,
			FSType: "ext4",
			Device: Device{By: ByUUID, Value: "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
			Path:   "/var/crash",
		}},
		Dump:          Dump{Level: 31, Codec: "zstd"},
		Deadlines:     DefaultDeadlines(),
		FailureAction: Shell,
		FinalAction:   Reboot,
	}
}

func TestRoundTrip(t *testing.T) {
	var b bytes.Buffer
	want := sample()
	if err := want.Encode(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Deadlines.Device.Duration() != time.Minute {
		t.Errorf("device deadline is %v, want 1m", got.Deadlines.Device.Duration())
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*Plan)
		want string // part of the error
	}{
		{"version", func(p *Plan) { p.Version = 3 }, "version 3"},
		{"no host", func(p *Plan) { p.Host = "" }, "host"},
		{"host with slash", func(p *Plan) { p.Host = "../x" }, "host"},
		{"no kernel", func(p *Plan) { p.Kernel = "" }, "kernel"},
		{"module path", func(p *Plan) { p.Modules[0].Path = "x.ko" }, "module 0"},
		{"fs", func(p *Plan) { p.Targets[0].FSType = "nfs" }, "file system"},
		{"path", func(p *Plan) { p.Targets[0].Path = "/a/../b" }, "target path"},
		{"uuid", func(p *Plan) { p.Targets[0].Device.Value = "" }, "empty uuid"},
		{"dev", func(p *Plan) { p.Targets[0].Device = Device{By: ByPath, Value: "/etc/passwd"} }, "under /dev"},
		{"by", func(p *Plan) { p.Targets[0].Device.By = "serial" }, "serial"},
		{"no target", func(p *Plan) { p.Targets = nil }, "0 targets"},
		{"kind", func(p *Plan) { p.Targets[0].Kind = "tape" }, "tape"},
		{"stray part", func(p *Plan) { p.Targets[0].NFS = new(NFS) }, "nfs part"},
		{"no part", func(p *Plan) { p.Targets[0].Kind = KindSSH }, "ssh part"},
		{"nfs version", func(p *Plan) {
			p.Targets[0] = Target{Kind: KindNFS, Path: "/", NFS: &NFS{Host: "h", Export: "/e", Version: "2"}}
		}, `version "2"`},
		{"ssh key", func(p *Plan) {
			p.Targets[0] = Target{Kind: KindSSH, Path: "/", SSH: &SSH{Host: "h", Port: 22, User: "u", Key: "k"}}
		}, `"k" is not among`},
		{"s3 endpoint", func(p *Plan) {
			p.Targets[0] = Target{Kind: KindS3, S3: &S3{Endpoint: "ftp://x", Region: "r", Bucket: "b"}}
		}, "ftp://x"},
		{"address", func(p *Plan) {
			p.Targets[0] = Target{Kind: KindNFS, Path: "/", NFS: &NFS{Host: "h", Addresses: []string{"1.2.3"}, Export: "/e", Version: "3"}}
		}, "1.2.3"},
		{"file", func(p *Plan) { p.Files = []string{"../x"} }, "plain name"},
		{"file twice", func(p *Plan) { p.Files = []string{"x", "x"} }, "twice"},
		{"level", func(p *Plan) { p.Dump.Level = 32 }, "level 32"},
		{"codec", func(p *Plan) { p.Dump.Codec = "lz4" }, "lz4"},
		{"workers", func(p *Plan) { p.Dump.Workers = -1 }, "workers"},
		{"deadline", func(p *Plan) { p.Deadlines.Stall = 0 }, "stall"},
		{"action", func(p *Plan) { p.FinalAction = "dance" }, "final_action"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sample()
			tt.do(p)
			err := p.Validate()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if p.Encode(new(bytes.Buffer)) == nil {
				t.Error("Encode took it")
			}
		})
	}
}

func TestDecodeStrict(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Encode(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	for name, text := range map[string]string{
		"empty":    "",
		"trailing": good + "{}",
		"unknown":  strings.Replace(good, `"host"`, `"hots"`, 1),
		"seconds":  strings.Replace(good, `"stall": 120`, `"stall": -1`, 1),
		"cut":      good[:len(good)/2],
	} {
		if _, err := Decode(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := sample().Encode(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	b.Reset()
	remote := sample()
	remote.Network = sampleNetwork()
	remote.Targets = append(remote.Targets, Target{Kind: KindNFS, NFS: &NFS{Host: "h", Export: "/e", Version: "4.2"}, Path: "/"})
	if err := remote.Encode(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"version":2,"deadlines":{"device":99999999999}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Decode(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := p.Encode(&out); err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
	})
}

func TestFeatures(t *testing.T) {
	p := sample()
	if f := p.Features(); len(f) != 0 {
		t.Errorf("a disk needs %v", f)
	}
	p.Files = []string{"key", "hosts"}
	p.Targets = append(p.Targets, Target{Kind: KindSSH, Path: "/", SSH: &SSH{Host: "h", Port: 22, User: "u", Key: "key", KnownHosts: "hosts"}})
	p.Network = sampleNetwork()
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{FeatureNet, FeatureSSH}, p.Features()); d != "" {
		t.Error(d)
	}
}
