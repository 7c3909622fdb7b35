package debian

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// run runs a program in dir to its end and returns what it printed. The error
// holds the end of its complaints.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	return runShown(ctx, dir, io.Discard, name, args...)
}

// runShown is [run], and also puts what the program prints on progress.
func runShown(ctx context.Context, dir string, progress io.Writer, name string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := command(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, io.MultiWriter(&out, progress), &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, lastLines(errs.String()))
	}
	return out.String(), nil
}

// command is a program that dies with its whole group when ctx ends, speaks
// English and asks nothing.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// AsRoot is the command line that runs args as root: with sudo, which must not
// need a password, unless this process is root.
func AsRoot(args ...string) []string {
	if os.Geteuid() == 0 {
		return args
	}
	return append([]string{"sudo", "-n"}, args...)
}

// RunRoot runs a program as root to its end and returns what it printed. The
// error holds the end of its complaints.
func RunRoot(ctx context.Context, args ...string) (string, error) {
	return runRoot(ctx, "", args...)
}

// runRoot is [run] as root.
func runRoot(ctx context.Context, dir string, args ...string) (string, error) {
	argv := AsRoot(args...)
	return run(ctx, dir, argv[0], argv[1:]...)
}

// lastLines is the end of a long complaint.
func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(len(lines)-5, 0):], "\n")
}
