package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Suite is a Debian release other than the machine's own, with apt's lists of it.
// Nothing of it touches the machine's apt.
type Suite struct {
	// Name is the release's name, such as bullseye.
	Name string

	cache string // the cache of everything
	dir   string // the suite's own part of it
}

// OpenSuite gives a suite, with its additions such as bullseye-security where the
// machine's archives have them. The lists are fetched once, from the archives that
// the machine's own apt uses, verified by Debian's keys, and kept in the cache.
func OpenSuite(ctx context.Context, cache, name string, progress io.Writer, additions ...string) (*Suite, error) {
	s := &Suite{Name: name, cache: cache, dir: filepath.Join(cache, "suites", name)}
	err := atomically(filepath.Join(s.dir, "apt"), func(dir string) error {
		fmt.Fprintf(progress, "fetching apt's lists of Debian %s\n", name)
		sources, err := sources(ctx, append([]string{name}, additions...))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, "lists/partial"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(sources), 0o644); err != nil {
			return err
		}
		_, err = run(ctx, "", "apt-get", append(aptOptions(dir), "-qq", "update")...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("debian: suite %s: %w", name, err)
	}
	return s, nil
}

// options are apt's options for the suite; none for nil, the machine's own lists.
func (s *Suite) options() []string {
	if s == nil {
		return nil
	}
	return aptOptions(filepath.Join(s.dir, "apt"))
}

// aptOptions makes apt use the lists in dir and leave the machine's alone.
func aptOptions(dir string) []string {
	var args []string
	for _, o := range []string{
		"Dir::State::lists=" + filepath.Join(dir, "lists"),
		"Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"),
		"Dir::Etc::sourceparts=/dev/null",
		"Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"APT::Sandbox::User=root",
	} {
		args = append(args, "-o", o)
	}
	return args
}

// sources is a sources.list of suites, the first of which must be had.
func sources(ctx context.Context, suites []string) (string, error) {
	list := func() (string, error) {
		const format = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
		out, err := run(ctx, "", "apt-get", "indextargets", "--format", format, "Created-By: Packages")
		if err != nil {
			return "", err
		}
		return sourcesOf(out, suites)
	}
	text, err := list()
	if errors.Is(err, errNoMirror) {
		if err = Update(ctx); err == nil {
			text, err = list()
		}
	}
	return text, err
}

// sourcesOf derives a sources.list from the archives that apt has lists of. An
// addition such as NAME-security lies where the machine's own release has its own;
// where that has none, and it is not in the main archive, it is left out.
func sourcesOf(lines string, suites []string) (string, error) {
	main, err := mirrorOf(lines)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, suite := range suites {
		uri := main
		if _, kind, ok := strings.Cut(suite, "-"); ok && kind == "security" {
			if uri = additionOf(lines, kind); uri == "" {
				continue
			}
		}
		fmt.Fprintf(&b, "deb [signed-by=%s] %s %s main\n", keyring, uri, suite)
	}
	return b.String(), nil
}

// additionOf is the archive of the suite that ends in -kind, empty if there is none.
func additionOf(lines, kind string) string {
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) == 4 && f[0] == "Debian" && f[1] == "main" && strings.HasSuffix(f[2], "-"+kind) {
			return f[3]
		}
	}
	return ""
}

// Kernel is the suite's newest kernel of a flavour, such as cloud-amd64, whose release
// begins with prefix, and whose image and debug symbols can both be had. One that is
// in the cache serves without a question to the network.
func (s *Suite) Kernel(ctx context.Context, prefix, flavour string, progress io.Writer) (*Kernel, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("debian: no test kernel for %s, only for amd64", runtime.GOARCH)
	}
	if k := s.cached(prefix, flavour); k != nil {
		return k, nil
	}
	out, err := run(ctx, "", "apt-cache", append(s.options(), "pkgnames", "linux-image-"+prefix)...)
	if err != nil {
		return nil, fmt.Errorf("debian: suite %s: %w", s.Name, err)
	}
	releases, without := releasesIn(out, flavour)
	if len(releases) == 0 {
		return nil, fmt.Errorf("debian: suite %s has no kernel %s*-%s with debug symbols: %w", s.Name, prefix, flavour, ErrNoPackage)
	}
	var passed []string
	for _, r := range without {
		if newerFirst(r, releases[0]) < 0 {
			passed = append(passed, r+" (listed without debug symbols)")
		}
	}
	var errs []error
	for _, release := range releases {
		k, err := fetchKernel(ctx, s, s.dir, filepath.Join(s.cache, "dl"), release, progress)
		if err == nil {
			return k, k.choose(len(releases)+len(without), passed)
		}
		errs = append(errs, err)
		// Only what an archive does not have sends us to an older kernel.
		if !errors.Is(err, ErrGone) && !errors.Is(err, ErrNoPackage) || ctx.Err() != nil {
			break
		}
		passed = append(passed, release+" ("+gone(err)+")")
		fmt.Fprintf(progress, "%s is not to be had in whole; trying the one before\n", release)
	}
	return nil, fmt.Errorf("debian: suite %s: %w", s.Name, errors.Join(errs...))
}

// gone says in a few words what of a kernel is not to be had.
func gone(err error) string {
	if m := goneFile.FindStringSubmatch(err.Error()); m != nil {
		return m[1] + " is listed, but the archive does not have it: 404"
	}
	return ErrNoPackage.Error()
}

// goneFile finds the package in apt's complaint about a file; see [notFound].
var goneFile = regexp.MustCompile(`E: Failed to fetch \S*/([^/_\s]+)_\S*  404`)

// over ends a sentence with what was passed over.
func over(passed []string) string {
	if len(passed) == 0 {
		return ""
	}
	return "; passed over: " + strings.Join(passed, ", ")
}

// choose keeps beside the kernel why it was chosen out of those that are listed.
func (k *Kernel) choose(listed int, passed []string) error {
	k.Chosen = fmt.Sprintf("of %d that are listed the newest whose image and debug symbols can both be had%s", listed, over(passed))
	if err := os.WriteFile(filepath.Join(k.Root, chosenName), []byte(k.Chosen+"\n"), 0o644); err != nil {
		return fmt.Errorf("debian: kernel %s: %w", k.Release, err)
	}
	return nil
}

// cached is the newest kernel of the cache, which the machine's own release may have
// brought there.
func (s *Suite) cached(prefix, flavour string) *Kernel {
	var releases []string
	byRelease := map[string]string{}
	for _, dir := range []string{s.cache, s.dir} {
		roots, _ := filepath.Glob(filepath.Join(dir, "kernels", prefix+"*-"+flavour+"_*"))
		for _, root := range roots {
			release, _, _ := strings.Cut(filepath.Base(root), "_")
			if !isFlavour(release, flavour) {
				continue
			}
			releases, byRelease[release] = append(releases, release), root
		}
	}
	slices.SortFunc(releases, newerFirst)
	for _, r := range releases {
		if k, err := kernelIn(byRelease[r], r); err == nil {
			return k
		}
	}
	return nil
}

// releasesIn picks from names of packages the kernels of a flavour, newest first: those
// that have a package of debug symbols, and those without.
func releasesIn(names, flavour string) (with, without []string) {
	have := map[string]bool{}
	for _, n := range strings.Fields(names) {
		have[n] = true
	}
	for n := range have {
		r := strings.TrimPrefix(n, "linux-image-")
		if !isFlavour(r, flavour) || strings.Count(r, ".") < 2 {
			continue
		}
		if have[n+"-dbg"] {
			with = append(with, r)
		} else {
			without = append(without, r)
		}
	}
	slices.SortFunc(with, newerFirst)
	slices.SortFunc(without, newerFirst)
	return with, without
}

// isFlavour tells whether a release is of that flavour: 6.1.0-9-cloud-amd64 is not of
// the flavour amd64, though it ends so.
func isFlavour(release, flavour string) bool {
	version, ok := strings.CutSuffix(release, "-"+flavour)
	return ok && !letterAfterDash.MatchString(version)
}

var letterAfterDash = regexp.MustCompile(`-[a-z]`)

var digits = regexp.MustCompile(`\d+`)

// newerFirst orders releases by the numbers in them.
func newerFirst(a, b string) int {
	x, y := digits.FindAllString(a, -1), digits.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		n, _ := strconv.Atoi(x[i])
		m, _ := strconv.Atoi(y[i])
		if n != m {
			return m - n
		}
	}
	return strings.Compare(b, a)
}
