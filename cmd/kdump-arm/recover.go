package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/raw"
	"github.com/gokdump/gokdump/initramfs/drivers"
)

// recover copies dumps off the raw devices of the configuration.
func (p *program) recover(ctx context.Context, args []string) int {
	var file, to string
	f := flag.NewFlagSet("recover", flag.ContinueOnError)
	f.StringVar(&file, "config", "", "")
	f.StringVar(&to, "to", "", "")
	if code, done := p.parse(f, args, exitUsage); done {
		return code
	}
	if p.needRoot("recover") {
		return exitFailed
	}
	optional := file == ""
	if optional {
		file = p.host.System().Path(defaultConfig)
	}
	cfg, err := config.Load(file, optional)
	if err != nil {
		return p.fail(err)
	}
	code := exitOK
	for _, t := range cfg.Targets {
		if t.Kind != plan.KindRaw {
			continue
		}
		dir := to
		if dir == "" {
			dir = t.Path
		}
		if dir == "" {
			dir = cfg.Path
		}
		if err := p.recoverOne(ctx, t.Device, dir); err != nil {
			fmt.Fprintf(p.stderr, "kdump-arm: error: %v\n", err)
			code = exitFailed
		}
	}
	if code != exitOK {
		p.hint("what was not copied stays on the device, and the next crash does not overwrite it; run kdump-arm recover again, with --to DIR for another place")
	}
	return code
}

// errDamaged says that a device does not hold what was written to it.
var errDamaged = errors.New("files are damaged")

func (p *program) recoverOne(ctx context.Context, d plan.Device, dir string) error {
	name, err := drivers.Host{}.Find(ctx, d)
	if err != nil {
		return fmt.Errorf("raw target %s: %w", d, err)
	}
	dev := "/dev/" + strings.ReplaceAll(name, "!", "/")
	got, err := raw.Recover(ctx, dev, dir)
	for _, made := range got.Dirs {
		fmt.Fprintf(p.stdout, "recovered: %s\n", made)
	}
	if err != nil {
		return err
	}
	if got.Files > 0 {
		fmt.Fprintf(p.stdout, "%d files, %s, from %s\n", got.Files, mib(got.Bytes), dev)
	}
	if len(got.Damaged) > 0 {
		return fmt.Errorf("%s: %w, and saved as NAME%s: %s", dev, errDamaged, raw.Damaged, strings.Join(got.Damaged, ", "))
	}
	return nil
}
