package arm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// recordVersion is the version of [Record] that this package writes and reads.
const recordVersion = 1

// Record says what was loaded. It lies in /run/gokdump/armed.json as long as
// this boot lasts.
type Record struct {
	Version int `json:"version"`
	// BootID names the boot in which the load was made.
	BootID string `json:"boot_id"`
	// Time is when the load ended, UTC.
	Time time.Time `json:"time"`
	// Release is the crash kernel's release; "" if its header does not say.
	Release string `json:"release,omitempty"`
	// Kernel, Image and Config are the files as they were.
	Kernel File `json:"kernel"`
	Image  File `json:"image"`
	Config File `json:"config"`
	// Cmdline is the crash kernel's command line.
	Cmdline string `json:"cmdline"`
	// Memory is a digest of the machine's RAM ranges at load time.
	Memory string `json:"memory,omitempty"`
	// PutBack is set when the last good pair had to be loaded instead of what
	// was asked for; it says why.
	PutBack string `json:"put_back,omitempty"`
}

func (h *Host) recordPath() string { return h.path(runDir + "/armed.json") }

// readRecord gives the record of this boot; nil when there is none.
func (h *Host) readRecord() (*Record, error) {
	r, err := readRecordFile(h.recordPath())
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.BootID != h.bootID() {
		return nil, nil
	}
	return r, nil
}

func readRecordFile(path string) (*Record, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxText {
		return nil, fmt.Errorf("%s: %d bytes is no record of kdump-arm", path, fi.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("%s: record version %d, want %d", path, r.Version, recordVersion)
	}
	// The digests become part of file names.
	for _, sum := range []string{r.Kernel.SHA256, r.Image.SHA256} {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("%s: %q is no SHA-256 digest", path, sum)
		}
	}
	return r, nil
}

// writeRecordFile writes r whole or not at all.
func writeRecordFile(path string, r *Record, mode fs.FileMode) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, append(b, '\n'), mode, renameio.WithTempDir(dir))
}

// forget takes the record away: what it says is no longer so.
func (h *Host) forget() error {
	if err := os.Remove(h.recordPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
