// Package spec is what the kernel matrix tells its guest to do, and the lines that
// the guest answers with on its console.
//
// It owns the document and nothing else: package main of qemu/matrix/guest carries
// it out.
package spec

import (
	"encoding/json"
	"fmt"
)

// File is where the document lies in both initramfs images.
const File = "/matrix.json"

// Lines of the guest's console begin with Marker.
const (
	Marker     = "MATRIX: "
	Inflate    = "ready for the balloon" // the host may inflate the balloon now
	CoreSize   = "core "                 // then the size of /proc/vmcore in bytes
	Failed     = "failed: "
	Uncovered  = "not covered: " // what this kernel cannot be made to do
	WorkerName = "matrix-worker" // of every process that holds memory
)

// Spec is one guest. Sizes are MiB.
type Spec struct {
	// Modules are files of the initramfs, loaded in this order.
	Modules []string `json:"modules,omitempty"`
	// Cmdline is the crash kernel's command line.
	Cmdline string `json:"cmdline,omitempty"`
	// Workers is the number of processes with AnonMiB of small anonymous pages,
	// 1 MiB of tmpfs and 1 MiB of locked memory each.
	Workers int `json:"workers,omitempty"`
	AnonMiB int `json:"anon_mib,omitempty"`
	// THPMiB is anonymous memory in transparent huge pages.
	THPMiB int `json:"thp_mib,omitempty"`
	// Huge is the number of 2 MiB huge pages to reserve; half of them are used.
	Huge int `json:"huge,omitempty"`
	// Gigantic maps a 1 GiB page that was reserved at boot.
	Gigantic bool `json:"gigantic,omitempty"`
	// BalloonMiB waits for the host to take that much away.
	BalloonMiB int `json:"balloon_mib,omitempty"`
	// CacheMiB is page cache, synced; a quarter of it is written again and left
	// dirty.
	CacheMiB int `json:"cache_mib,omitempty"`
	// Poison injects memory errors where the kernel can.
	Poison bool `json:"poison,omitempty"`
	// Then is the program that becomes PID 1 of the crash kernel after the copy;
	// empty restarts the machine.
	Then string `json:"then,omitempty"`
}

// Parse reads the document.
func Parse(b []byte) (*Spec, error) {
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("matrix: %s: %w", File, err)
	}
	return &s, nil
}

// Marshal writes the document.
func (s *Spec) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("matrix: %s: %w", File, err)
	}
	return b, nil
}
