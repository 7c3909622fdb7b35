package arm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/gokdump/gokdump/arm/probe"
)

// Targets is what a try of an image's targets found out. It lies in
// /run/gokdump/targets.json as long as this boot lasts.
type Targets struct {
	BootID string `json:"boot_id"`
	// Time is when they were tried, UTC.
	Time time.Time `json:"time"`
	// Image is the SHA-256 of the image, in hex.
	Image   string         `json:"image"`
	Results []probe.Result `json:"results"`
}

func (h *Host) targetsPath() string { return h.path(runDir + "/targets.json") }

// KeepTargets remembers what a try of the targets of an image found out, for Status.
func (h *Host) KeepTargets(image File, results []probe.Result) error {
	b, err := json.MarshalIndent(&Targets{BootID: h.bootID(), Time: h.now(), Image: image.SHA256, Results: results}, "", "\t")
	if err != nil {
		return err
	}
	path := h.targetsPath()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, append(b, '\n'), 0o644, renameio.WithTempDir(dir))
}

// readTargets gives what was found out about an image in this boot; nil if nothing.
func (h *Host) readTargets(image File) *Targets {
	text, err := h.readText(runDir + "/targets.json")
	if err != nil {
		return nil
	}
	t := new(Targets)
	if json.Unmarshal([]byte(text), t) != nil || t.BootID != h.bootID() || t.Image != image.SHA256 {
		return nil
	}
	return t
}
