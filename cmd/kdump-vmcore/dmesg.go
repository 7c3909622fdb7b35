package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/gokdump/gokdump/capture/dmesg"
)

const dmesgUsage = `usage: kdump-vmcore dmesg [-f] [--caller] [--salvage] [--vmcoreinfo FILE] [--json]
                          IN [OUT]

Shows the log of the crashed kernel that is in the core IN, as dmesg does, or
writes it to OUT. Control characters come out as \x1b and the like.

  -f                 overwrite OUT
  --caller           show which task (T) or CPU (C) wrote each record
  --salvage          take a core that is cut short
  --vmcoreinfo FILE  use this VMCOREINFO, not the core's
  --json             one JSON object for each record

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 some records are lost
`

func runDmesg(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("dmesg", flag.ContinueOnError)
	force := fs.Bool("f", false, "")
	caller := fs.Bool("caller", false, "")
	opt := sourceFlags(fs)
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, dmesgUsage, args, 1, 2)
	if done {
		return code
	}
	core, err := openCore(ctx, files[0], *opt)
	if err != nil {
		return c.fail(err)
	}
	defer core.Close()
	c.note(core.mended)
	log, err := core.log()
	if err != nil {
		return c.fail(err)
	}
	log.Callers = log.Callers || *caller
	write := log.WriteText
	if *asJSON {
		write = func(w io.Writer) error { return writeRecords(w, log) }
	}
	if len(files) == 1 {
		err = write(c.stdout)
	} else if err = checkOut(files[0], files[1]); err == nil {
		err = writeFile(files[1], *force, write)
	}
	if err != nil {
		return c.fail(err)
	}
	for _, w := range log.Warnings {
		c.warn([]string{"kernel log: " + w})
	}
	if len(log.Warnings) > 0 {
		return exitIncomplete
	}
	return exitOK
}

// writeFile writes a file that has its name only when it is whole.
func writeFile(path string, force bool, write func(io.Writer) error) error {
	f, done, err := createOut(path, force)
	if err != nil {
		return err
	}
	defer done()
	if err := write(f); err != nil {
		return err
	}
	return f.Commit()
}

// jsonRecord is one record as dmesg --json prints it.
type jsonRecord struct {
	Seq      uint64  `json:"seq"`
	Time     float64 `json:"time"` // seconds since boot
	Facility uint8   `json:"facility"`
	Level    uint8   `json:"level"`
	Caller   string  `json:"caller,omitempty"`
	Text     string  `json:"text"`
}

func writeRecords(w io.Writer, log *dmesg.Log) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for r := range log.Records() {
		j := jsonRecord{Seq: r.Seq, Time: float64(r.TimeNS/1e3) / 1e6, Facility: r.Facility, Level: r.Level, Text: string(r.Text)}
		if log.Callers || log.Layout == "printk_ringbuffer" {
			j.Caller = r.CallerName()
		}
		if err := enc.Encode(j); err != nil {
			return fmt.Errorf("write kernel log: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write kernel log: %w", err)
	}
	return nil
}
