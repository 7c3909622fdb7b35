package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/drivers"
)

// maxFile bounds a file that goes into the image, in bytes: keys and
// certificates, the largest being a CA bundle.
const maxFile = 4 << 20

// files reads what the configuration wants in the image, from the image's root.
func (m *machine) files(list []config.ImageFile) (map[string][]byte, error) {
	read := map[string][]byte{}
	for _, f := range list {
		data, err := m.file(f.Source)
		if err != nil {
			return nil, fmt.Errorf("a file for the image: %w", err)
		}
		read[f.Name] = data
	}
	return read, nil
}

// unlock puts the keys of LUKS volumes in the place of the key files that open them.
func unlock(ctx context.Context, p *plan.Plan, files map[string][]byte) (notes []string, err error) {
	done := map[string]bool{}
	for _, t := range p.Targets {
		for _, l := range t.Device.Layers {
			if l.Kind != plan.LayerLUKS || done[l.UUID] {
				continue
			}
			done[l.UUID] = true
			key, err := drivers.Host{}.Unlock(ctx, l, files[l.Crypt.Key])
			if err != nil {
				return nil, withHint(fmt.Errorf("luks_key: %s: %w", l, err), "cryptsetup luksAddKey gives a volume another key file")
			}
			files[l.Crypt.Key] = key
			notes = append(notes, fmt.Sprintf("the image holds the key of %s: whoever can read the image can read the volume", l))
		}
	}
	return notes, nil
}

func (m *machine) file(name string) ([]byte, error) {
	f, err := m.root.Open(strings.TrimPrefix(name, "/"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is no regular file (%v)", st.Mode())}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is larger than %d bytes", maxFile)}
	}
	return data, err
}
