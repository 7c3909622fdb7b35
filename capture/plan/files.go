package plan

import (
	"slices"
	"strings"
)

// FileDir is where [Plan.Files] lie in the crash image.
const FileDir = "/files"

// The features that a kdump-init may have beside file systems on disks. They are the
// build tags of cmd/kdump-init.
const (
	FeatureRaw   = "raw"   // block devices without a file system
	FeatureStack = "stack" // logical volumes, arrays and LUKS volumes
	FeatureNet   = "net"   // the network, and NFS
	FeatureSSH   = "ssh"
	FeatureS3    = "s3"
	FeatureAge   = "age" // encryption

	FeatureNotify = "notify" // posting the report
)

// Features lists what a kdump-init must have been built with to carry out p,
// sorted.
func (p *Plan) Features() []string {
	need := map[string]bool{
		FeatureNet:    p.Network != nil,
		FeatureAge:    len(p.Recipients) > 0,
		FeatureNotify: p.Notify != nil,
	}
	for _, t := range p.Targets {
		need[FeatureNet] = need[FeatureNet] || t.Remote()
		need[FeatureRaw] = need[FeatureRaw] || t.Kind == KindRaw
		need[FeatureStack] = need[FeatureStack] || len(t.Device.Layers) > 0
		need[FeatureSSH] = need[FeatureSSH] || t.Kind == KindSSH
		need[FeatureS3] = need[FeatureS3] || t.Kind == KindS3
	}
	var list []string
	for f, yes := range need {
		if yes {
			list = append(list, f)
		}
	}
	slices.Sort(list)
	return list
}

// FilePath is the path in the crash image of one of [Plan.Files].
func FilePath(name string) string { return FileDir + "/" + name }

func (p *Plan) validateFiles(bad complaint) {
	for i, f := range p.Files {
		switch {
		case f == "" || strings.ContainsAny(f, "/\x00") || f == "." || f == "..":
			bad("file %q is not a plain name", f)
		case slices.Contains(p.Files[:i], f):
			bad("file %q is there twice", f)
		}
	}
}

// wantFile complains when name is not one of p's files.
func (p *Plan) wantFile(what, name string, bad complaint) {
	if !slices.Contains(p.Files, name) {
		bad("%s: %q is not among the image's files", what, name)
	}
}
