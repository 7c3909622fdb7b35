// Package plan is the contract between the host and the crash kernel: one
// JSON document, /plan.json in the crash image, that says everything
// kdump-init does. The host resolves it (UUIDs, module order, deadlines,
// failure actions); the crash kernel decides nothing.
//
// The package owns the document's types, its checks and its JSON form. It never
// looks at the machine: what a UUID or a module name stands for is the
// business of arm/config, initramfs and initramfs/boot.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// Version is the document version that this package writes and the only one it
// reads. It changes when an older kdump-init would misread a newer plan.
const Version = 2

// File is where the plan lies in the crash image.
const File = "/plan.json"

// MaxSize bounds a plan document, in bytes. A plan is a few KiB.
const MaxSize = 1 << 20

// Plan is everything that kdump-init needs to know.
type Plan struct {
	// Version is the document version; see [Version].
	Version int `json:"version"`
	// Host names the machine in the dump directory's name. Never empty.
	Host string `json:"host"`
	// Kernel is the release (uname -r) whose modules are in the image.
	Kernel string `json:"kernel"`
	// Modules are loaded in this order, before devices are looked for.
	Modules []Module `json:"modules,omitempty"`
	// Targets are where the log and the dump may go, the best first: each is
	// tried when the ones before it failed. 1 to [MaxTargets].
	Targets []Target `json:"targets"`
	// Network is how remote targets are reached; nil when there are none.
	Network *Network `json:"network,omitempty"`
	// Files are the names of the files in [FileDir]: keys, certificates.
	Files []string `json:"files,omitempty"`
	// Dump says what is kept and how it is compressed.
	Dump Dump `json:"dump"`
	// Recipients are the public keys that log and dump are encrypted to: those of
	// age, or of SSH. None means that they are not encrypted.
	Recipients []string `json:"recipients,omitempty"`
	// Notify is where the crash kernel posts the report; nil where it has no
	// network, or there is no such place.
	Notify *Notify `json:"notify,omitempty"`
	// Keep is the rule for old dumps, LoopGuard the one against crash loops; nil
	// is none.
	Keep      Keep       `json:"keep,omitzero"`
	LoopGuard *LoopGuard `json:"loop_guard,omitempty"`
	// Deadlines bound every wait.
	Deadlines Deadlines `json:"deadlines"`
	// FailureAction is done when the dump could not be saved whole.
	FailureAction Action `json:"failure_action"`
	// FinalAction is done after a dump that was saved.
	FinalAction Action `json:"final_action"`
}

// Module is one kernel module in the image.
type Module struct {
	// Name is the module's name with underscores, as in /proc/modules.
	Name string `json:"name"`
	// Path is the plain .ko file in the image, absolute.
	Path string `json:"path"`
	// Params are the module's parameters, as modprobe would pass them.
	Params string `json:"params,omitempty"`
}

// Dump says what is kept and how it is compressed.
type Dump struct {
	// Level is the dump level, 0 to 31, in the bits that makedumpfile(8)
	// documents: 1 zero, 2 cache without private, 4 all cache, 8 user, 16 free.
	Level int `json:"level"`
	// Codec is zstd, zlib, lzo, snappy or none.
	Codec string `json:"codec"`
	// Workers is the number of compressing goroutines; 0 means one for each
	// CPU that the crash kernel brought up.
	Workers int `json:"workers,omitempty"`
}

// Deadlines bound every wait. All are whole seconds in JSON and greater than 0.
type Deadlines struct {
	// Device is how long the target's block device may take to appear.
	Device Seconds `json:"device"`
	// Mount is how long mounting it may take.
	Mount Seconds `json:"mount"`
	// Stall is how long a capture may make no progress.
	Stall Seconds `json:"stall"`
	// Capture bounds the whole capture: when it passes, the dump is finished
	// with the pages that it has.
	Capture Seconds `json:"capture"`
	// Reboot bounds what comes after: unmounting and rebooting in good order.
	Reboot Seconds `json:"reboot"`
}

// DefaultDeadlines suit a local disk and a large machine.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Device:  Seconds(60 * time.Second),
		Mount:   Seconds(120 * time.Second),
		Stall:   Seconds(120 * time.Second),
		Capture: Seconds(4 * time.Hour),
		Reboot:  Seconds(30 * time.Second),
	}
}

// Seconds is a duration that JSON holds as a whole number of seconds.
type Seconds time.Duration

// Duration gives s as the standard library's type.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// MarshalJSON writes whole seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(int64(time.Duration(s) / time.Second))
}

// UnmarshalJSON reads whole seconds, 1 to 365 days.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	if n < 1 || n > 365*24*3600 {
		return fmt.Errorf("%d seconds is not within 1 and 365 days", n)
	}
	*s = Seconds(time.Duration(n) * time.Second)
	return nil
}

// Action is what is done when nothing is left to do.
type Action string

// The actions. Shell is kdump-init's own rescue console; it ends in a reboot
// when nobody types anything before its deadline.
const (
	Reboot   Action = "reboot"
	Poweroff Action = "poweroff"
	Halt     Action = "halt"
	Shell    Action = "shell"
)

// Actions lists the known actions, in the order documentation shows them.
func Actions() []Action { return []Action{Reboot, Poweroff, Halt, Shell} }

// Codecs lists the known codec names, the default first.
func Codecs() []string { return []string{"zstd", "zlib", "lzo", "snappy", "none"} }

// Validate reports everything that is wrong with p, joined; nil when p can be
// carried out as far as its own text tells.
func (p *Plan) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf("plan: "+format, a...)) }

	if p.Version != Version {
		bad("version %d, but this program knows only version %d: build the image anew", p.Version, Version)
	}
	if p.Host == "" || strings.ContainsAny(p.Host, "/\x00\n") || p.Host == "." || p.Host == ".." {
		bad("host %q cannot be part of a directory's name", p.Host)
	}
	if p.Kernel == "" {
		bad("no kernel release")
	}
	for i, m := range p.Modules {
		if m.Name == "" || !cleanAbs(m.Path) {
			bad("module %d: name %q, path %q: want a name and an absolute clean path", i, m.Name, m.Path)
		}
	}
	if n := len(p.Targets); n < 1 || n > MaxTargets {
		bad("%d targets is not within 1 and %d", n, MaxTargets)
	}
	for _, t := range p.Targets {
		t.validate(p, bad)
	}
	p.validateFiles(bad)
	p.validateAfter(bad)
	if p.Network != nil {
		p.Network.validate(bad)
	} else if slices.ContainsFunc(p.Targets, Target.Remote) {
		bad("a target is remote, and there is no network")
	}
	if p.Dump.Level < 0 || p.Dump.Level > 31 {
		bad("dump level %d is not within 0 and 31", p.Dump.Level)
	}
	if !slices.Contains(Codecs(), p.Dump.Codec) {
		bad("codec %q is none of %s", p.Dump.Codec, strings.Join(Codecs(), ", "))
	}
	if p.Dump.Workers < 0 || p.Dump.Workers > 4096 {
		bad("%d workers is not within 0 and 4096", p.Dump.Workers)
	}
	d := p.Deadlines
	for _, x := range []struct {
		name string
		s    Seconds
	}{{"device", d.Device}, {"mount", d.Mount}, {"stall", d.Stall}, {"capture", d.Capture}, {"reboot", d.Reboot}} {
		if x.s <= 0 {
			bad("deadline %q is missing: everything must end", x.name)
		}
	}
	for _, x := range []struct {
		name string
		a    Action
	}{{"failure_action", p.FailureAction}, {"final_action", p.FinalAction}} {
		if !slices.Contains(Actions(), x.a) {
			bad("%s %q is none of reboot, poweroff, halt, shell", x.name, x.a)
		}
	}
	return errors.Join(errs...)
}

// Decode reads one plan, strictly: unknown fields, trailing text and anything
// that [Plan.Validate] finds are errors.
func Decode(r io.Reader) (*Plan, error) {
	dec := json.NewDecoder(io.LimitReader(r, MaxSize))
	dec.DisallowUnknownFields()
	p := new(Plan)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("plan: text after the document's end")
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Encode writes p, indented, with a final newline. The same plan always gives
// the same bytes. It refuses a plan that [Decode] would refuse.
func (p *Plan) Encode(w io.Writer) error {
	if err := p.Validate(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func cleanAbs(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s && !strings.ContainsRune(s, 0)
}
