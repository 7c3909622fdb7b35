package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Kernel is a Debian kernel, unpacked and not installed.
type Kernel struct {
	// Release is what uname -r says, such as 6.1.0-56-cloud-amd64.
	Release string
	// Root holds boot and lib/modules, as / would.
	Root string
	// Image is the path of the bzImage.
	Image string
	// Debug is the path of vmlinux with its debug symbols.
	Debug string
	// Chosen says for a person why it is this one and no newer; empty where there
	// was no choice.
	Chosen string
}

// CloudKernel is the newest cloud kernel of the machine's own Debian release with
// its debug symbols, from the cache or, verified by apt's lists, from the archive.
// It calls the network only for what the cache lacks. Where apt knows no such
// kernel even after an update, the newest one in the cache serves. It says on
// progress what takes long.
func CloudKernel(ctx context.Context, cache string, progress io.Writer) (*Kernel, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("debian: no test kernel for %s, only for amd64", runtime.GOARCH)
	}
	k, err := getKernel(ctx, cache, progress)
	if err == nil || ctx.Err() != nil {
		return k, err
	}
	// The lists may be missing, or older than what the archive still holds.
	fmt.Fprintf(progress, "%v; fetching apt's lists anew\n", err)
	if uerr := Update(ctx); uerr == nil {
		k, err = getKernel(ctx, cache, progress)
	} else {
		err = errors.Join(err, uerr)
	}
	if err != nil {
		if k, ok := newestKernel(cache); ok {
			fmt.Fprintf(progress, "%v; going on with %s from the cache\n", err, k.Release)
			return k, nil
		}
		return nil, err
	}
	return k, nil
}

// metaPackage depends on the newest cloud kernel.
const metaPackage = "linux-image-cloud-amd64"

func getKernel(ctx context.Context, cache string, progress io.Writer) (*Kernel, error) {
	meta, err := Lookup(ctx, metaPackage)
	if err != nil {
		return nil, err
	}
	release, err := kernelRelease(meta.Depends)
	if err != nil {
		return nil, err
	}
	return fetchKernel(ctx, nil, cache, filepath.Join(cache, "dl"), release, progress)
}

// splitParts are the packages that a kernel's files are spread over since Debian's
// 7.0; linux-image depends on them and is empty.
var splitParts = []string{"linux-base-", "linux-binary-", "linux-modules-"}

// fetchKernel puts a kernel with its symbols below cache/kernels, and the packages
// that it needs for that into dl.
func fetchKernel(ctx context.Context, s *Suite, cache, dl, release string, progress io.Writer) (*Kernel, error) {
	image, err := lookup(ctx, s, "linux-image-"+release)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "kernels", release+"_"+image.Version)
	err = atomically(root, func(dir string) error {
		symbols, err := lookup(ctx, s, "linux-image-"+release+"-dbg")
		if err != nil {
			return err
		}
		// The symbols come first: they are what an archive lacks.
		parts := []Package{symbols, image}
		if strings.Contains(image.Depends, splitParts[0]+release) {
			parts = parts[:1]
			for _, name := range splitParts {
				p, err := lookup(ctx, s, name+release)
				if err != nil {
					return err
				}
				parts = append(parts, p)
			}
		}
		var sums strings.Builder
		for _, p := range parts {
			if p.Version != symbols.Version {
				return fmt.Errorf("debian: %s has the version %s, but %s %s", p.Name, p.Version, symbols.Name, symbols.Version)
			}
			fmt.Fprintf(progress, "getting %s %s (%d MB)\n", p.Name, p.Version, p.Size/1e6)
			deb, err := p.Download(ctx, dl, progress)
			if err != nil {
				return err
			}
			fmt.Fprintf(progress, "unpacking %s\n", filepath.Base(deb))
			if err := Unpack(ctx, deb, dir, "boot/", "lib/modules/", "usr/lib/modules/",
				"usr/lib/debug/boot/", "usr/lib/debug/lib/modules/"+release+"/vmlinux"); err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%s  %s\n", p.SHA256, filepath.Base(p.Filename))
			if s != nil { // kernels of other releases are many
				if err := os.Remove(deb); err != nil {
					return err
				}
			}
		}
		// Since Debian 13 the modules are below usr, where / has a link.
		if _, err := os.Stat(filepath.Join(dir, "lib")); errors.Is(err, fs.ErrNotExist) {
			if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil {
				return err
			}
		}
		if err := shrink(ctx, dir, release); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(sums.String()), 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("debian: kernel %s: %w", release, err)
	}
	return kernelIn(root, release)
}

// shrink takes out of the symbols what only a linker needs: half of them on older
// kernels. crash and drgn do without.
func shrink(ctx context.Context, dir, release string) error {
	k, err := kernelIn(dir, release)
	if err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(k.Debug)
	if err != nil {
		return err
	}
	_, err = run(ctx, "", "objcopy", "--remove-section=.rela.*", file)
	return err
}

// kernelIn describes the kernel below root and reports what is not there.
func kernelIn(root, release string) (*Kernel, error) {
	modules := filepath.Join("lib/modules", release)
	k := &Kernel{Release: release, Root: root}
	for _, part := range []struct {
		path   *string
		places []string
	}{
		{&k.Image, []string{"boot/vmlinuz-" + release, modules + "/vmlinuz"}},
		{&k.Debug, []string{"usr/lib/debug/boot/vmlinux-" + release, "usr/lib/debug/" + modules + "/vmlinux"}},
		{new(string), []string{modules}},
	} {
		var errs []error
		for _, place := range part.places {
			p := filepath.Join(root, place)
			if _, err := os.Stat(p); err != nil {
				errs = append(errs, err)
				continue
			}
			*part.path = p
			break
		}
		if *part.path == "" {
			return nil, fmt.Errorf("debian: kernel %s is not whole: %w", release, errors.Join(errs...))
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, chosenName)); err == nil {
		k.Chosen = strings.TrimSpace(string(b))
	}
	return k, nil
}

// chosenName is the file beside a kernel with its [Kernel.Chosen].
const chosenName = "CHOSEN"

// newestKernel is the kernel of the cache that was unpacked last.
func newestKernel(cache string) (*Kernel, bool) {
	roots, _ := filepath.Glob(filepath.Join(cache, "kernels", "[0-9]*_*"))
	var newest *Kernel
	var when int64
	for _, root := range roots {
		release, _, _ := strings.Cut(filepath.Base(root), "_")
		st, err := os.Stat(root)
		if err != nil {
			continue
		}
		if k, err := kernelIn(root, release); err == nil && st.ModTime().UnixNano() >= when {
			newest, when = k, st.ModTime().UnixNano()
		}
	}
	return newest, newest != nil
}
