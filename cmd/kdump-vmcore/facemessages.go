package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture"
)

// print writes a message of that level.
func (f *face) print(level int, w io.Writer, format string, a ...any) {
	if f.opt.messages&level != 0 {
		f.endProgress()
		fmt.Fprintf(w, format, a...)
	}
}

// out is where messages go that are no errors: with -F, stdout has the dump.
func (f *face) out() io.Writer {
	if f.opt.flat {
		return f.stderr
	}
	return f.stdout
}

func (f *face) common(format string, a ...any) { f.print(levelCommon, f.out(), format+"\n", a...) }
func (f *face) debug(format string, a ...any)  { f.print(levelDebug, f.out(), format+"\n", a...) }

func (f *face) error(err error) {
	f.print(levelError, f.stderr, "makedumpfile: error: %v\n", err)
}

func (f *face) warn(warnings []string) {
	for _, w := range warnings {
		f.print(levelError, f.stderr, "makedumpfile: warning: %s\n", w)
	}
}

// event shows progress, once a second and at the end of a step, whether or not
// there is a terminal: the consoles of crash kernels are read by people.
func (f *face) event(e capture.Event) {
	p := e.Progress
	if f.opt.messages&levelProgress == 0 || p == nil || p.Total == 0 {
		return
	}
	now := time.Now()
	switch {
	case e.Step == f.full, e.Step == f.step && now.Sub(f.last) < time.Second && p.Done < p.Total:
		return
	case p.Done >= p.Total:
		f.full = e.Step
	}
	if e.Step != f.step {
		f.endProgress()
	}
	f.last, f.step = now, e.Step
	fmt.Fprintf(f.stderr, "\r%-60s", progressLine(e.Step, *p))
}

// endProgress ends the line of the step that was shown.
func (f *face) endProgress() {
	if f.step != "" {
		fmt.Fprintln(f.stderr)
		f.step = ""
	}
}

// stdoutIsTerminal tells whether -F would write a dump on a screen.
func (f *face) stdoutIsTerminal() bool {
	o, ok := f.stdout.(*os.File)
	return ok && isTerminal(o)
}
