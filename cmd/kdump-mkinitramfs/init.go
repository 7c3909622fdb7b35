package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const installedDir = "/usr/lib/gokdump"

// flavours are the kdump-init programs that are built, the smallest first; see
// the Makefile.
func flavours() []string {
	return []string{"kdump-init", "kdump-init-disk", "kdump-init-net", "kdump-init-age", "kdump-init-full"}
}

// findInit reads the smallest program to start that has all features; see
// plan.Features. A given one is taken or refused.
func findInit(given string, features []string) (data []byte, path string, err error) {
	dirs := []string{installedDir}
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe) // the build tree, then any prefix of make install
		dirs = append([]string{dir, filepath.Join(dir, "../lib/gokdump")}, dirs...)
	}
	var places []string
	for _, dir := range dirs {
		for _, name := range flavours() {
			places = append(places, filepath.Join(dir, name))
		}
	}
	if given != "" {
		places = []string{given}
	}
	var lacking []string
	for _, place := range places {
		data, err := os.ReadFile(place)
		if errors.Is(err, fs.ErrNotExist) && given == "" {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("init program: %w", err)
		}
		if lacks := missing(data, features); len(lacks) > 0 {
			lacking = append(lacking, fmt.Sprintf("%s lacks %s", place, strings.Join(lacks, ", ")))
			continue
		}
		return data, place, nil
	}
	if len(lacking) > 0 {
		return nil, "", withHint(fmt.Errorf("no kdump-init can do what the configuration asks for: %s", strings.Join(lacking, "; ")),
			"install kdump-init-full beside it, or build one with go build -tags "+strings.Join(features, ",")+" and name it with --init")
	}
	return nil, "", withHint(fmt.Errorf("no kdump-init: looked for %s in %s", strings.Join(flavours(), ", "), strings.Join(dirs, " and ")),
		"install kdump-init there, or name it with --init")
}

// missing gives the features that a kdump-init was not built with. The Go
// linker notes the build tags in every program.
func missing(init []byte, features []string) []string {
	if len(features) == 0 {
		return nil // not even a program of Go is asked for
	}
	var have []string
	if info, err := buildinfo.Read(bytes.NewReader(init)); err == nil {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				have = strings.Split(s.Value, ",")
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(features), func(f string) bool { return slices.Contains(have, f) })
}
