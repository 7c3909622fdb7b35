package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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

// Canaries is what the guest marked, nil if it did not say.
func (o *Outcome) Canaries() (*canary.Report, error) {
	_, rest, ok := strings.Cut(o.Console, script.Marker+canary.ReportPrefix)
	if !ok {
		return nil, fmt.Errorf("lab: the guest told of no canaries; its console is in %s", o.Log)
	}
	line, _, _ := strings.Cut(rest, "\n")
	var rep canary.Report
	if err := json.Unmarshal([]byte(strings.TrimSpace(line)), &rep); err != nil {
		return nil, fmt.Errorf("lab: the guest's canaries: %w", err)
	}
	return &rep, nil
}

// monitor is the socket of a machine whose memory goes to the file raw.
func monitor(raw string) string { return raw + ".qmp" }

// dumpRaw has QEMU write the memory. The machine stands still meanwhile.
func dumpRaw(ctx context.Context, raw string) error {
	q, err := qemu.DialQMP(ctx, monitor(raw))
	if err != nil {
		return err
	}
	defer q.Close()
	return q.DumpGuestMemory(ctx, raw, "elf", false)
}
