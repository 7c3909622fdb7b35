package matrix

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Result is a whole run.
type Result struct {
	Reference string `json:"reference"` // makedumpfile's version
	Drgn      string `json:"drgn"`
	Crash     string `json:"crash"`
	Rows      []Row  `json:"rows"`
	// Uncovered tells by kernel and case what could not be made to happen there.
	Uncovered map[string][]string `json:"uncovered,omitempty"`
	// Kernels are the releases in the order of the run.
	Kernels []string `json:"kernels"`
	// Chosen says by release where a kernel is from and why it is that one.
	Chosen map[string]string `json:"chosen,omitempty"`
}

// Errors are all that is wrong.
func (r *Result) Errors() []string {
	var all []string
	for _, row := range r.Rows {
		all = append(all, row.Errors...)
	}
	return all
}

// Merge puts the rows of a part, which is some kernels and cases again, in the place of
// r's own of these.
func (r *Result) Merge(part *Result) {
	type machine struct{ kernel, name string }
	again := map[machine][]Row{}
	for _, row := range part.Rows {
		m := machine{row.Kernel, row.Case}
		again[m] = append(again[m], row)
	}
	var rows []Row
	for _, row := range r.Rows {
		m := machine{row.Kernel, row.Case}
		if fresh, ok := again[m]; ok {
			rows = append(rows, fresh...)
			again[m] = nil // in the place of the first one
			continue
		}
		rows = append(rows, row)
	}
	r.Rows = rows
	for k, why := range part.Chosen {
		if _, ok := r.Chosen[k]; ok {
			r.Chosen[k] = why
		}
	}
}

// cell is a cell with the differences that belong to it.
func (row *Row) cell(column string) string {
	text := row.Cells[column]
	if column != ColReference || text == "FAILED" {
		return text
	}
	for _, r := range ruleNames() {
		n := row.Differences[r]
		if n == 0 {
			continue
		}
		sign := "−"
		if ruleIsOurs(r) {
			sign = "+"
		}
		text += fmt.Sprintf(" %s%d %s", sign, n, r)
	}
	return text
}

func ruleNames() []string {
	var names []string
	for _, r := range rules {
		if !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	return names
}

func ruleIsOurs(name string) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return r.name == name && r.ours })
}

// Table is all rows as a table of Markdown, which reads well on a terminal too.
func (r *Result) Table() string {
	head := append([]string{"kernel", "case", "level", "codec"}, Columns...)
	rows := [][]string{head}
	for _, row := range r.Rows {
		line := []string{row.Kernel, row.Case, fmt.Sprint(row.Level), row.Codec}
		for _, c := range Columns {
			line = append(line, row.cell(c))
		}
		rows = append(rows, line)
	}
	return render(rows)
}

// render aligns the columns; the first row is the head.
func render(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, c := range row {
			fmt.Fprintf(&b, "| %s%s ", c, strings.Repeat(" ", widths[i]-len([]rune(c))))
		}
		b.WriteString("|\n")
	}
	line(rows[0])
	for _, w := range widths {
		b.WriteString("|" + strings.Repeat("-", w+2))
	}
	b.WriteString("|\n")
	for _, row := range rows[1:] {
		line(row)
	}
	return b.String()
}

// intro is the beginning of the document; it takes the versions of makedumpfile, drgn and
// crash, and crash's commands.
const intro = `Each kernel below was crashed in a virtual machine of each kind. Its whole memory, copied byte by
byte from /proc/vmcore, was then dumped by kdump-vmcore dump, and each dump compared:

- **stored**: the pages in the dump; every one equals the core's, read with our own reader.
- **makedumpfile**: the pages that makedumpfile %s stores of the same core at the same level and that
  our dump stores too; then every page that only one of the two has (+ ours, − makedumpfile's), by
  the rule that explains it. Any other difference fails the matrix.
- **libkdumpfile**: the pages that it reads equal from dump and core, which are all that are stored; then
  the other pages of RAM, each of which was asked for and was not there. Its own map of the pages in
  the file has no other page either, in RAM or not.
- **drgn** (%s): registers and backtraces of all CPUs, backtraces of all tasks, modules, the log, and
  the slabs of every slab cache, walked, with the address and the contents of each object in use, are
  the same in dump and core.
- **crash** (%s): %s
  print the same for dump and core: that many lines.
- **log**: our log, byte by byte. drgn's messages, laid out with the time in front and further lines below
  the first, are the same; so is what crash prints, which has a dot for each byte that is not
  printable ASCII, and what kdump-init saved. makedumpfile (which reads no snappy) has a column of
  callers besides, and prints a byte above 127 as \xffffffXX. drgn's own layout has nothing in front
  of further lines, and each byte as it is.

At level 31 every kernel and case goes through every codec and every reader. The other levels are made
in one codec each, which moves on by one from core to core: each codec meets each level. A reader's empty
cell was not asked for.

`

// machines is about the machines of all cases.
const machines = `The kernels boot with no_timer_check: their look at whether timer interrupts come takes the time that an
emulator on a busy machine may lose, and then they panic before there is anything to see; nothing
in memory depends on it.

`

// plantedAbout is about the rows of planted cores.
const plantedAbout = "the same core, with flags of single pages changed in a copy: page cache's on a page of the kernel's image, " +
	"a memory error on a tail, waiters on a page of a process, on a free one and on one that is offline; the differences from makedumpfile must be these pages, by these rules"

// Document is docs/matrix.md.
func (r *Result) Document() []byte {
	var b bytes.Buffer
	b.WriteString("# The kernel matrix\n\n<!-- Written by make test-matrix; do not edit. -->\n\n")
	fmt.Fprintf(&b, intro, r.Reference, r.Drgn, r.Crash, "`"+strings.Join(crashCommands, "`, `")+"` and `log`")
	b.WriteString("## The kernels\n\n")
	for _, k := range r.Kernels {
		fmt.Fprintf(&b, "- **%s**, %s.\n", k, r.Chosen[k])
	}
	b.WriteString("\n## The cases\n\n" + machines)
	for _, c := range Cases {
		fmt.Fprintf(&b, "- **%s**: %s.\n", c.Name, c.About)
	}
	fmt.Fprintf(&b, "- **usual%s**: %s.\n", PlantedCase, plantedAbout)
	for _, k := range slices.Sorted(maps.Keys(r.Uncovered)) {
		fmt.Fprintf(&b, "\nNot to be had in %s: %s.\n", k, strings.Join(r.Uncovered[k], "; "))
	}
	b.WriteString("\n## The differences\n\n")
	for _, name := range ruleNames() {
		var why []string
		var n, planted uint64
		for _, rule := range rules {
			if rule.name == name {
				why = append(why, rule.why)
			}
		}
		for _, row := range r.Rows {
			if strings.HasSuffix(row.Case, PlantedCase) {
				planted += row.Differences[name]
			} else {
				n += row.Differences[name]
			}
		}
		fmt.Fprintf(&b, "- **%s** (%d pages, and %d planted): %s.\n", name, n, planted, strings.Join(why, "; "))
	}
	fmt.Fprintf(&b, "\n## The table\n\n%s", r.Table())
	return b.Bytes()
}

// Summary is the table of supported kernels for the README: one line for each kernel.
func (r *Result) Summary() string {
	rows := [][]string{{"kernel", "cases", "dumps", "pages compared", "unlike makedumpfile " + r.Reference, "drgn " + r.Drgn, "crash " + r.Crash}}
	for _, k := range r.Kernels {
		var cases []string
		var dumps int
		var pages uint64
		differences := map[string]uint64{}
		opened, opens := map[string]string{ColDrgn: "–", ColCrash: "–"}, map[string]int{}
		for _, row := range r.Rows {
			if row.Kernel != k {
				continue
			}
			if !slices.Contains(cases, row.Case) {
				cases = append(cases, row.Case)
			}
			dumps++
			var n uint64
			if _, err := fmt.Sscan(row.Cells[ColStored], &n); err == nil {
				pages += n
			}
			if !strings.HasSuffix(row.Case, PlantedCase) {
				for name, n := range row.Differences {
					differences[name] += n
				}
			}
			for column := range opened {
				switch text := row.Cells[column]; {
				case text == "" || opened[column] == "FAILED":
				case text == "FAILED":
					opened[column] = "FAILED"
				case strings.HasPrefix(text, "not this kernel"):
					opened[column] = "not this kernel"
				default:
					opens[column]++
					opened[column] = fmt.Sprintf("opens %d", opens[column])
				}
			}
		}
		var named []string
		for _, name := range ruleNames() {
			if n := differences[name]; n > 0 {
				named = append(named, fmt.Sprintf("%d %s", n, name))
			}
		}
		if named == nil {
			named = []string{"none"}
		}
		rows = append(rows, []string{k, strings.Join(cases, ", "), fmt.Sprint(dumps), fmt.Sprint(pages), strings.Join(named, ", "), opened[ColDrgn], opened[ColCrash]})
	}
	return render(rows)
}

// Markers of the part of the README that is generated.
const (
	begin = "<!-- kernels:begin -->\n"
	end   = "<!-- kernels:end -->\n"
)

// Readme is the README's part: the summary and where the rest is.
func (r *Result) Readme() string {
	return "Written by `make test-matrix`, which crashes each kernel in machines of several kinds and compares every page;\n" +
		"[docs/matrix.md](docs/matrix.md) has the whole table and the reason for each difference, planted ones besides.\n\n" + r.Summary()
}

// Splice puts text between the markers of a document; the document is returned as it
// is where it has none.
func Splice(doc []byte, text string) []byte {
	i := bytes.Index(doc, []byte(begin))
	j := bytes.Index(doc, []byte(end))
	if i < 0 || j < i {
		return doc
	}
	return slices.Concat(doc[:i+len(begin)], []byte(text), doc[j:])
}
