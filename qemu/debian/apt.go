package debian

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Package is one version of a package as apt's lists describe it.
type Package struct {
	Name    string
	Version string
	// Filename is the path below the archive; only its last element matters
	// here.
	Filename string
	// SHA256 is the hash of the .deb file in hexadecimal, from a list that apt
	// has verified.
	SHA256 string
	// Size of the .deb file in bytes.
	Size int64
	// Depends is the dependency field as written.
	Depends string

	suite *Suite // whose lists it is in; nil for the machine's own
}

// ErrNoPackage says that apt's lists do not hold a package.
var ErrNoPackage = errors.New("not in apt's lists")

// Lookup asks apt's lists, not the network, for the version of a package that it
// would install. The error wraps [ErrNoPackage] when there is none.
func Lookup(ctx context.Context, name string) (Package, error) { return lookup(ctx, nil, name) }

// lookup is [Lookup] in the lists of s, nil for the machine's own.
func lookup(ctx context.Context, s *Suite, name string) (Package, error) {
	out, err := run(ctx, "", "apt-cache", append(s.options(), "--no-all-versions", "show", name)...)
	if err != nil || strings.TrimSpace(out) == "" {
		return Package{}, fmt.Errorf("debian: package %s: %w", name, ErrNoPackage)
	}
	p, err := parsePackage(out)
	if err != nil {
		return Package{}, fmt.Errorf("debian: package %s: %w", name, err)
	}
	p.suite = s
	return p, nil
}

// hexHash is a SHA-256 as apt writes it.
var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parsePackage reads the first paragraph of apt-cache's output.
func parsePackage(text string) (Package, error) {
	fields := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		line := sc.Text()
		if line == "" {
			if len(fields) > 0 {
				break
			}
			continue
		}
		// A line that begins with a space goes on with the field above, and no
		// field of interest has such lines.
		if k, v, ok := strings.Cut(line, ":"); ok && line[0] != ' ' {
			fields[k] = strings.TrimSpace(v)
		}
	}
	if err := sc.Err(); err != nil {
		return Package{}, err
	}
	p := Package{
		Name: fields["Package"], Version: fields["Version"], Filename: fields["Filename"],
		SHA256: fields["SHA256"], Depends: fields["Depends"],
	}
	if p.Name == "" || p.Version == "" || path.Base(p.Filename) == "." {
		return Package{}, fmt.Errorf("no name, version or file name in %.100q", text)
	}
	if !hexHash.MatchString(p.SHA256) {
		return Package{}, fmt.Errorf("SHA256 %q of %s is not one", p.SHA256, p.Name)
	}
	size, err := strconv.ParseInt(fields["Size"], 10, 64)
	if err != nil || size <= 0 {
		return Package{}, fmt.Errorf("size %q of %s is not one", fields["Size"], p.Name)
	}
	p.Size = size
	return p, nil
}

// kernelDep finds the kernel that a meta-package stands for.
var kernelDep = regexp.MustCompile(`(?:^|[ ,])linux-image-([0-9][a-z0-9.+~-]*[a-z0-9])\b`)

// kernelRelease is the release (uname -r) that a meta-package such as
// linux-image-cloud-amd64 depends on.
func kernelRelease(depends string) (string, error) {
	m := kernelDep.FindStringSubmatch(depends)
	if m == nil {
		return "", fmt.Errorf("debian: no kernel among the dependencies %q", depends)
	}
	return m[1], nil
}

// Update fetches apt's lists anew; it needs root.
func Update(ctx context.Context) error {
	if _, err := runRoot(ctx, "", "apt-get", "update", "-qq"); err != nil {
		return fmt.Errorf("debian: %w", err)
	}
	return nil
}
