package boot

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// MinMemoryLimit is the least limit that [LimitMemory] sets, in bytes: below it
// the collector would only run in circles.
const MinMemoryLimit = 16 << 20

// MemAvailable reads the estimate of memory that programs may still take out
// of r, in the form of /proc/meminfo; in bytes.
func MemAvailable(r io.Reader) (uint64, error) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		rest, ok := strings.CutPrefix(s.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil || kib > 1<<50 {
			return 0, fmt.Errorf("meminfo: MemAvailable is %q", strings.TrimSpace(rest))
		}
		return kib << 10, nil
	}
	if err := s.Err(); err != nil {
		return 0, fmt.Errorf("meminfo: %w", err)
	}
	return 0, fmt.Errorf("meminfo: no MemAvailable")
}

// Available is the estimate of memory that programs may still take, in bytes.
func Available() (uint64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return MemAvailable(f)
}

// AddToLimit lets the Go heap take n bytes more, for what is kept in it and is no
// garbage: to collect all the time would not make it less.
func AddToLimit(n int64) {
	if now := debug.SetMemoryLimit(-1); now < math.MaxInt64-n {
		debug.SetMemoryLimit(now + n)
	}
}

// LimitMemory fences the Go heap in at a quarter of the memory that is
// available, at least [MinMemoryLimit]: page cache and kernel need the rest, and
// the crash kernel has little. It gives both numbers, in bytes.
func LimitMemory() (available, limit uint64, err error) {
	if available, err = Available(); err != nil {
		return 0, 0, err
	}
	limit = max(available/4, MinMemoryLimit)
	debug.SetMemoryLimit(int64(limit))
	return available, limit, nil
}
