package main

import (
	"flag"
	"fmt"
	"path/filepath"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/target"
)

// createOut starts the file out, which has its name only when it is committed.
// done gives the directory back, after the file has ended.
func createOut(out string, force bool) (f target.File, done func(), err error) {
	dir, err := target.NewDir(filepath.Dir(out))
	if err != nil {
		return nil, nil, err
	}
	dir.Overwrite = force
	if f, err = dir.Create(filepath.Base(out)); err != nil {
		dir.Close()
		return nil, nil, err
	}
	return f, func() { f.Abandon(); dir.Close() }, nil
}

// unfinished is the path of a file that createOut started for out.
func unfinished(out string, f target.File) string {
	return filepath.Join(filepath.Dir(out), f.Name())
}

// saveFlags are the flags of all commands that write a dump.
type saveFlags struct {
	level   *int
	codec   *string
	force   *bool
	workers *int
	all     *bool
}

// addSaveFlags adds them; without a level, the command has no -d.
func addSaveFlags(fs *flag.FlagSet, level *int, codecName string) saveFlags {
	f := saveFlags{
		codec:   fs.String("c", codecName, ""),
		force:   fs.Bool("f", false, ""),
		workers: fs.Int("workers", 0, ""),
		all:     fs.Bool("verify-all", false, ""),
	}
	if level != nil {
		f.level = fs.Int("d", *level, "")
	}
	return f
}

// options checks what was given. other is the codec when none was.
func (f saveFlags) options(other string) (capture.SaveOptions, error) {
	opt := capture.SaveOptions{Workers: *f.workers, VerifyAll: *f.all}
	if f.level != nil {
		opt.Level = *f.level
	}
	if opt.Level < 0 || opt.Level > 31 {
		return opt, fmt.Errorf("dump level %d is not from 0 to 31", opt.Level)
	}
	if opt.Workers < 0 || opt.Workers > maxWorkers {
		return opt, fmt.Errorf("%d workers are not from 0 to %d", opt.Workers, maxWorkers)
	}
	var err error
	opt.Codec, err = parseCodec(*f.codec, other)
	return opt, err
}

// parseCodec is codec.Parse with a default.
func parseCodec(name, other string) (codec.ID, error) {
	if name == "" {
		name = other
	}
	return codec.Parse(name)
}
