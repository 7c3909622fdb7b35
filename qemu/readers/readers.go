// Package readers opens dumps in the programs that people open dumps with, drgn
// and crash, and brings back what they found.
//
// It owns how those programs are found and called, and the small system of a newer
// Debian release that crash runs in where the machine's own is too old. It never
// changes a dump and leaves nothing mounted.
//
// Facts come from the manuals of crash(8) and drgn, and from runs of crash 8.0.2
// and 8.0.6 and of drgn 0.0.22 and 0.0.31.
package readers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/qemu/debian"
)

// suite is the Debian release that newer readers are taken from.
const suite = "trixie"

// packages are the readers.
var packages = []string{"crash", "makedumpfile", "python3-drgn", "python3-libkdumpfile"}

// Readers are the programs that open dumps.
type Readers struct {
	// root is the system that crash runs in, empty for the machine's own.
	root string
}

// Get finds the readers. The machine's own crash serves from 8.0.4 on; before,
// crash loses tasks of kernels from 6.0 on, and one from a newer Debian release
// is fetched into cache, which needs root.
func Get(ctx context.Context, cache string, progress io.Writer) (*Readers, error) {
	if out, err := exec.CommandContext(ctx, "crash", "--version").Output(); err == nil && newEnough(string(out)) {
		return &Readers{}, nil
	}
	root, err := debian.Root(ctx, cache, suite, packages, progress)
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	return &Readers{root: root}, nil
}

var crashVersion = regexp.MustCompile(`(?m)^crash (\d+)\.(\d+)\.(\d+)`)

// newEnough tells whether crash --version says 8.0.4 or later.
func newEnough(out string) bool {
	m := crashVersion.FindStringSubmatch(out)
	if m == nil {
		return false
	}
	var v [3]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1])
	}
	return v[0] > 8 || v[0] == 8 && (v[1] > 0 || v[2] >= 4)
}

// Crash opens a dump in crash, gives it commands and returns what it printed for
// each. It reports a session that could not be opened and one that warned of
// anything.
func (r *Readers) Crash(ctx context.Context, vmlinux, core string, commands ...string) (map[string]string, error) {
	// crash does not echo commands from a file; lines of our own keep their
	// output apart. Its own echo is gdb's and comes out of order.
	var script strings.Builder
	for i, c := range commands {
		fmt.Fprintf(&script, "!echo %s%d\n%s\n", divider, i, c)
	}
	script.WriteString("quit\n")
	file, err := os.CreateTemp("", "gokdump-crash-")
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(script.String())
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	out, err := r.run(ctx, []string{vmlinux, core, file.Name()}, "crash", "-s", "@0", "@1", "-i", "@2")
	if err != nil {
		return nil, err
	}
	return split(out, commands)
}

// divider begins the line before each command's output.
const divider = "=== gokdump "

// split cuts crash's output at the dividers, and reports what crash complained
// about: it exits 0 even then.
//
// What is true of the dump or of the crash itself is no complaint; see [expected].
func split(out string, commands []string) (map[string]string, error) {
	for line := range strings.Lines(expected.ReplaceAllString(out, "")) {
		for _, bad := range []string{"crash:", "WARNING:", "invalid ", "page excluded", "cannot "} {
			if strings.HasPrefix(line, bad) || bad == "page excluded" && strings.Contains(line, bad) {
				return nil, fmt.Errorf("readers: crash complains: %s; all it said:\n%.3000s", strings.TrimSpace(line), out)
			}
		}
	}
	result := map[string]string{}
	for i, c := range commands {
		_, rest, ok := strings.Cut(out, fmt.Sprintf("%s%d\n", divider, i))
		if !ok {
			return nil, fmt.Errorf("readers: crash said nothing for %q; it said:\n%.2000s", c, out)
		}
		text, _, _ := strings.Cut(rest, divider)
		result[c] = text
	}
	return result, nil
}

// expected is what crash says of sound dumps before a session: that the dump is
// incomplete, when its writer said so (the answer to sys is marked too); and that
// a CPU's runqueue and its current task differ, when the panic stopped that CPU in
// the middle of a switch.
var expected = regexp.MustCompile(`WARNING: \S+:\s+This dumpfile is incomplete\.` +
	`|crash: inconsistent active task indications for CPU \d+:`)

// limit bounds a reader's run. The largest dumps of the tests open in seconds, but not
// where others are at work too.
const limit = 10 * time.Minute

// inRoot is what a shell does in a mount namespace of its own, which goes with
// the process: it makes the files appear below the root's /mnt and runs the
// program there. $1 is the root, $2 the number of files; then the files, then
// the program and its arguments.
const inRoot = `root=$1 n=$2; shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/mnt"
i=0
while [ $i -lt $n ]; do
	if [ -d "$1" ]; then mkdir "$root/mnt/$i"; else : >"$root/mnt/$i"; fi
	mount --bind "$1" "$root/mnt/$i"; shift; i=$((i+1))
done
exec chroot "$root" "$@"`

// run runs a program in r's root. In its arguments, @0 stands for the first file
// and so on.
func (r *Readers) run(ctx context.Context, files []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shown := strings.Join(argv, " ")
	for i, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return "", fmt.Errorf("readers: %w", err)
		}
		files[i] = abs
		if r.root != "" {
			abs = fmt.Sprintf("/mnt/%d", i)
		}
		for j := range argv {
			if argv[j] == fmt.Sprintf("@%d", i) {
				argv[j] = abs
			}
		}
	}
	if r.root != "" {
		argv = append(append([]string{"unshare", "--mount", "sh", "-ec", inRoot, "sh", r.root, strconv.Itoa(len(files))}, files...), argv...)
		argv = debian.AsRoot(argv...)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=dumb", "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("readers: %s: %w: %.2000s%.2000s", shown, err, errs.String(), out.String())
	}
	return out.String(), nil
}
