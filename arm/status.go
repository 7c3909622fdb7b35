package arm

import (
	"context"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/arm/kexec"
)

// State is whether a panic would leave a dump.
type State string

// The states.
const (
	// Armed: what is loaded is what is on disk.
	Armed State = "armed"
	// Stale: something is loaded, but not, or not certainly, what is on disk.
	Stale State = "stale"
	// NotArmed: nothing is loaded.
	NotArmed State = "not armed"
	// NoReservation: nothing can be loaded in this boot.
	NoReservation State = "no reservation"
)

// Status is what is armed on a host.
type Status struct {
	State State `json:"state"`
	// Reasons say why the state is not [Armed], a sentence each.
	Reasons []string `json:"reasons,omitempty"`
	// Next says what to do about it.
	Next string `json:"next,omitempty"`
	// Reserved is the reservation in bytes.
	Reserved uint64 `json:"reserved_bytes"`
	// Regions are the reservation's physical addresses, as in /proc/iomem.
	Regions []string `json:"regions,omitempty"`
	// Loaded is what kdump-arm loaded in this boot; nil if it did not.
	Loaded *Record `json:"loaded,omitempty"`
	// Targets is what the last try of its targets found out; nil if there was none.
	Targets *Targets `json:"targets,omitempty"`
	// LastGood is when the last good pair was loaded; zero if there is none.
	LastGood time.Time `json:"last_good,omitzero"`
	// Lockdown is the kernel's lockdown state; "" if unknown.
	Lockdown string `json:"lockdown,omitempty"`
	// FollowsHotplug tells whether the kernel keeps the dump's memory list
	// true by itself when memory comes and goes.
	FollowsHotplug bool `json:"crash_hotplug"`
}

// Status reads the machine's state; it changes nothing. It reads kernel and
// image whole, since only their content tells whether they changed.
// A load by another program after one by kdump-arm cannot be told from the
// latter.
func (h *Host) Status(ctx context.Context) (*Status, error) {
	sys := h.System()
	s := &Status{Lockdown: sys.Lockdown(), FollowsHotplug: sys.FollowsHotplug()}
	var err error
	if s.Reserved, err = sys.Reserved(); err != nil {
		return nil, err
	}
	if regions, err := sys.Regions("Crash kernel"); err == nil {
		for _, r := range regions {
			s.Regions = append(s.Regions, r.String())
		}
	}
	if r, err := readRecordFile(h.path(lastGoodDir + "/" + pairFile)); err == nil {
		s.LastGood = r.Time
	}
	loaded, err := sys.CrashLoaded()
	if err != nil {
		return nil, err
	}
	switch {
	case loaded:
		h.compare(ctx, s)
	case s.Reserved == 0:
		s.State = NoReservation
		s.Reasons = []string{ErrNoReservation.Error()}
		s.Next = kexec.NextReserve
	default:
		s.State = NotArmed
		s.Reasons = []string{"no crash kernel is loaded: a panic now leaves no dump"}
		s.Next = "kdump-arm load"
	}
	return s, ctx.Err()
}

// compare tells whether what is loaded is what is on disk.
func (h *Host) compare(ctx context.Context, s *Status) {
	s.State, s.Next = Armed, ""
	add := func(format string, a ...any) {
		s.Reasons = append(s.Reasons, fmt.Sprintf(format, a...))
		s.State, s.Next = Stale, "kdump-arm load"
	}
	r, err := h.readRecord()
	switch {
	case err != nil:
		add("a crash kernel is loaded, but the record of it is unreadable: %v", err)
		return
	case r == nil:
		add("a crash kernel is loaded, but not by kdump-arm in this boot: what it does is unknown")
		return
	}
	s.Loaded, s.Targets = r, h.readTargets(r.Image)
	if r.PutBack != "" {
		add("the last good pair was put back, since a load failed: %s", r.PutBack)
	}
	if why := r.Kernel.change(ctx); why != "" {
		add("kernel %s %s since it was loaded", r.Kernel.Path, why)
	}
	if why := r.Image.change(ctx); why != "" {
		add("image %s %s since it was loaded", r.Image.Path, why)
	}
	if r.Config.Path != "" {
		if why := r.Config.change(ctx); why != "" {
			add("configuration %s %s since the image was loaded", r.Config.Path, why)
			s.Next = "kdump-mkinitramfs, then kdump-arm load"
		}
	}
	if memory, _ := h.memory(); !s.FollowsHotplug && memory != "" && r.Memory != "" && memory != r.Memory {
		add("memory was plugged in or out since the load: a dump would not know of it")
	}
}
