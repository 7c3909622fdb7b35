package main

import (
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/gokdump/gokdump/arm/config"
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
