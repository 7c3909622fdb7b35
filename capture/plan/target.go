package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MaxTargets bounds the targets of a plan: each may use up all of its deadlines.
const MaxTargets = 4

// Kind says what sort of place a target is, and with it which fields of
// [Target] count.
type Kind string

// The kinds of targets.
const (
	KindFS  Kind = "fs"  // a file system on a block device: FSType, Device, Options, Path
	KindRaw Kind = "raw" // a block device without one: Device
	KindNFS Kind = "nfs" // NFS, Options, Path
	KindSSH Kind = "ssh" // SSH, Path
	KindS3  Kind = "s3"  // S3, Path
)

// Target is one place for the log and the dump.
type Target struct {
	// Kind says which of the other fields count.
	Kind Kind `json:"kind"`
	// FSType is the file system's type as mount(2) takes it: ext4, xfs, btrfs.
	FSType string `json:"fstype,omitempty"`
	// Device names the block device.
	Device Device `json:"device,omitzero"`
	// Options are mount options as mount(2)'s data argument takes them.
	Options string `json:"options,omitempty"`
	// NFS, SSH and S3 say where a server is.
	NFS *NFS `json:"nfs,omitempty"`
	SSH *SSH `json:"ssh,omitempty"`
	S3  *S3  `json:"s3,omitempty"`
	// Path is the directory for dumps, absolute inside the file system, the
	// export or the server; for S3 the prefix of keys, relative, may be empty.
	Path string `json:"path,omitempty"`
}

// NFS is an export of an NFS server.
type NFS struct {
	// Host is the server's name or address, Addresses what that stood for when
	// the plan was made.
	Host      string   `json:"host"`
	Addresses []string `json:"addresses,omitempty"`
	// Export is the exported directory, absolute.
	Export string `json:"export"`
	// Version is one of [NFSVersions], or [NFSAuto].
	Version string `json:"version"`
}

// NFSAuto stands for the newest version that the server has.
const NFSAuto = "auto"

// NFSVersions lists the versions of NFS, the newest first.
func NFSVersions() []string { return []string{"4.2", "4.1", "4.0", "3"} }

// SSH is an account on an SSH server.
type SSH struct {
	Host      string   `json:"host"`
	Addresses []string `json:"addresses,omitempty"`
	// Port is 1 to 65535.
	Port int    `json:"port"`
	User string `json:"user"`
	// Key and KnownHosts are the Names of [Plan.Files]: a private key in
	// OpenSSH's form, and lines as in known_hosts, see sshd(8).
	Key        string `json:"key"`
	KnownHosts string `json:"known_hosts"`
}

// S3 is a bucket of an S3-compatible server.
type S3 struct {
	// Endpoint is the server's URL, http or https, without a path.
	Endpoint  string   `json:"endpoint"`
	Addresses []string `json:"addresses,omitempty"`
	Region    string   `json:"region"`
	Bucket    string   `json:"bucket"`
	// PathStyle puts the bucket into the path rather than the host's name.
	PathStyle bool `json:"path_style,omitempty"`
	// Credentials is the Name of one of [Plan.Files], in the form of AWS's
	// credentials file. CA, if not empty, is one too: PEM certificates that
	// are trusted instead of none.
	Credentials string `json:"credentials"`
	CA          string `json:"ca,omitempty"`
}

// Remote tells whether t is reached over the network.
func (t Target) Remote() bool { return t.Kind == KindNFS || t.Kind == KindSSH || t.Kind == KindS3 }

// Server gives the name of the server of a remote target, and where the plan
// keeps its addresses; nil for others.
func (t Target) Server() (host string, addresses *[]string) {
	switch {
	case t.NFS != nil:
		return t.NFS.Host, &t.NFS.Addresses
	case t.SSH != nil:
		return t.SSH.Host, &t.SSH.Addresses
	case t.S3 != nil:
		if host, ok := endpointHost(t.S3.Endpoint); ok {
			if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') {
				host = host[:at]
			}
			return strings.Trim(host, "[]"), &t.S3.Addresses
		}
	}
	return "", nil
}

// String names the target for people, without secrets.
func (t Target) String() string {
	switch {
	case t.Kind == KindFS:
		return fmt.Sprintf("%s %s, %s", t.FSType, t.Device, t.Path)
	case t.Kind == KindNFS && t.NFS != nil:
		return fmt.Sprintf("nfs %s:%s, %s", t.NFS.Host, t.NFS.Export, t.Path)
	case t.Kind == KindSSH && t.SSH != nil:
		return fmt.Sprintf("ssh %s@%s, %s", t.SSH.User, t.SSH.Host, t.Path)
	case t.Kind == KindS3 && t.S3 != nil:
		return fmt.Sprintf("s3 %s, bucket %s, %s", t.S3.Endpoint, t.S3.Bucket, t.Path)
	}
	return fmt.Sprintf("%s %s", t.Kind, t.Device)
}

// FSTypes lists the file systems that a target may have.
func FSTypes() []string { return []string{"ext4", "xfs", "btrfs"} }

// complaint takes one thing that is wrong, as fmt.Errorf does.
type complaint func(format string, a ...any)

func (t Target) validate(p *Plan, bad complaint) {
	for _, x := range []struct {
		kind Kind
		have bool
	}{{KindNFS, t.NFS != nil}, {KindSSH, t.SSH != nil}, {KindS3, t.S3 != nil}} {
		if (t.Kind == x.kind) != x.have {
			bad("target of kind %q: %s part there: %v", t.Kind, x.kind, x.have)
			return
		}
	}
	if t.Kind == KindS3 {
		if strings.HasPrefix(t.Path, "/") || strings.Contains("/"+t.Path+"/", "/../") || strings.ContainsRune(t.Path, 0) {
			bad("target prefix %q is not a relative, clean one", t.Path)
		}
	} else if t.Kind != KindRaw && !cleanAbs(t.Path) {
		bad("target path %q is not absolute and clean", t.Path)
	}
	switch t.Kind {
	case KindFS:
		if !slices.Contains(FSTypes(), t.FSType) {
			bad("target file system %q is none of %s", t.FSType, strings.Join(FSTypes(), ", "))
		}
		t.Device.validate(p, bad)
	case KindRaw:
		t.Device.validate(p, bad)
	case KindNFS:
		server("nfs", t.NFS.Host, t.NFS.Addresses, bad)
		if !cleanAbs(t.NFS.Export) {
			bad("nfs export %q is not absolute and clean", t.NFS.Export)
		}
		if v := append(NFSVersions(), NFSAuto); !slices.Contains(v, t.NFS.Version) {
			bad("nfs version %q is none of %s", t.NFS.Version, strings.Join(v, ", "))
		}
	case KindSSH:
		server("ssh", t.SSH.Host, t.SSH.Addresses, bad)
		if t.SSH.Port < 1 || t.SSH.Port > 65535 {
			bad("ssh port %d is not within 1 and 65535", t.SSH.Port)
		}
		if t.SSH.User == "" {
			bad("ssh: no user")
		}
		p.wantFile("ssh key", t.SSH.Key, bad)
		p.wantFile("ssh known_hosts", t.SSH.KnownHosts, bad)
	case KindS3:
		if host, ok := endpointHost(t.S3.Endpoint); !ok {
			bad("s3 endpoint %q is no http or https URL of a server", t.S3.Endpoint)
		} else {
			server("s3", host, t.S3.Addresses, bad)
		}
		if t.S3.Bucket == "" || t.S3.Region == "" {
			bad("s3: bucket %q, region %q: both are needed", t.S3.Bucket, t.S3.Region)
		}
		p.wantFile("s3 credentials", t.S3.Credentials, bad)
		if t.S3.CA != "" {
			p.wantFile("s3 ca", t.S3.CA, bad)
		}
	default:
		bad("target kind %q is none of fs, raw, nfs, ssh, s3", t.Kind)
	}
}

func server(kind, host string, addresses []string, bad complaint) {
	if host == "" || strings.ContainsAny(host, " /\x00") {
		bad("%s host %q is no host's name", kind, host)
	}
	for _, a := range addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			bad("%s address %q: %v", kind, a, err)
		}
	}
}

// endpointHost gives the host, with its port, of an http or https URL that has
// no path. net/url would be the largest part of a plan's reader.
func endpointHost(s string) (string, bool) {
	scheme, host, ok := strings.Cut(s, "://")
	host = strings.TrimSuffix(host, "/")
	return host, ok && (scheme == "http" || scheme == "https") && host != "" && !strings.ContainsAny(host, "/?#@")
}
