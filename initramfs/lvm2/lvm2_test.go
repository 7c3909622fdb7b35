package lvm2

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/initramfs/lvm2/lvmtest"
	"github.com/google/go-cmp/cmp"
)

func TestRealVolumes(t *testing.T) {
	one, err := ReadVolume(bytes.NewReader(lvmtest.Volume(t, "pv0")))
	if err != nil {
		t.Fatal(err)
	}
	two, err := ReadVolume(bytes.NewReader(lvmtest.Volume(t, "pv1")))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Text, two.Text) || one.ID == two.ID {
		t.Fatal("the two volumes do not tell the same, or are the same")
	}
	g, err := ParseGroup(one.Text)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "vg-a" || g.ExtentSize != 8192 || len(g.ID) != 32 {
		t.Errorf("group %q %q, extents of %d sectors", g.Name, g.ID, g.ExtentSize)
	}
	name, err := g.Find(lvmtest.Root)
	if err != nil || name != "root" {
		t.Fatalf("%q, %v", name, err)
	}
	got, err := g.Linear(name)
	if err != nil {
		t.Fatal(err)
	}
	const extent, start = 8192, 2048
	want := []Piece{
		{Start: 0, Length: 8 * extent, PV: two.ID, Offset: start},
		{Start: 8 * extent, Length: 7 * extent, PV: two.ID, Offset: start + 10*extent},
		{Start: 15 * extent, Length: 2 * extent, PV: one.ID, Offset: start + 10*extent},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if name, err = g.Find(lvmtest.Stripes); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Linear(name); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "2 stripes") {
		t.Errorf("striped volume: %v", err)
	}
	if _, err := g.Find("none"); !errors.Is(err, ErrNoVolume) {
		t.Errorf("a volume that is not there: %v", err)
	}
}

func TestDamagedVolume(t *testing.T) {
	good := lvmtest.Volume(t, "pv0")
	v, err := ReadVolume(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Index(good, v.Text)
	for name, do := range map[string]func(b []byte) []byte{
		"label":   func(b []byte) []byte { b[512+300]++; return b },
		"header":  func(b []byte) []byte { b[4096+100]++; return b },
		"text":    func(b []byte) []byte { b[text+50]++; return b },
		"cut":     func(b []byte) []byte { return b[:text] },
		"nothing": func(b []byte) []byte { return make([]byte, 4096) },
		"short":   func(b []byte) []byte { return b[:100] },
	} {
		if v, err := ReadVolume(bytes.NewReader(do(bytes.Clone(good)))); err == nil {
			t.Errorf("%s: no error, %d bytes", name, len(v.Text))
		}
	}
}

// group is the least metadata, with the volumes given.
func group(lvs string) string {
	return `# made for a test
vg { id = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg" seqno = 7
 extent_size = 8
 physical_volumes { pv0 { id = "p0" pe_start = 2048 pe_count = 100 } pv1 { id = "p1" pe_start = 64 pe_count = 50 } }
 logical_volumes { ` + lvs + ` } }
contents = "Text Format Volume Group"
version = 1`
}

func lv(name, more string) string {
	return name + ` { id = "id-` + name + `" status = ["READ", "WRITE", "VISIBLE"] segment_count = 1 segment1 { start_extent = 0 extent_count = 10 ` + more + ` } }`
}

const linear = `type = "striped" stripe_count = 1 stripes = ["pv0", 5]`

func TestUnsupported(t *testing.T) {
	for name, tt := range map[string]struct{ lvs, want string }{
		"thin":            {lv("v", `type = "thin" thin_pool = "pool" device_id = 1`), "thin"},
		"cache":           {lv("v", `type = "cache" cache_pool = "p"`), "cache"},
		"raid1":           {lv("v", `type = "raid1" device_count = 2 raids = ["a", "b"]`), "raid1"},
		"vdo":             {lv("v", `type = "vdo" vdo_pool = "a"`), "vdo"},
		"sub-volume":      {lv("v", `type = "striped" stripe_count = 1 stripes = ["other", 0]`), "no physical volume"},
		"origin":          {lv("v", linear) + lv("s", `type = "snapshot" chunk_size = 8 origin = "v" cow_store = "c"`), "c is a snapshot of it"},
		"pvmove":          {strings.Replace(lv("v", linear), "VISIBLE", "LOCKED", 1), "LOCKED"},
		"beyond":          {lv("v", `type = "striped" stripe_count = 1 stripes = ["pv1", 45]`), "10 extents from 45"},
		"no such segment": {strings.Replace(lv("v", linear), "segment1", "segment2", 1), "start_extent"},
		"gap":             {strings.Replace(lv("v", linear), "start_extent = 0", "start_extent = 1", 1), "starts at sector 8"},
		"negative":        {strings.Replace(lv("v", linear), "extent_count = 10", "extent_count = -1", 1), "extent_count"},
	} {
		g, err := ParseGroup([]byte(group(tt.lvs)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p, err := g.Linear("v"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, p, err, tt.want)
		}
	}
	g, err := ParseGroup([]byte(group(lv("v", linear))))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := g.Linear("v"); err != nil || len(p) != 1 || p[0] != (Piece{Length: 80, PV: "p0", Offset: 2048 + 40}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestBadText(t *testing.T) {
	for _, text := range []string{
		"", "vg", "vg {", `vg { id = "a }`, "vg = [1, 2", "a = x", "a { } a { }", `vg { id = "x" }`,
		`vg { id = "x" seqno = 1 extent_size = 0 }`, `vg { id = "x" seqno = 99999999999999999999 }`,
		strings.Repeat("a {", 100), "}",
	} {
		if g, err := ParseGroup([]byte(text)); err == nil {
			t.Errorf("%q: taken as %+v", text, g)
		}
	}
}

func FuzzParseGroup(f *testing.F) {
	f.Add([]byte(group(lv("v", linear))))
	f.Add([]byte(group(lv("v", `type = "thin"`))))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := ParseGroup(text)
		if err != nil {
			return
		}
		for _, n := range g.logical.names {
			pieces, err := g.Linear(n)
			if err != nil {
				continue
			}
			var next uint64
			for _, p := range pieces {
				if p.Start != next || p.Length == 0 || p.Length > maxSectors || p.Offset > 2*maxSectors {
					t.Fatalf("%s: impossible piece %+v", n, p)
				}
				next += p.Length
			}
		}
	})
}

func FuzzReadVolume(f *testing.F) {
	f.Add(lvmtest.Volume(f, "pv0")[:8192])
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := ReadVolume(bytes.NewReader(b)); err == nil && len(v.Text) == 0 {
			t.Error("no error and no text")
		}
	})
}
