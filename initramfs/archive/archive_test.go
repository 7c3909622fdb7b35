package archive

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
)

// sample has files of all lengths modulo 4, one that does not shrink and one that
// is larger than a block of every compression.
func sample() []File {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_001)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	return []File{
		{Name: "init", Mode: 0o755, Data: bytes.Repeat([]byte("program "), 200_000)},
		{Name: "plan.json", Mode: 0o600, Data: []byte("{}\n")},
		{Name: "modules/ext4.ko", Mode: 0o644, Data: noise},
		{Name: "modules/a/b.ko", Mode: 0o644, Data: []byte("12")},
		{Name: "empty", Mode: 0o644, Data: nil},
		{Name: "dev", Mode: fs.ModeDir | 0o755},
		{Name: "modules-x", Mode: 0o644, Data: []byte("1")},
	}
}

func pack(t *testing.T, c Compression, files []File) []byte {
	t.Helper()
	var b bytes.Buffer
	st, err := Write(&b, c, files)
	if err != nil {
		t.Fatal(c, err)
	}
	if st.Packed != int64(b.Len()) || st.Plain < 1_900_000 && len(files) > 5 {
		t.Errorf("%s: stats %+v for %d bytes", c, st, b.Len())
	}
	return b.Bytes()
}

func unpack(r io.Reader) (Compression, []File, error) {
	a, err := NewReader(r)
	if err != nil {
		return "", nil, err
	}
	defer a.Close()
	var out []File
	for {
		f, err := a.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return a.Compression(), out, nil
		}
		if err != nil {
			return a.Compression(), out, err
		}
		out = append(out, f)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range Compressions() {
		got, files, err := unpack(bytes.NewReader(pack(t, c, sample())))
		if err != nil || got != c {
			t.Errorf("%s: %s, %v", c, got, err)
			continue
		}
		byName := map[string]File{"modules": {Mode: fs.ModeDir | 0o755}, "modules/a": {Mode: fs.ModeDir | 0o755}}
		for _, f := range sample() {
			byName[f.Name] = f
		}
		var order []string
		for _, f := range files {
			order = append(order, f.Name)
			if w := byName[f.Name]; f.Mode != w.Mode || !bytes.Equal(f.Data, w.Data) {
				t.Errorf("%s: %s: mode %v, %d bytes, not what was packed", c, f.Name, f.Mode, len(f.Data))
			}
		}
		if got := strings.Join(order, " "); got != "dev empty init modules modules-x modules/a modules/a/b.ko modules/ext4.ko plan.json" {
			t.Errorf("%s: order %s", c, got)
		}
	}
}

func TestReproducible(t *testing.T) {
	for _, c := range Compressions() {
		first := pack(t, c, sample())
		files := sample()
		rand.New(rand.NewPCG(3, 4)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		if !bytes.Equal(first, pack(t, c, files)) {
			t.Errorf("%s: another order gives another image", c)
		}
	}
}

func TestFirstHeader(t *testing.T) {
	b := pack(t, None, []File{{Name: "init", Mode: 0o755, Data: []byte("abc")}})
	want := "070701" + "00000001" + "000081ED" + strings.Repeat("0", 16) + "00000001" + "00000000" + "00000003" +
		strings.Repeat("0", 32) + "00000005" + "00000000" + "init\x00\x00abc\x00" + "070701"
	if got := string(b[:len(want)]); got != want {
		t.Errorf("newc header\n%q, want\n%q", got, want)
	}
	if len(b)%4 != 0 {
		t.Errorf("archive of %d bytes is not a whole number of words", len(b))
	}
}

func TestRefused(t *testing.T) {
	for name, f := range map[string][]File{
		"absolute":  {{Name: "/init"}},
		"parent":    {{Name: "../init"}},
		"inner":     {{Name: "a/../init"}},
		"dot":       {{Name: "."}},
		"empty":     {{Name: ""}},
		"slash":     {{Name: "a/"}},
		"nul":       {{Name: "a\x00b"}},
		"trailer":   {{Name: "TRAILER!!!"}},
		"long":      {{Name: strings.Repeat("x", 5000)}},
		"twice":     {{Name: "a"}, {Name: "a"}},
		"symlink":   {{Name: "a", Mode: fs.ModeSymlink}},
		"device":    {{Name: "a", Mode: fs.ModeDevice}},
		"full dir":  {{Name: "a", Mode: fs.ModeDir, Data: []byte("x")}},
		"file, dir": {{Name: "a"}, {Name: "a/b"}},
	} {
		if _, err := Write(io.Discard, None, f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Write(io.Discard, "brotli", nil); err == nil {
		t.Error("brotli: no error")
	}
}

// A disk that is full must end in its error, in any compression.
func TestWriteError(t *testing.T) {
	for _, c := range Compressions() {
		_, err := Write(&full{left: 1000}, c, sample())
		if !errors.Is(err, errFull) {
			t.Errorf("%s: error %v", c, err)
		}
	}
}

var errFull = errors.New("full")

type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return 0, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// However an image is cut, it is never taken for a whole one.
func TestTruncated(t *testing.T) {
	files := []File{{Name: "init", Mode: 0o755, Data: []byte("abc")}, {Name: "TRAILER!!", Data: []byte("x")}, {Name: "xTRAILER!!!", Data: []byte("x")}}
	for _, c := range Compressions() {
		whole := pack(t, c, files)
		for n := range len(whole) {
			_, got, err := unpack(bytes.NewReader(whole[:n]))
			if err == nil && n < len(whole)-8 { // some formats end in padding or a checksum of their own
				t.Errorf("%s cut to %d of %d bytes: taken as whole with %d files", c, n, len(whole), len(got))
			}
		}
	}
}

func TestGarbage(t *testing.T) {
	plain := pack(t, None, sample())
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "0 bytes"},
		"short":      {[]byte("0707"), "4 bytes"},
		"text":       {[]byte("hello world"), "not an initramfs image"},
		"modern lz4": {[]byte("\x04\x22\x4d\x18......"), "modern frame"},
		"gzip":       {[]byte("\x1f\x8b......."), "gzip"},
		"xz":         {[]byte("\xfd7zXZ\x00.................."), "xz"},
		"zstd":       {[]byte("\x28\xb5\x2f\xfd............"), "entry 1"},
		"lz4":        {[]byte("\x02\x21\x4c\x18\xff\xff\xff\x7f......"), "entry 1"},
		"tail":       {append(bytes.Clone(plain), "more"...), "something follows its end"},
		"no name":    {[]byte("070701" + strings.Repeat("0", 104)), "header"},
		"negative":   {[]byte("070701" + "00000001" + "000081ED" + strings.Repeat("0", 32) + "-0000001" + strings.Repeat("0", 32) + "00000002" + "00000000" + "a\x00"), "-1 bytes"},
		"kind":       {[]byte("070701" + "00000001" + "000031ED" + strings.Repeat("0", 72) + "00000002" + "00000000" + "a\x00"), "no kind"},
	} {
		_, _, err := unpack(bytes.NewReader(tt.data))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	if _, _, err := unpack(bytes.NewReader(append(bytes.Clone(plain), make([]byte, 512)...))); err != nil {
		t.Errorf("zeros after the end, as cpio writes them: %v", err)
	}
}

func TestBrokenCompressionIsSeen(t *testing.T) {
	k := newChecker(Gzip)
	var good bytes.Buffer
	if _, err := Write(&good, Gzip, sample()[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := k.in.Write(good.Bytes()); err != nil {
		t.Fatal(err)
	}
	k.want.Write([]byte("something else"))
	if err := k.finish(nil); err == nil || !strings.Contains(err.Error(), "unpacks to something else") {
		t.Errorf("error %v", err)
	}
}

func TestParseCompression(t *testing.T) {
	for _, c := range Compressions() {
		if got, err := ParseCompression(string(c)); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCompression("lzma"); err == nil || !strings.Contains(err.Error(), "zstd, gzip, xz, lz4, none") {
		t.Errorf("error %v", err)
	}
	if LZ4.KernelOption() != "CONFIG_RD_LZ4" || None.KernelOption() != "" {
		t.Error("kernel options are wrong")
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range Compressions() {
		var b bytes.Buffer
		if _, err := Write(&b, c, []File{{Name: "init", Mode: 0o755, Data: []byte("abc")}, {Name: "d/e", Data: []byte("x")}}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		_, files, err := unpack(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What is read as whole and could have been ours must be writable again.
		for _, f := range files {
			if f.Mode.IsRegular() && len(f.Data) > MaxSize {
				t.Fatalf("%q has %d bytes", f.Name, len(f.Data))
			}
		}
	})
}
