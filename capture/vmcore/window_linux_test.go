package vmcore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func mapped(o *options) { o.mmap = true }

// openMapped opens a file with one segment of n bytes at physical address 0,
// by mmap, as /proc/vmcore.
func openMapped(t *testing.T, n int) (*os.File, *elfSource, *elfReader) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmcore")
	if err := os.WriteFile(path, buildELF(elfLayout{}, testNotes(), seg{data: mem(0, n)}), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	src, err := OpenELF(osFile{f}, mapped)
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return f, src.(*elfSource), r.(*elfReader)
}

func TestMapped(t *testing.T) {
	const n = (windowCount+3)*windowSize + 12345
	_, src, r := openMapped(t, n)
	want := mem(0, n)
	// Over window borders, to and fro over more windows than are kept, and
	// the file's last bytes, which are no whole page.
	p := make([]byte, 10000)
	for i := range 40 {
		pa := (i*7919*4096 + i*windowSize - 5000) % (n - len(p))
		pa = max(pa, 0)
		if err := r.ReadPhys(p, uint64(pa)); err != nil || !bytes.Equal(p, want[pa:pa+len(p)]) {
			t.Fatalf("at %#x: %v", pa, err)
		}
	}
	if err := r.ReadPhys(p, n-10000); err != nil || !bytes.Equal(p, want[n-10000:]) {
		t.Errorf("end: %v", err)
	}
	var maps int
	for _, w := range r.maps.w {
		if w.mem != nil {
			maps++
		}
	}
	if maps != windowCount || src.noMap.Load() {
		t.Errorf("%d windows mapped; mmap given up: %v", maps, src.noMap.Load())
	}
	if got := testing.AllocsPerRun(50, func() { _ = r.ReadPhys(p, 3*windowSize-5000) }); got != 0 {
		t.Errorf("%v allocations for each read", got)
	}
	if err := r.Close(); err != nil || r.maps.w[0].mem != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestMappedFault(t *testing.T) {
	f, src, r := openMapped(t, 2*windowSize)
	p := make([]byte, 4096)
	if err := r.ReadPhys(p, windowSize); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(windowSize + 8192); err != nil { // the mapping stays; its pages go
		t.Fatal(err)
	}
	if err := r.ReadPhys(p, windowSize+3*4096); err == nil {
		t.Error("no error for a page that faults")
	}
	if err := r.ReadPhys(p, windowSize); err != nil || !bytes.Equal(p, mem(windowSize, 4096)) {
		t.Errorf("good page after a fault: %v", err)
	}
	if src.noMap.Load() {
		t.Error("mmap given up because of one page")
	}
}

func TestMapRefused(t *testing.T) {
	_, src, r := openMapped(t, windowSize)
	src.mapFD = 1 << 20 // no such file
	p := make([]byte, 4096)
	if err := r.ReadPhys(p, 4096); err != nil || !bytes.Equal(p, mem(4096, 4096)) {
		t.Errorf("read instead: %v", err)
	}
	if !src.noMap.Load() {
		t.Error("mmap will be tried again")
	}
}

func TestOnlyProcIsMapped(t *testing.T) {
	proc, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	f, src, _ := openMapped(t, 4096)
	if !isProcFile(int(proc.Fd())) || isProcFile(int(f.Fd())) || isProcFile(-1) {
		t.Error("files of procfs are not told from others")
	}
	plain, err := OpenELF(osFile{f})
	if err != nil || plain.(*elfSource).mapFD != -1 || src.mapFD == -1 {
		t.Errorf("a file on disk is mapped: %v", err)
	}
}
