package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
)

// logLines is the most of the saved log that is shown.
const logLines = 60

// show puts what the demonstration found on the screen.
type show struct {
	out     io.Writer
	lab     *lab.Lab
	outcome *lab.Outcome
	left    lab.Left
	found   *readers.Findings
	total   time.Duration
}

// dumpName is the dump's name, which tells whether it is whole.
func (s *show) dumpName() string {
	if s.left.Report.Result == capture.Partial {
		return capture.PartialName
	}
	return capture.DumpName
}

func (s *show) all() error {
	s.title("The report: %s", capture.ReadmeName)
	fmt.Fprint(s.out, s.left.Text(capture.ReadmeName))

	s.title("The end of the saved log: %s", capture.LogName)
	fmt.Fprintln(s.out, lastWords(s.left.Text(capture.LogName)))

	s.title("The dump in drgn: who panicked, and where")
	fmt.Fprintf(s.out, "release %s, %d tasks, %d modules; task %d (%s):\n%s\n",
		s.found.Release, len(s.found.Tasks), len(s.found.Modules), s.found.CrashedTID, s.found.CrashedComm, s.found.Trace)

	s.title("Sizes and times")
	if err := s.sizes(); err != nil {
		return err
	}

	core := relative(s.left.Path(s.dumpName()))
	s.title("The dump lies in")
	fmt.Fprintf(s.out, "%s\n\nLook around in it:\n    drgn -c %s -s %s\n", relative(s.left.Dir), core, s.lab.Kernel.Debug)
	if s.left.Report.Result != capture.Complete {
		return fmt.Errorf("the dump is %s: %s", s.left.Report.Result, s.left.Report.Error)
	}
	return nil
}

// lastWords is the end of a log, from the panic on if it is that short.
func lastWords(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	lines = lines[max(len(lines)-logLines, 0):]
	for i, line := range lines {
		if strings.Contains(line, "Kernel panic") {
			return strings.Join(lines[i:], "\n")
		}
	}
	return strings.Join(lines, "\n")
}

func (s *show) sizes() error {
	image, err := os.Stat(s.outcome.Image)
	if err != nil {
		return err
	}
	r := s.left.Report
	dump, _ := r.FileNamed(s.dumpName())
	row := func(name, format string, a ...any) {
		fmt.Fprintf(s.out, "%-28s %s\n", name, fmt.Sprintf(format, a...))
	}
	row("crash image", "%s", capture.Bytes(uint64(image.Size())))
	row("memory of the machine", "%s", capture.Bytes(r.RAMPages*r.PageSize))
	row("dump", "%s, %d of %d pages, level %d, %s", capture.Bytes(uint64(dump.Bytes)), r.StoredPages, r.RAMPages, r.Level, r.Codec)
	row("boot, fill memory, arm", "%.1f s", s.outcome.ToPanic.Seconds())
	row("panic to dump", "%.1f s, of which the capture took %.1f s", s.outcome.ToEnd.Seconds(), r.Finished.Sub(r.Started).Seconds())
	row("all of it", "%.1f s", s.total.Seconds())
	return nil
}

func (s *show) title(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	fmt.Fprintf(s.out, "\n----- %s %s\n\n", text, strings.Repeat("-", max(70-len(text), 3)))
}

// relative is path as seen from the working directory, where that is shorter.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}
