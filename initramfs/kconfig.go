package initramfs

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/initramfs/archive"
)

// maxConfig bounds a kernel's configuration, in bytes; real ones have 0.3 MB.
const maxConfig = 16 << 20

// Unpackers is what a kernel can unpack by itself.
type Unpackers struct {
	// Known are the compressions, in the order of preference; None is always there.
	Known []archive.Compression
	// Source is the file that says so; empty when none was found, and Known
	// then holds what practically every kernel has.
	Source string
}

// Unpacks reads from the kernel's configuration which compressions it unpacks:
// boot/config-RELEASE (Debian, SUSE), lib/modules/RELEASE/config (Fedora), or for the running
// kernel proc/config.gz, all under root.
func Unpacks(root fs.FS, release string, running bool) (Unpackers, error) {
	places := []string{"boot/config-" + release, "lib/modules/" + release + "/config", "usr/lib/modules/" + release + "/config"}
	if running {
		places = append(places, "proc/config.gz")
	}
	for _, name := range places {
		f, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Unpackers{}, fmt.Errorf("kernel configuration: %w", err)
		}
		defer f.Close()
		r := io.Reader(f)
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return Unpackers{}, fmt.Errorf("kernel configuration: %s: %w", name, err)
			}
		}
		set, err := options(io.LimitReader(r, maxConfig))
		if err != nil {
			return Unpackers{}, fmt.Errorf("kernel configuration: %s: %w", name, err)
		}
		u := Unpackers{Source: "/" + name}
		for _, c := range archive.Compressions() {
			if o := c.KernelOption(); o == "" || set[o] {
				u.Known = append(u.Known, c)
			}
		}
		return u, nil
	}
	// gzip is on by default since there are kernel configurations.
	return Unpackers{Known: []archive.Compression{archive.Gzip, archive.None}}, nil
}

// options collects what is set to y.
func options(r io.Reader) (map[string]bool, error) {
	set := map[string]bool{}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		if name, ok := strings.CutSuffix(strings.TrimSpace(sc.Text()), "=y"); ok {
			set[name] = true
		}
	}
	return set, sc.Err()
}

// Best is the most preferred compression.
func (u Unpackers) Best() archive.Compression { return u.Known[0] }

// Check refuses a compression that the kernel is known not to unpack.
func (u Unpackers) Check(c archive.Compression) error {
	if u.Source == "" || slices.Contains(u.Known, c) {
		return nil
	}
	var names []string
	for _, k := range u.Known {
		names = append(names, string(k))
	}
	return fmt.Errorf("the kernel cannot unpack %s: %s does not set %s; it unpacks %s", c, u.Source, c.KernelOption(), strings.Join(names, ", "))
}
