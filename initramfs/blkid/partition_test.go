package blkid

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
)

// Disks of 4 MiB as sfdisk of util-linux 2.38 partitioned them.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func table(b []byte) PartTable { return ReadPartTable(bytes.NewReader(b), int64(len(b)), 512) }

func TestPartTable(t *testing.T) {
	const second = "00000000-0000-0000-0000-0000000000a1"
	want := Partition{UUID: "aabbccdd-eeff-0011-2233-445566778899", Label: "crash dümps"}
	gpt := fixture(t, "gpt")
	spoil := func(offs ...int) []byte {
		b := bytes.Clone(gpt)
		for _, o := range offs {
			b[o]++
		}
		return b
	}
	last := len(gpt) - 512
	for name, b := range map[string][]byte{
		"whole": gpt, "first header damaged": spoil(512 + 60), "first entries damaged": spoil(1024 + 20), "copy damaged": spoil(last + 30),
	} {
		got := table(b)
		if got.Type != "gpt" || got.Part(1) != want || got.Part(2) != (Partition{UUID: second}) || got.Part(3) != (Partition{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := table(spoil(512+60, last+30)); got.Type != "" {
		t.Errorf("both damaged: %+v", got)
	}
	mbr := table(fixture(t, "mbr"))
	if mbr.Type != "dos" || mbr.Part(1).UUID != "8f0c1a2b-01" || mbr.Part(5).UUID != "8f0c1a2b-05" || mbr.Part(0).UUID != "" {
		t.Errorf("MBR: %+v", mbr)
	}
	if got := table(make([]byte, 4096)); got.Type != "" {
		t.Errorf("zeros: %+v", got)
	}
	if got := ReadPartTable(bytes.NewReader(nil), 0, 0); got.Type != "" {
		t.Errorf("nothing: %+v", got)
	}
}

func TestFindPartition(t *testing.T) {
	m := newMachine(t)
	m.add("vda", "", image(fixture(t, "gpt")))
	m.add("vda1", "vda", nil)
	m.check(os.WriteFile(filepath.Join(m.devices, "vda", "vda1", "size"), []byte("2048\n"), 0o644))
	m.check(os.WriteFile(filepath.Join(m.devices, "vda", "serial"), []byte("X  1 \n"), 0o644))
	m.add("vdb", "", image(fixture(t, "mbr")))
	m.add("vdb1", "vdb", image(fixture(t, "mbr")))
	m.check(os.Mkdir(filepath.Join(m.devices, "vdb", "device"), 0o755))
	m.check(os.WriteFile(filepath.Join(m.devices, "vdb", "device", "vpd_pg80"), []byte("\x00\x80\x00\x04T 12and more"), 0o644))
	for _, tt := range []struct {
		d    plan.Device
		want string
	}{
		{plan.Device{By: plan.ByPartUUID, Value: "AABBCCDD-EEFF-0011-2233-445566778899"}, "vda1"},
		{plan.Device{By: plan.ByPartLabel, Value: "crash dümps"}, "vda1"},
		{plan.Device{By: plan.ByPartUUID, Value: "8f0c1a2b-01"}, "vdb1"},
		{plan.Device{By: plan.ByDisk, Value: "serial:X 1"}, "vda"},
		{plan.Device{By: plan.ByDisk, Value: "serial:X 1", Part: 1}, "vda1"},
		{plan.Device{By: plan.ByDisk, Value: "serial:X 1", Part: 2}, ""},
		{plan.Device{By: plan.ByDisk, Value: "serial:X 2"}, ""},
		{plan.Device{By: plan.ByDisk, Value: "device/vpd_pg80:T 12"}, "vdb"},
		{plan.Device{By: plan.ByPartUUID, Value: "8f0c1a2b-02"}, ""},
	} {
		got, _, err := m.finder().Find(t.Context(), tt.d)
		if (tt.want == "") != (err != nil) || tt.want != "" && got != filepath.Join(m.dev, tt.want) {
			t.Errorf("%+v: %s, %v; want %s", tt.d, got, err, tt.want)
		}
	}
}

func TestSerialIn(t *testing.T) {
	for page, want := range map[string]string{
		"": "", "\x00\x80\x00": "", "\x00\x80\x00\x05X1": "X1", "\x00\x80\x00\x01X1": "X", "\x00\x83\x00\x02X1": "", "\x00\x80\xff\xffX": "X",
	} {
		if got := serialIn(page); got != want {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
}

func FuzzPartTable(f *testing.F) {
	f.Add(fixture(f, "gpt")[:17<<10])
	f.Add(fixture(f, "mbr")[:512])
	f.Fuzz(func(t *testing.T, b []byte) {
		for n, p := range table(b).gpt {
			if n < 1 || n > maxGPTEntries || len(p.UUID) != 0 && len(p.UUID) != 36 {
				t.Errorf("partition %d: %+v", n, p)
			}
		}
	})
}
