package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// keyring is what debootstrap verifies an archive with; the package
// debian-archive-keyring is on every Debian machine.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Root makes a small Debian system of another release, with packages, in the
// cache and returns its path; one that is there already serves. The archive is
// the one that the machine's own apt uses. It needs root, and says on progress
// what takes long.
func Root(ctx context.Context, cache, suite string, packages []string, progress io.Writer) (string, error) {
	return NamedRoot(ctx, cache, suite, suite, packages, progress)
}

// NamedRoot is [Root] under a name of its own in the cache, for a system with other
// packages than those that the suite's plain one has.
func NamedRoot(ctx context.Context, cache, called, suite string, packages []string, progress io.Writer) (string, error) {
	name := filepath.Join(cache, "roots", called)
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	mirror, err := Mirror(ctx)
	if errors.Is(err, errNoMirror) { // apt learns whose an archive is from its lists
		if err = Update(ctx); err == nil {
			mirror, err = Mirror(ctx)
		}
	}
	if err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "making a root of Debian %s with %s\n", suite, strings.Join(packages, ", "))
	tmp := filepath.Join(cache, "roots", fmt.Sprintf(".part-%s-%d", called, os.Getpid()))
	if err := os.MkdirAll(filepath.Dir(tmp), 0o755); err != nil {
		return "", fmt.Errorf("debian: root: %w", err)
	}
	argv := AsRoot("debootstrap", "--variant=minbase", "--keyring="+keyring,
		"--include="+strings.Join(packages, ","), suite, tmp, mirror)
	_, err = runShown(ctx, "", progress, argv[0], argv[1:]...)
	if err == nil {
		// Root may own the files, but the rename is in our directory.
		_, err = runRoot(ctx, "", "mv", "-T", tmp, name)
	}
	if err != nil {
		_, rerr := runRoot(context.WithoutCancel(ctx), "", "rm", "-rf", "--one-file-system", tmp)
		return "", fmt.Errorf("debian: root of %s: %w", suite, errors.Join(err, rerr))
	}
	return name, nil
}

// Mirror is the address of the archive that the machine's apt has for its own
// release of Debian.
func Mirror(ctx context.Context) (string, error) {
	// apt itself reads sources.list and the .sources files, so that both of
	// their forms work here.
	const format = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
	out, err := run(ctx, "", "apt-get", "indextargets", "--format", format, "Created-By: Packages")
	if err != nil {
		return "", fmt.Errorf("debian: %w", err)
	}
	return mirrorOf(out)
}

// errNoMirror says that apt's lists name no archive of Debian's.
var errNoMirror = errors.New("debian: apt has no list of Debian's main component")

// mirrorOf picks Debian's main archive out of the lines that [Mirror] asked for.
// A suite with a hyphen is an addition (updates, security) and may lie elsewhere.
func mirrorOf(lines string) (string, error) {
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) == 4 && f[0] == "Debian" && f[1] == "main" && !strings.Contains(f[2], "-") && f[3] != "" {
			return f[3], nil
		}
	}
	return "", errNoMirror
}
