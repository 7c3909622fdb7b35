package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/kernel"
)

// consoleLines is how many of the log's last lines a watcher gets when there is
// no target to save the log to, lastLines how many of them Config.LastLog gets.
const (
	consoleLines = 60
	lastLines    = 400
)

// saveLog reads the crashed kernel's log and writes it to the target. It needs
// address translation only, so no trouble with pages or their filter costs it.
func (r *run) saveLog() error {
	if r.info == nil {
		return errors.New("the core does not describe its kernel, so the log cannot be found")
	}
	mem, err := r.src.NewReader()
	if err != nil {
		return err
	}
	defer mem.Close()
	space, err := kernel.NewSpace(r.info, r.src.Machine(), mem)
	if err != nil {
		return err
	}
	for _, m := range space.Mended {
		r.warn("%s", m)
	}
	if u, err := kernel.ReadUname(r.info, space); err != nil {
		r.warn("the kernel's own name: %v", err)
	} else {
		r.rep.Build, r.rep.Machine = u.Version, u.Machine
	}

	log, err := dmesg.Read(r.info, space)
	if err != nil {
		return err
	}
	r.rep.Panic = log.Panic
	if r.rep.Panic == "" {
		r.rep.Panic = log.Oops
	}
	for _, w := range log.Warnings {
		r.warn("log: %s", w)
	}
	if r.rep.Panic != "" {
		r.say("%s", r.rep.Panic)
	}
	r.rep.Uptime = uptime(log)
	if r.secret == nil && r.cfg.Encrypt != nil {
		return errors.New("the log is to be encrypted, so it is not shown")
	}
	if r.secret == nil {
		return r.showLog(log)
	}
	return r.writeLog(log)
}

func (r *run) writeLog(log *dmesg.Log) error {
	f, err := r.secret.Create(r.secretName(LogName))
	if err != nil {
		return err
	}
	defer f.Abandon()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := log.WriteText(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if err := f.Commit(); err != nil {
		return err
	}
	saved := r.wrote(f)
	r.say("%s: %d records, %s", saved.Name, log.Count, Bytes(uint64(saved.Bytes)))
	return nil
}

// uptime is how many seconds the crashed kernel had run: its log's last time.
func uptime(log *dmesg.Log) float64 {
	var last uint64
	for rec := range log.Records() {
		last = max(last, rec.TimeNS)
	}
	return float64(last/1e6) / 1e3
}

// showLog gives the end of the log to whoever watches: with nowhere to write
// to, the console is all there is.
func (r *run) showLog(log *dmesg.Log) error {
	t := tail{max: lastLines}
	if err := log.WriteText(&t); err != nil {
		return err
	}
	if r.cfg.LastLog != nil {
		r.cfg.LastLog([]byte(strings.Join(t.lines, "\n") + "\n"))
	}
	shown := t.lines[max(0, len(t.lines)-consoleLines):]
	r.say("the last %d lines of the crashed kernel's log:", len(shown))
	for _, l := range shown {
		r.say("%s", l)
	}
	return nil
}

// tail keeps the last lines of what is written to it.
type tail struct {
	max   int
	lines []string
	part  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		t.part = append(t.part, line...)
		if !found {
			return n, nil
		}
		t.lines = append(t.lines, strings.ToValidUTF8(string(t.part), "?"))
		if len(t.lines) > t.max {
			t.lines = t.lines[1:]
		}
		t.part, p = t.part[:0], rest
	}
}
