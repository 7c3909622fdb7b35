package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
)

// inspect reads a crash image whole, which proves that it unpacks, and finds out
// which kernel its plan is for. An image without /init or without a plan is not
// ours and would leave the crash kernel with nothing to do.
func inspect(ctx context.Context, r io.Reader) (arm.ImageInfo, error) {
	a, err := archive.NewReader(r)
	if err != nil {
		return arm.ImageInfo{}, err
	}
	defer a.Close()
	var p *plan.Plan
	var init bool
	files := map[string][]byte{}
	for {
		if err := ctx.Err(); err != nil {
			return arm.ImageInfo{}, err
		}
		f, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return arm.ImageInfo{}, err
		}
		if name, ok := strings.CutPrefix("/"+f.Name, plan.FileDir+"/"); ok && f.Mode.IsRegular() {
			files[name] = f.Data
		}
		switch f.Name {
		case "init":
			init = f.Mode.IsRegular() && f.Mode.Perm()&0o111 != 0 && len(f.Data) > 0
		case strings.TrimPrefix(plan.File, "/"):
			if p, err = plan.Decode(bytes.NewReader(f.Data)); err != nil {
				return arm.ImageInfo{}, fmt.Errorf("%s in it: %w", plan.File, err)
			}
		}
	}
	switch {
	case !init:
		return arm.ImageInfo{}, errors.New("no executable /init in it: not an image of kdump-mkinitramfs")
	case p == nil:
		return arm.ImageInfo{}, fmt.Errorf("no %s in it: not an image of kdump-mkinitramfs", plan.File)
	}
	return arm.ImageInfo{Kernel: p.Kernel, Unpacked: uint64(a.Plain()), Plan: p, Files: files}, nil
}
