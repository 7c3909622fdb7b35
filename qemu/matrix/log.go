package matrix

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// callerColumn is what makedumpfile puts behind the time of each line.
var callerColumn = regexp.MustCompile(`(?m)^(\[ *\d+\.\d{6}\] )\[ *[TC]\d+\] `)

// indent begins the second and further lines of a message: makedumpfile and we indent
// them as far as the first line's time, drgn does not.
var indent = regexp.MustCompile(`(?m)^ +`)

func flat(log string) string { return indent.ReplaceAllString(log, "") }

// dmesg compares the log that we read with that of drgn and of makedumpfile, and
// with the one that kdump-init saved.
func (c *checker) dmesg(ctx context.Context, path string) (string, error) {
	ours, err := exec.CommandContext(ctx, c.Command("kdump-vmcore"), "dmesg", path).Output()
	if err != nil {
		return "", fmt.Errorf("kdump-vmcore dmesg: %w", err)
	}
	if drgn := flat(c.log[ColDrgn]); drgn != "" && drgn != flat(string(ours)) {
		return "", fmt.Errorf("not drgn's: %s", firstDifference(drgn, flat(string(ours))))
	}
	out, err := c.file("dmesg", nil)
	if err != nil {
		return "", err
	}
	if _, err := c.Readers.Run(ctx, []string{path, out}, "makedumpfile", "-f", "--dump-dmesg", "@0", "@1"); err != nil {
		// It knows zlib, lzo and zstd only.
		if !strings.Contains(path, "snappy") {
			return "", err
		}
	} else {
		b, err := os.ReadFile(out)
		if err != nil {
			return "", err
		}
		if theirs := flat(callerColumn.ReplaceAllString(string(b), "$1")); theirs != flat(string(ours)) {
			return "", fmt.Errorf("not makedumpfile's: %s", firstDifference(theirs, flat(string(ours))))
		}
	}
	if c.core.Captured != "" {
		b, err := os.ReadFile(filepath.Join(c.core.Captured, "vmcore-dmesg.txt"))
		if err != nil {
			return "", err
		}
		if string(b) != string(ours) {
			return "", fmt.Errorf("not kdump-init's: %s", firstDifference(string(b), string(ours)))
		}
	}
	return fmt.Sprintf("%d lines", strings.Count(string(ours), "\n")), nil
}
