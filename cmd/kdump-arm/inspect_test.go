package main

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
)

func image(t *testing.T, files ...archive.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := archive.Write(&b, archive.Zstd, files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInspect(t *testing.T) {
	var doc bytes.Buffer
	p := &plan.Plan{
		Version: plan.Version, Host: "h", Kernel: "6.1.0-test",
		Targets:   []plan.Target{{Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: "x"}, Path: "/"}},
		Dump:      plan.Dump{Level: 31, Codec: "zstd"},
		Deadlines: plan.DefaultDeadlines(), FailureAction: plan.Reboot, FinalAction: plan.Reboot,
	}
	if err := p.Encode(&doc); err != nil {
		t.Fatal(err)
	}
	file := func(name string, mode fs.FileMode, data string) archive.File {
		return archive.File{Name: name, Mode: mode, Data: []byte(data)}
	}
	good := image(t, file("init", 0o755, "program"), file("plan.json", 0o600, doc.String()))

	info, err := inspect(t.Context(), bytes.NewReader(good))
	if err != nil || info.Kernel != "6.1.0-test" || info.Unpacked < uint64(doc.Len()) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, tt := range []struct {
		name, want string
		image      []byte
	}{
		{"cut", "", good[:len(good)/2]},
		{"garbage", "", []byte(strings.Repeat("garbage", 100))},
		{"empty", "", nil},
		{"no plan", "no /plan.json", image(t, file("init", 0o755, "program"))},
		{"no init", "no executable /init", image(t, file("plan.json", 0o600, doc.String()))},
		{"init that does not run", "no executable /init", image(t, file("init", 0o644, "program"), file("plan.json", 0o600, doc.String()))},
		{"bad plan", "/plan.json in it", image(t, file("init", 0o755, "program"), file("plan.json", 0o600, "{}"))},
	} {
		if info, err := inspect(t.Context(), bytes.NewReader(tt.image)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, error %v, want %q", tt.name, info, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := inspect(ctx, bytes.NewReader(good)); err == nil {
		t.Error("inspect goes on after its context ended")
	}
}
