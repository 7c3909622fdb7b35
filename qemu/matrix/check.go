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
	"sync"
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
	ColKdumpfile = "libkdumpfile" // pages equal to the core's, and absent ones, by libkdumpfile
	ColDrgn      = "drgn"
	ColCrash     = "crash"
	ColLog       = "log"
)

// Columns are all columns in the order of the table.
var Columns = []string{ColStored, ColReference, ColKdumpfile, ColDrgn, ColCrash, ColLog}

// CapturedCodec is the codec's name in the row of the dump that kdump-init made.
const CapturedCodec = "zstd, by kdump-init"

// CyclesCodec is added to the codec in a row that is compared with makedumpfile's work in
// cycles, as it works where it has little memory.
const CyclesCodec = ", makedumpfile in cycles"

// dump is one dump to make of a core.
type dump struct {
	level   int
	codec   string
	readers bool    // open it in drgn and crash too
	cycles  bool    // let makedumpfile work in cycles, see [cyclic]
	plants  []plant // pages that must differ, each as its rule says
}

// Check compares all dumps of a core. With short, it is levels 1, 16 and 31 in one
// codec. Turn is the core's number among those of a run, see [dumps]. The rows come
// also with an error, which is about the core and not about a dump: those are in the
// rows.
func (m *Matrix) Check(ctx context.Context, core *Core, turn int, short bool) ([]Row, error) {
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
	c := &checker{Matrix: m, core: core, mem: mem, work: work}
	var rows []Row
	for _, d := range dumps(core.Case, turn, short) {
		fmt.Fprintf(m.Progress, "%s, %s: level %d, %s\n", core.Kernel.Release, core.Case.Name, d.level, d.codec)
		rows = append(rows, c.check(ctx, d))
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
	}
	return rows, nil
}

// dumps are what is made of a core: each level below 31 in one codec, level 31 in all,
// and what kdump-init made. The codecs move on by one from core to core, so that each
// meets each level after as many cores as there are codecs.
func dumps(c Case, turn int, short bool) []dump {
	if short {
		return []dump{{level: 1, codec: "lzo"}, {level: 16, codec: "zlib"}, {level: 31, codec: "zstd", readers: true}}
	}
	var all []dump
	for i, level := range Levels {
		if level != 31 {
			all = append(all, dump{level: level, codec: Codecs[(i+turn)%len(Codecs)]})
		}
	}
	for _, codec := range Codecs {
		all = append(all, dump{level: 31, codec: codec, readers: true})
	}
	if c.Capture {
		all = append(all, dump{level: 31, codec: CapturedCodec, readers: true})
	}
	if c.Ragged {
		all = append(all, dump{level: 31, codec: "none", cycles: true})
	}
	return all
}

// checker checks the dumps of one core.
type checker struct {
	*Matrix
	core *Core
	mem  *memory
	work string
}

// said is what the readers of a dump's log found.
type said struct {
	facts    *facts // drgn's; nil if it failed
	crashLog string // empty if crash cannot open the kernel
}

// column is what one reader makes of a dump: the cell's text.
type column struct {
	name string
	read func() (string, error)
}

func (c *checker) check(ctx context.Context, d dump) Row {
	row := Row{Kernel: c.core.Kernel.Release, Case: c.core.Case.Name, Level: d.level, Codec: d.codec, Cells: map[string]string{}}
	if d.cycles {
		row.Codec += CyclesCodec
	}
	set := func(column, text string, err error) {
		if row.Cells[column] = text; err != nil {
			row.Cells[column] = "FAILED"
			row.Errors = append(row.Errors, fmt.Sprintf("%s %s, level %d, %s: %s: %v", row.Kernel, row.Case, row.Level, row.Codec, column, err))
		}
	}
	path, err := c.dump(ctx, d)
	if err != nil {
		set(ColStored, "", err)
		return row
	}
	if path != filepath.Join(c.core.Captured, "vmcore") {
		defer os.Remove(path)
	}
	n, stored, err := c.mem.contents(ctx, path)
	set(ColStored, strconv.FormatUint(n, 10), err)
	if err != nil {
		return row
	}
	var said said
	columns := []column{
		{ColReference, func() (string, error) {
			reference, err := c.referenceSet(ctx, c.core, d.level, c.mem.limit, d.cycles)
			if err != nil {
				return "", err
			}
			row.Differences, err = c.mem.differences(d.level, stored, reference)
			err = errors.Join(err, c.mem.grown(d, stored, reference))
			return strconv.FormatUint(n-row.oursOnly(), 10), err
		}},
		{ColKdumpfile, func() (string, error) { return c.libkdumpfile(ctx, path, stored) }},
	}
	if d.readers {
		columns = append(columns, column{ColDrgn, func() (text string, err error) {
			text, said.facts, err = c.drgn(ctx, path)
			return text, err
		}}, column{ColCrash, func() (text string, err error) {
			text, said.crashLog, err = c.crash(ctx, path)
			return text, err
		}})
	}
	readAll(columns, set)
	if d.readers {
		text, err := c.dmesg(ctx, path, said)
		set(ColLog, text, err)
	}
	return row
}

// atATime is how many readers of one dump run at a time: they are one thread each.
const atATime = 2

// readAll lets all columns read, and gives set what came of them in their order.
func readAll(columns []column, set func(name, text string, err error)) {
	texts, errs := make([]string, len(columns)), make([]error, len(columns))
	slots := make(chan struct{}, atATime)
	var wg sync.WaitGroup
	for i, col := range columns {
		slots <- struct{}{}
		wg.Go(func() {
			texts[i], errs[i] = col.read()
			<-slots
		})
	}
	wg.Wait()
	for i, col := range columns {
		set(col.name, texts[i], errs[i])
	}
}

// oursOnly is how many pages only our dump has.
func (row *Row) oursOnly() (n uint64) {
	for name, pages := range row.Differences {
		if ruleIsOurs(name) {
			n += pages
		}
	}
	return n
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
	if w := c.warning(string(out), d.level); w != "" {
		return path, errors.New(strings.TrimSpace(w))
	}
	return path, nil
}

// warning is what kdump-vmcore warns of; a kernel that we claim to know gives no reason
// to, but for one: below level 2, one that exports no PG_hwpoison keeps a balloon's pages.
func (c *checker) warning(out string, level int) string {
	_, poisons := c.mem.flags["PG_hwpoison"]
	for line := range strings.Lines(out) {
		known := level < 2 && !poisons && strings.Contains(line, "a balloon or a hypervisor driver took out of use are kept")
		if strings.Contains(line, "warning:") && !known {
			return line
		}
	}
	return ""
}
