package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/canary"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// putCanaries puts the file onto the disk that the guest only reads. Were it to
// write the file itself, memory would hold copies.
func putCanaries(ctx context.Context, dir, disk string) error {
	p := make([]byte, canary.CleanPages*canary.PageSize)
	canary.Mark(p, canary.Clean, 0)
	path := filepath.Join(dir, canary.CleanFile)
	if err := os.WriteFile(path, p, 0o644); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return qemu.PutFiles(ctx, disk, map[string]string{canary.CleanFile: path})
}

// Canaries is what the guest said behind one of the prefixes of package canary.
func (o *Outcome) Canaries(prefix string) (*canary.Report, error) {
	_, rest, ok := strings.Cut(o.Console, script.Marker+prefix+"{")
	if !ok {
		return nil, fmt.Errorf("lab: the guest told of no %s; its console is in %s", prefix, o.Log)
	}
	line, _, _ := strings.Cut(rest, "\n")
	var rep canary.Report
	if err := json.Unmarshal([]byte("{"+strings.TrimSpace(line)), &rep); err != nil {
		return nil, fmt.Errorf("lab: the guest's %s: %w", prefix, err)
	}
	return &rep, nil
}

// typeEvery is how often something is typed.
const typeEvery = 2 * time.Second

// freeCanaries dumps the memory of a guest that gave canaries back, if raw is not empty,
// and lets it go on to the panic.
func freeCanaries(ctx context.Context, vm *qemu.VM, monitor, raw string) error {
	if err := vm.Expect(ctx, script.Marker+canary.FreedPrefix); err != nil {
		return err
	}
	if raw != "" {
		if err := dumpRaw(ctx, monitor, raw); err != nil {
			return err
		}
	}
	return Type(ctx, vm, "\n", script.Marker+"(panicking|failed: )")
}

// Type types text on a machine's console, again and again until a regular expression
// answers: the serial port may lose what is typed.
func Type(ctx context.Context, vm *qemu.VM, text, answer string) error {
	re := regexp.MustCompile(answer)
	for {
		if err := vm.Send(text); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, typeEvery)
		_, err := vm.ExpectMatch(short, re)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// monitor is the socket of a machine whose memory goes to the file raw.
func monitor(raw string) string { return raw + ".qmp" }

// dumpRaw has QEMU write the memory. The machine stands still meanwhile.
func dumpRaw(ctx context.Context, monitor, raw string) error {
	q, err := qemu.DialQMP(ctx, monitor)
	if err != nil {
		return err
	}
	defer q.Close()
	return q.DumpGuestMemory(ctx, raw, "elf", false)
}
