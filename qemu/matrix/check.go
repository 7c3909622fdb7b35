package matrix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Row is one dump of one core, and what each reader made of it.
type Row struct {
	Kernel string `json:"kernel"` // uname -r
	Case   string `json:"case"`
	Level  int    `json:"level"`
	Codec  string `json:"codec"`
	// Cells hold by column a count of pages, or what else was found.
	Cells map[string]string `json:"cells"`
	// Differences are the pages that only one of our dump and makedumpfile's
	// has, by the rule that explains them.
	Differences map[string]uint64 `json:"differences,omitempty"`
	// Errors are what is wrong; none in a dump that is right.
	Errors []string `json:"errors,omitempty"`
}

// The columns of the table.
const (
	ColStored    = "stored"       // pages equal to the core's, by our own reader
	ColReference = "makedumpfile" // pages in both sets, and the named differences
	ColKdumpfile = "libkdumpfile" // pages equal to the core's, by libkdumpfile
	ColDrgn      = "drgn"
	ColCrash     = "crash"
	ColLog       = "log"
)

// Columns are all columns in the order of the table.
var Columns = []string{ColStored, ColReference, ColKdumpfile, ColDrgn, ColCrash, ColLog}

// CapturedCodec is the codec's name in the row of the dump that kdump-init made.
const CapturedCodec = "zstd, by kdump-init"

// dump is one dump to make of a core.
type dump struct {
	level   int
	codec   string
	readers bool // open it in drgn and crash too
}

// Check compares all dumps of a core. With short, it is levels 1, 16 and 31 in one
// codec. The rows come also with an error, which is about the core and not about a
// dump: those are in the rows.
func (m *Matrix) Check(ctx context.Context, core *Core, short bool) ([]Row, error) {
	mem, err := openMemory(core.Path)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	work, err := os.MkdirTemp(m.Work, "dumps-")
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer os.RemoveAll(work)
	c := &checker{Matrix: m, core: core, mem: mem, work: work, log: map[string]string{}}
	var rows []Row
	for _, d := range dumps(core, short) {
		fmt.Fprintf(m.Progress, "%s, %s: level %d, %s\n", core.Kernel.Release, core.Case.Name, d.level, d.codec)
		rows = append(rows, c.check(ctx, d))
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
	}
	return rows, nil
}

// dumps are what is made of a core: each level, at level 31 each codec where the case
// is the usual one, and what kdump-init made.
func dumps(core *Core, short bool) []dump {
	if short {
		return []dump{{1, "lzo", false}, {16, "zlib", false}, {31, "zstd", true}}
	}
	var all []dump
	for i, level := range Levels {
		if level == 31 {
			break
		}
		all = append(all, dump{level, Codecs[i%len(Codecs)], false})
	}
	if core.Case.Capture {
		for _, codec := range Codecs {
			all = append(all, dump{31, codec, true})
		}
		return append(all, dump{31, CapturedCodec, true})
	}
	return append(all, dump{31, "zstd", true})
}

// checker checks the dumps of one core.
type checker struct {
	*Matrix
	core *Core
	mem  *memory
	work string
	log  map[string]string // of the core, by reader
}

func (c *checker) check(ctx context.Context, d dump) Row {
	row := Row{Kernel: c.core.Kernel.Release, Case: c.core.Case.Name, Level: d.level, Codec: d.codec, Cells: map[string]string{}}
	fail := func(column string, err error) {
		row.Cells[column] = "FAILED"
		row.Errors = append(row.Errors, fmt.Sprintf("%s %s, level %d, %s: %s: %v", row.Kernel, row.Case, row.Level, row.Codec, column, err))
	}
	path, err := c.dump(ctx, d)
	if err != nil {
		fail(ColStored, err)
		return row
	}
	if path != filepath.Join(c.core.Captured, "vmcore") {
		defer os.Remove(path)
	}
	n, stored, err := c.mem.contents(ctx, path)
	if err != nil {
		fail(ColStored, err)
		return row
	}
	row.Cells[ColStored] = strconv.FormatUint(n, 10)
	reference, err := c.referenceSet(ctx, c.core, d.level, c.mem.limit)
	if err == nil {
		row.Differences, err = c.mem.differences(d.level, stored, reference)
		both := n
		for _, r := range rules {
			if r.ours {
				both -= row.Differences[r.name]
			}
		}
		row.Cells[ColReference] = strconv.FormatUint(both, 10)
	}
	if err != nil {
		fail(ColReference, err)
	}
	if n, err := c.libkdumpfile(ctx, path, stored); err != nil {
		fail(ColKdumpfile, err)
	} else {
		row.Cells[ColKdumpfile] = strconv.FormatUint(n, 10)
	}
	if !d.readers {
		return row
	}
	for _, r := range []struct {
		column string
		open   func(context.Context, string) (string, error)
	}{{ColDrgn, c.drgn}, {ColCrash, c.crash}, {ColLog, c.dmesg}} {
		text, err := r.open(ctx, path)
		if err != nil {
			fail(r.column, err)
			continue
		}
		row.Cells[r.column] = text
	}
	return row
}

// dump makes a dump with kdump-vmcore, or gives the one that kdump-init made.
func (c *checker) dump(ctx context.Context, d dump) (string, error) {
	if d.codec == CapturedCodec {
		return filepath.Join(c.core.Captured, "vmcore"), nil
	}
	path := filepath.Join(c.work, fmt.Sprintf("vmcore-%d-%s", d.level, d.codec))
	cmd := exec.CommandContext(ctx, c.Command("kdump-vmcore"), "dump", "-d", strconv.Itoa(d.level), "-c", d.codec, c.core.Path, path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	// A kernel that we claim to know gives no reason to warn.
	if strings.Contains(string(out), "warning:") {
		return path, errors.New(strings.TrimSpace(string(out)))
	}
	return path, nil
}
