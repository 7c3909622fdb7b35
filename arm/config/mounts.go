package config

import (
	"fmt"
	"strings"
)

// mount is one line of /proc/self/mountinfo, proc_pid_mountinfo(5).
type mount struct {
	device string // "MAJOR:MINOR"
	root   string // the directory of the file system that is mounted
	point  string // where it is mounted
	fstype string
	source string
}

// parseMountInfo reads the text of /proc/self/mountinfo, in its order.
func parseMountInfo(text []byte) ([]mount, error) {
	var out []mount
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 2 {
			return nil, fmt.Errorf("config: mountinfo line %d is not as expected: %q", i+1, clip(line))
		}
		out = append(out, mount{
			device: l[2], root: octal(l[3]), point: octal(l[4]),
			fstype: r[0], source: octal(r[1]),
		})
	}
	return out, nil
}

// mountOf gives the mount that holds dir: the longest mount point above it, and of
// several at the same point the last, which covers the others.
func mountOf(mounts []mount, dir string) (mount, bool) {
	best, found := mount{}, false
	for _, m := range mounts {
		if m.point != "/" && dir != m.point && !strings.HasPrefix(dir, m.point+"/") {
			continue
		}
		if !found || len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// octal undoes \NNN, the way the kernel writes white space in mountinfo
// (seq_path, fs/seq_file.c).
func octal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(s string) bool {
	return strings.Trim(s, "01234567") == "" && s[0] <= '3'
}
