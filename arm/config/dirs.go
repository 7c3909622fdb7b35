package config

import (
	"fmt"
	"path"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// DumpDirs are the directories of the running host where dumps of c lie, as far as
// they are mounted; notes say where they are not. mountInfo is the text of
// /proc/self/mountinfo; numberOf gives the "MAJOR:MINOR" of the block device that the
// file means, and its path under /dev.
func (c *Config) DumpDirs(mountInfo []byte, numberOf func(plan.Device) (number, path string, err error)) (dirs, notes []string, err error) {
	if len(c.Targets) == 0 {
		return []string{c.Path}, nil, nil
	}
	mounts, err := parseMountInfo(mountInfo)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range c.Targets {
		dir := t.Path
		if dir == "" {
			dir = c.Path
		}
		if t.Kind != plan.KindFS {
			notes = append(notes, fmt.Sprintf("dumps on the target of line %d cannot be seen from here", t.Line))
			continue
		}
		number, dev, err := numberOf(t.Device)
		if err != nil {
			notes = append(notes, fmt.Sprintf("the target of line %d: %v", t.Line, err))
			continue
		}
		at, ok := mountedAt(mounts, number, dev, dir)
		if !ok {
			notes = append(notes, fmt.Sprintf("%s %s (line %d) is not mounted on this host, so its dumps cannot be seen", t.FSType, t.Device, t.Line))
			continue
		}
		dirs = append(dirs, at)
	}
	if c.DumpToRootfs {
		dirs = append(dirs, DefaultPath)
	}
	return dirs, notes, nil
}

// mountedAt is where a directory of a device's file system is on this host. btrfs
// has device numbers of its own, and is known by its source.
func mountedAt(mounts []mount, number, dev, dir string) (string, bool) {
	for _, m := range mounts {
		if m.device != number && m.source != dev {
			continue
		}
		root := strings.TrimSuffix(m.root, "/")
		if dir == root || strings.HasPrefix(dir, root+"/") {
			return path.Join(m.point, strings.TrimPrefix(dir, root)), true
		}
	}
	return "", false
}
