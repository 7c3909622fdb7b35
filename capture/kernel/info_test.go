package kernel

import (
	"strings"
	"testing"
)

func TestParseInfo(t *testing.T) {
	i, err := ParseInfo([]byte("OSRELEASE=6.1.0-x\nBUILD-ID=abc\nPAGESIZE=4096\nSYMBOL(init_top_pgt)=ffffffff82a10000\n" +
		"OFFSET(page.flags)=0\nSIZE(page)=64\nLENGTH(zone.free_area)=11\nOFFSET(gone)=-1\n" +
		"NUMBER(phys_base)=-94371840\nNUMBER(VMALLOC_START)=0xffffa00000000000\nNUMBER(big)=18446744073709551614\n" +
		"NUMBER(none)=-1\nCRASHTIME=1795185696\n\nno equals sign\nSIZE(list)=sixteen\nSIZE(page)=65\nSIZE(page)=64\n\x00junk"))
	if err != nil {
		t.Fatal(err)
	}
	if i.Release != "6.1.0-x" || i.PageSize != 4096 || i.CrashTime != 1795185696 || i.BuildID != "abc" {
		t.Errorf("got %+v", i)
	}
	for _, u := range []struct {
		name string
		get  func(string) (uint64, bool)
		want uint64
		ok   bool
	}{
		{"init_top_pgt", i.Symbol, 0xffffffff82a10000, true},
		{"page.flags", i.Offset, 0, true},
		{"gone", i.Offset, 0, false},
		{"page", i.Size, 0, false}, // it has two values
		{"list", i.Size, 0, false},
		{"zone.free_area", i.Length, 11, true},
		{"page", i.Length, 0, false},
	} {
		if v, ok := u.get(u.name); v != u.want || ok != u.ok {
			t.Errorf("%s = %#x, %v; want %#x, %v", u.name, v, ok, u.want, u.ok)
		}
	}
	for name, want := range map[string]int64{"phys_base": -94371840, "VMALLOC_START": -0x600000000000, "big": -2} {
		if v, ok := i.Number(name); !ok || v != want {
			t.Errorf("NUMBER(%s) = %d, %v; want %d", name, v, ok, want)
		}
	}
	if v, ok := i.Number("none"); ok {
		t.Errorf("NUMBER(none) = %d, want absent", v)
	}
	if got := strings.Join(i.Malformed, "|"); got != "no equals sign|SIZE(list)=sixteen|SIZE(page)=65" {
		t.Errorf("Malformed = %q", got)
	}
}

func TestParseInfoErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "no OSRELEASE"},
		{"OSRELEASE=6.1\n", "PAGESIZE"},
		{"OSRELEASE=6.1\nPAGESIZE=many\n", "not a number"},
		{"OSRELEASE=6.1\nPAGESIZE=4097\n", "power of two"},
		{"OSRELEASE=6.1\nPAGESIZE=1048576\n", "power of two"},
		{strings.Repeat("x", maxInfo+1), "longer than"},
	} {
		if _, err := ParseInfo([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: error %v, want %q", tt.text, err, tt.want)
		}
	}
	i, _ := ParseInfo([]byte("OSRELEASE=6\nPAGESIZE=4096\n" + strings.Repeat("junk\n", 100)))
	if len(i.Malformed) != maxMalformed {
		t.Errorf("%d malformed lines kept", len(i.Malformed))
	}
}

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct {
		release      string
		major, minor int
		want         bool
	}{
		{"6.1.0-56-cloud", 6, 1, true}, {"6.1.0", 6, 2, false}, {"6.10.3", 6, 9, true}, {"5.19", 6, 0, false}, {"next", 6, 6, true},
	} {
		if got := (&Info{Release: tt.release}).atLeast(tt.major, tt.minor); got != tt.want {
			t.Errorf("%s at least %d.%d: %v", tt.release, tt.major, tt.minor, got)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte("OSRELEASE=6.1\nPAGESIZE=4096\nNUMBER(a)=0xff\nSYMBOL(b)=ff\nSIZE(c)=-1\n"))
	f.Add([]byte("OSRELEASE=\nPAGESIZE=99999999999999999999\n=\n()=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := ParseInfo(text)
		if err != nil {
			return
		}
		if i.PageSize < 4096 || i.PageSize > 65536 || len(i.Malformed) > maxMalformed {
			t.Errorf("accepted %+v", i)
		}
	})
}
