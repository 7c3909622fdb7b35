package blkid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// List probes every block device but loop, ram and zram, sorted by name.
// Devices that cannot be read are in the list with their error. The error is
// that of reading the directory, or ctx's.
func (f *Finder) List(ctx context.Context) ([]Seen, error) {
	names, err := dirNames(f.sys())
	if err != nil {
		return nil, fmt.Errorf("list block devices: %w", err)
	}
	if f.known == nil {
		f.known, f.pending = map[string]Seen{}, map[string]<-chan Seen{}
	}
	var seen []Seen
	for _, name := range names {
		if skipped(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return seen, err
		}
		s := f.describe(name)
		if s.Size > 0 {
			s = f.probeWithin(ctx, s)
		}
		seen = append(seen, s)
	}
	// A partition's own name stands in the table of its disk.
	tables := map[string]PartTable{}
	for _, s := range seen {
		tables[s.Name] = s.Table
	}
	for i, s := range seen {
		seen[i].Partition = tables[s.Disk].Part(s.Part)
	}
	return seen, nil
}

// dirNames are the names in a directory, sorted. os.ReadDir has a sort of its own, of
// 14 KB.
func dirNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// describe gives what sysfs knows of a device.
func (f *Finder) describe(name string) Seen {
	dir := filepath.Join(f.sys(), name)
	// "!" stands for the slash in names such as cciss/c0d0.
	s := Seen{Name: name, Path: filepath.Join(f.dev(), strings.ReplaceAll(name, "!", "/"))}
	// The kernel counts in 512-byte sectors, whatever the device's own are.
	if n, err := strconv.ParseInt(readLine(filepath.Join(dir, "size")), 10, 64); err == nil && n > 0 && n <= maxSectors {
		s.Size = n * 512
	}
	if n, err := strconv.Atoi(readLine(filepath.Join(dir, "partition"))); err == nil && n > 0 {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			s.Disk, s.Part = filepath.Base(filepath.Dir(real)), n
		}
	}
	if s.Disk == "" {
		s.IDs = f.diskIDs(name)
		s.sector, _ = strconv.Atoi(readLine(filepath.Join(dir, "queue", "logical_block_size")))
	}
	s.Holders, _ = dirNames(filepath.Join(dir, "holders")) // a device may have none
	return s
}

// maxSectors keeps a size in bytes within an int64.
const maxSectors = 1<<54 - 1

// probeWithin reads what s holds, in a goroutine of its own since a read from a
// broken disk may never return.
func (f *Finder) probeWithin(ctx context.Context, s Seen) Seen {
	if k, ok := f.known[s.Name]; ok && k.Size == s.Size {
		k.Holders = s.Holders
		return k
	}
	ch := f.pending[s.Name]
	timeout := f.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if ch == nil {
		c := make(chan Seen, 1)
		probe := f.probe
		if probe == nil {
			probe = probePath
		}
		go func(s Seen) {
			s.Infos, s.Err = probe(s.Path, s.Size)
			if s.Disk == "" {
				s.Table = tableOf(s.Path, s.Size, s.sector)
			}
			c <- s
		}(s)
		ch = c
	} else {
		timeout = 0 // it had its time; take only an answer that is there
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case got := <-ch:
		return f.answered(got)
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case got := <-ch:
		return f.answered(got)
	default:
	}
	f.pending[s.Name] = ch
	s.Err = errors.New("does not answer")
	return s
}

func (f *Finder) answered(s Seen) Seen {
	delete(f.pending, s.Name)
	if s.Err == nil {
		f.known[s.Name] = s
	}
	return s
}

// probePath opens a device and reads it. size is what sysfs said.
func probePath(path string, size int64) ([]Info, error) {
	file, err := os.OpenFile(path, os.O_RDONLY, 0) // close-on-exec is Go's default
	if err != nil {
		return nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode()&(fs.ModeCharDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDir) != 0 {
		return nil, fmt.Errorf("%s is not a block device", path)
	}
	return probeAll(sized{file, size})
}

func tableOf(path string, size int64, sector int) PartTable {
	file, err := os.Open(path)
	if err != nil {
		return PartTable{}
	}
	defer file.Close()
	return ReadPartTable(file, size, sector)
}

// sized is a file whose length is known from elsewhere: stat(2) of a block
// device gives 0.
type sized struct {
	*os.File
	size int64
}

func (s sized) Size() int64 { return s.size }

// skipped tells which devices can never be a dump's target.
func skipped(name string) bool {
	for _, p := range []string{"loop", "ram", "zram"} {
		if rest, ok := strings.CutPrefix(name, p); ok && rest != "" && strings.Trim(rest, "0123456789p") == "" {
			return true
		}
	}
	return false
}

func (f *Finder) sys() string {
	if f.Sys != "" {
		return f.Sys
	}
	return "/sys/class/block"
}

func (f *Finder) dev() string {
	if f.Dev != "" {
		return f.Dev
	}
	return "/dev"
}

// readLine gives a sysfs attribute without its newline; "" when it is not there.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
