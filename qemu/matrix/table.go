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

// Document is docs/matrix.md.
func (r *Result) Document() []byte {
	var b bytes.Buffer
	b.WriteString("# The kernel matrix\n\n<!-- Written by make test-matrix; do not edit. -->\n\n")
	fmt.Fprintf(&b, "Each kernel below was crashed in a virtual machine of each kind. Its whole memory, copied byte by\n"+
		"byte from /proc/vmcore, was then dumped by `kdump-vmcore dump`, and each dump compared:\n\n"+
		"- **stored**: the pages in the dump; every one equals the core's, read with our own reader.\n"+
		"- **makedumpfile**: the pages that makedumpfile %s stores of the same core at the same level and that\n"+
		"  our dump stores too; then every page that only one of the two has (`+` ours, `−` makedumpfile's), by\n"+
		"  the rule that explains it. Any other difference fails the matrix.\n"+
		"- **libkdumpfile**: the pages that libkdumpfile reads equal from dump and core: all that are stored.\n"+
		"- **drgn** (%s): backtraces and registers of all CPUs, backtraces of all tasks, modules, slab caches\n"+
		"  and the objects of two of them, and the log, are the same in dump and core.\n"+
		"- **crash** (%s): `%s` print the same for dump and core.\n"+
		"- **log**: our log is, byte by byte, that of drgn, of makedumpfile (which reads no snappy) without its\n"+
		"  caller column, and of the file that kdump-init saved; only how far the second line of a message is\n"+
		"  indented may differ.\n\n"+
		"Levels other than 31 are made in one codec each. An empty cell was not asked for.\n\n", r.Reference, r.Drgn, r.Crash, strings.Join(crashCommands, "`, `"))
	b.WriteString("## The cases\n\n")
	for _, c := range Cases {
		fmt.Fprintf(&b, "- **%s**: %s.\n", c.Name, c.About)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Uncovered)) {
		fmt.Fprintf(&b, "\nNot to be had in %s: %s.\n", k, strings.Join(r.Uncovered[k], "; "))
	}
	b.WriteString("\n## The differences\n\n")
	for _, name := range ruleNames() {
		var why []string
		var n uint64
		for _, rule := range rules {
			if rule.name == name {
				why = append(why, rule.why)
			}
		}
		for _, row := range r.Rows {
			n += row.Differences[name]
		}
		fmt.Fprintf(&b, "- **%s** (%d pages in all): %s.\n", name, n, strings.Join(why, "; "))
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
		opened := map[string]string{ColDrgn: "–", ColCrash: "–"}
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
			for name, n := range row.Differences {
				differences[name] += n
			}
			for column := range opened {
				switch text := row.Cells[column]; {
				case text == "" || opened[column] == "FAILED":
				case text == "FAILED":
					opened[column] = "FAILED"
				case strings.HasPrefix(text, "not this kernel"):
					opened[column] = "not this kernel"
				default:
					opened[column] = "opens"
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
		"[docs/matrix.md](docs/matrix.md) has the whole table and the reason for each difference.\n\n" + r.Summary()
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
