package modules

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokdump/gokdump/initramfs/elftest"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const release = "6.1.0-test"

// ko gives a module of the test kernel.
func ko(modinfo ...string) []byte {
	return elftest.Module(elf.EM_X86_64, append(modinfo, "vermagic="+release+" SMP mod_unload")...)
}

func pack(t *testing.T, ext string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	var err error
	switch ext {
	case "gz":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree lays files out under lib/modules/RELEASE.
func tree(t *testing.T, files map[string][]byte) *Tree {
	t.Helper()
	m := fstest.MapFS{}
	for name, data := range files {
		m["lib/modules/"+release+"/"+name] = &fstest.MapFile{Data: data}
	}
	tr, err := Open(m, release)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func wants(names ...string) []Want {
	var w []Want
	for _, n := range names {
		w = append(w, Want{Name: n, For: "the test"})
	}
	return w
}

func names(s *Set) string {
	var n []string
	for _, m := range s.Modules {
		n = append(n, m.Name)
	}
	return strings.Join(n, " ")
}

func unpacked(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"kernel/virtio/virtio.ko":            ko("depends="),
		"kernel/virtio/virtio_ring.ko.xz":    pack(t, "xz", ko("depends=virtio")),
		"kernel/virtio/virtio_pci.ko.zst":    pack(t, "zst", ko("depends=virtio-ring,virtio", "alias=pci:v00001AF4d*sv*sd*bc*sc*i*")),
		"kernel/block/virtio_blk.ko.gz":      pack(t, "gz", ko("depends=virtio_ring", "alias=virtio:d00000002v*")),
		"kernel/fs/ext4/ext4.ko":             ko("depends=jbd2,mbcache", "softdep=pre: crypto-crc32c", "softdep=post: nice-to-have"),
		"kernel/fs/jbd2.ko":                  ko("depends=", "softdep=pre: crypto-crc32c"),
		"kernel/arch/x86/crypto/crc32c-i.ko": ko("alias=crypto-crc32c", "alias=crc32c"),
		"kernel/crypto/crc32c_generic.ko":    ko("alias=crypto-crc32c", "depends=libcrc32c"),
		"kernel/lib/libcrc32c.ko":            ko(),
		"kernel/drivers/crypto/crc_chip.ko":  ko("alias=crypto-crc32c"),
		"modules.builtin":                    []byte("kernel/fs/mbcache.ko\nkernel/block/sd-mod.ko\n"),
		"modules.builtin.modinfo":            []byte("sha.alias=crypto-sha256\x00sha.file=crypto/sha\x00oddity\x00x=y\x00"),
		"kernel/README":                      []byte("no module"),
	}
}

func TestResolveUnpacked(t *testing.T) {
	for _, tt := range []struct{ want, got string }{
		{"virtio_pci", "virtio virtio_ring virtio_pci"},
		{"virtio-pci virtio_blk", "virtio virtio_ring virtio_pci virtio_blk"},
		{"virtio_blk virtio_pci", "virtio virtio_ring virtio_blk virtio_pci"},
		{"ext4", "libcrc32c crc32c_generic crc32c_i jbd2 ext4"},
		{"sd_mod sha crypto-sha256", ""},
		{"virtio:d00000002v00001AF4", "virtio virtio_ring virtio_blk"},
		{"pci:v00001AF4d00001001sv1sd2bc01sc00i00", "virtio virtio_ring virtio_pci"},
		{"", ""},
	} {
		s, err := tree(t, unpacked(t)).Resolve(wants(strings.Fields(tt.want)...))
		if err != nil {
			t.Errorf("%s: %v", tt.want, err)
			continue
		}
		if names(s) != tt.got {
			t.Errorf("%s: %s, want %s", tt.want, names(s), tt.got)
		}
		for _, m := range s.Modules {
			if _, err := ParseInfo(m.Data); err != nil {
				t.Errorf("%s is not a plain module: %v", m.Name, err)
			}
		}
	}
}

func TestReports(t *testing.T) {
	s, err := tree(t, unpacked(t)).Resolve([]Want{
		{Name: "sd_mod", For: "x"}, {Name: "ahci", For: "x", Optional: true}, {Name: "ext4", For: "the target"}, {Name: "sd-mod"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Builtin, []string{"mbcache", "sd_mod"}) {
		t.Errorf("builtin %v", s.Builtin)
	}
	if len(s.Absent) != 2 || s.Absent[0].Name != "ahci" || s.Absent[1].Name != "nice-to-have" {
		t.Errorf("absent %v", s.Absent)
	}
	for _, m := range s.Modules {
		if m.Name == "jbd2" && m.For != "dependency of ext4" || m.Name == "ext4" && m.For != "the target" {
			t.Errorf("%s is there for %q", m.Name, m.For)
		}
	}
}

func TestInstalled(t *testing.T) {
	files := unpacked(t)
	files["modules.dep"] = []byte("kernel/virtio/virtio.ko:\nkernel/virtio/virtio_ring.ko.xz: kernel/virtio/virtio.ko\n" +
		"kernel/gone/gone.ko: x\nno colon here\n")
	files["modules.alias"] = []byte("# comment\nalias virtio:d00000002v* virtio_ring\nalias odd gone2\n")
	tr := tree(t, files)
	s, err := tr.Resolve(wants("virtio:d00000002v00001AF4"))
	if err != nil || names(s) != "virtio virtio_ring" {
		t.Errorf("modules.alias is not what counts: %v, %v", s, err)
	}
	// Newer than the last depmod.
	if s, err := tr.Resolve(wants("jbd2")); err != nil || !strings.HasSuffix(names(s), "jbd2") {
		t.Errorf("a module that modules.dep lacks: %v, %v", s, err)
	}
	if _, err := tr.Resolve(wants("gone")); err == nil || !strings.Contains(err.Error(), "run depmod "+release) {
		t.Errorf("stale modules.dep: error %v", err)
	}
	if _, err := tr.Resolve(wants("odd")); err == nil || !strings.Contains(err.Error(), "gone2") {
		t.Errorf("stale modules.alias: error %v", err)
	}
}

func TestCyclesAndOrder(t *testing.T) {
	tr := tree(t, map[string][]byte{
		"kernel/a.ko": ko("depends=b"), "kernel/b.ko": ko("depends=a", "softdep=pre: c"), "kernel/c.ko": ko("softdep=pre: b post: a d"),
		"kernel/d.ko": ko("depends=d"),
	})
	s, err := tr.Resolve(wants("a", "b", "c", "d"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(names(s)); len(got) != 4 {
		t.Errorf("order %v: want each once", got)
	}
}

func TestUpdatesWin(t *testing.T) {
	tr := tree(t, map[string][]byte{
		"kernel/x.ko": ko("depends=old"), "updates/dkms/x.ko": ko("depends="), "build/x.ko": ko("depends=bad"),
	})
	s, err := tr.Resolve(wants("x"))
	if err != nil || s.Modules[0].File != "updates/dkms/x.ko" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBad(t *testing.T) {
	good := ko("depends=")
	big := elftest.Module(elf.EM_X86_64, "vermagic="+release, "depends="+strings.Repeat("x", maxInfo))
	cases := map[string]struct {
		data []byte
		want string
	}{
		"empty.ko":     {nil, "empty"},
		"text.ko":      {[]byte("hello"), "not a kernel module"},
		"cut.ko":       {good[:len(good)-100], "not a kernel module"},
		"program.ko":   {elftest.Program(elf.EM_X86_64, ""), "relocatable"},
		"foreign.ko":   {elftest.Module(elf.EM_X86_64, "vermagic=5.10.0 SMP"), `built for kernel "5.10.0", not for 6.1.0-test`},
		"none.ko":      {elftest.Module(elf.EM_X86_64), `built for kernel ""`},
		"arm.ko":       {elftest.Module(elf.EM_AARCH64, "vermagic="+release), "EM_AARCH64"},
		"needy.ko":     {ko("depends=nowhere"), "no module nowhere, neither as a file nor built in (needed for dependency of needy)"},
		"big.ko":       {big, "want at most"},
		"notxz.ko.xz":  {good, "xz"},
		"notgz.ko.gz":  {good, "gzip"},
		"notz.ko.zst":  {good, "unpack"},
		"cutx.ko.xz":   {cut(pack(t, "xz", good)), "unpack"},
		"cutg.ko.gz":   {cut(pack(t, "gz", good)), "unpack"},
		"cutz.ko.zst":  {cut(pack(t, "zst", good)), "unpack"},
		"plain.ko.zst": {pack(t, "zst", []byte("no elf")), "not a kernel module"},
	}
	files := map[string][]byte{"kernel/a_first.ko": good}
	for name, c := range cases {
		files["kernel/"+name] = c.data
	}
	for name, c := range cases {
		tr := tree(t, files)
		if m, err := tr.Machine(); err != nil || m != elf.EM_X86_64 {
			t.Fatal(m, err)
		}
		_, err := tr.Resolve(wants(name[:strings.Index(name, ".")]))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	_, err := tree(t, files).Resolve(wants("one", "two"))
	if nf := (*NotFoundError)(nil); !errors.As(err, &nf) || !strings.Contains(err.Error(), "module two") {
		t.Errorf("not all that is missing is reported: %v", err)
	}
}

func cut(b []byte) []byte { return b[:len(b)/2] }

// A small file that unpacks to more than the limit must end in an error.
func TestBomb(t *testing.T) {
	const limit = 1 << 20
	for _, ext := range []string{"gz", "xz", "zst"} {
		for size, want := range map[int]bool{limit: true, limit + 1: false, 4 << 20: false} {
			_, err := unpack(bytes.NewReader(pack(t, ext, make([]byte, size))), "x.ko."+ext, limit)
			if (err == nil) != want {
				t.Errorf("%s of %d bytes with a limit of %d: error %v", ext, size, limit, err)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	m := fstest.MapFS{}
	for _, dir := range []string{"lib/modules/6.1", "usr/lib/modules/6.12", "lib/modules/5.4"} {
		m[dir+"/modules.builtin"] = &fstest.MapFile{}
	}
	m["lib/modules/leftover/modules.dep"] = &fstest.MapFile{}
	for _, r := range []string{"6.1", "6.12"} {
		if tr, err := Open(m, r); err != nil || tr.Release() != r {
			t.Errorf("Open(%s): %v", r, err)
		}
	}
	_, err := Open(m, "leftover")
	if me := (*MissingError)(nil); !errors.As(err, &me) || fmt.Sprint(me.Found) != "[5.4 6.1 6.12]" {
		t.Errorf("error %v", err)
	}
	for _, r := range []string{"", ".", "..", "a/b"} {
		if _, err := Open(m, r); err == nil || !strings.Contains(err.Error(), "not a kernel release") {
			t.Errorf("Open(%q): %v", r, err)
		}
	}
	if _, err := Open(fstest.MapFS{}, "1"); err == nil || !strings.Contains(err.Error(), "none of any kernel") {
		t.Errorf("empty root: %v", err)
	}
}
