package arm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DefaultPanic is how long a crash kernel that panics itself waits before it
// reboots, in seconds: long enough to read the console. It is the only thing that
// restarts a crash kernel that dies before kdump-init runs.
const DefaultPanic = 10

// MaxCPUs bounds the CPUs of a crash kernel. Each costs memory, most of it in
// per-CPU areas and stacks.
const MaxCPUs = 512

// Machine is what the command line depends on besides the running one.
type Machine struct {
	// Arch is the machine's architecture as GOARCH names it.
	Arch string
	// Vendor is the maker's name from the firmware (DMI), may be empty.
	Vendor string
	// BootAPIC is the boot CPU's APIC id; -1 if unknown or not x86.
	BootAPIC int
}

// Wishes are the user's changes to the command line.
type Wishes struct {
	// Append lists words to add; a word replaces one of ours of the same name.
	Append string
	// Remove lists words to leave out: name takes out every such word,
	// name=value that one, stem* every name that begins so.
	Remove string
	// CPUs is the number of CPUs that the crash kernel starts, 1 to
	// [MaxCPUs]; 0 means 1.
	CPUs int
}

// Change is one difference between the running kernel's command line and the
// crash kernel's.
type Change struct {
	// Word is the argument as it is written.
	Word string
	// Why is the reason, a short clause.
	Why string
}

// Cmdline is a crash kernel's command line and how it came about.
type Cmdline struct {
	// Text is the line, without the elfcorehdr= that the kernel adds.
	Text string
	// Removed are words of the running kernel that are not in Text.
	Removed []Change
	// Added are words in Text that the running kernel does not have.
	Added []Change
}

// Derive makes the crash kernel's command line from the running kernel's.
// The result has panic= exactly once and more than 0, and nothing in it keeps
// /init of the image from running.
func Derive(running string, m Machine, w Wishes) (*Cmdline, error) {
	words, rest, err := splitCmdline(running)
	if err != nil {
		return nil, fmt.Errorf("running kernel's command line: %w", err)
	}
	ours, err := ourWords(m, w)
	if err != nil {
		return nil, err
	}
	theirs, err := appendWords(w.Append)
	if err != nil {
		return nil, err
	}
	c := new(Cmdline)
	if rest != "" {
		c.Removed = append(c.Removed, Change{"-- " + rest, "it is for the running system's init"})
	}
	patterns := strings.Fields(w.Remove)

	var kept []word
	for _, x := range words {
		why := reason(removals, x.key)
		switch {
		case why != "":
		case slices.ContainsFunc(ours, func(o ourWord) bool { return o.key == x.key && !o.beside }):
			why = "the crash kernel has its own"
		case wished(patterns, x):
			why = "--remove"
		}
		if why != "" {
			c.Removed = append(c.Removed, Change{x.text, why})
			continue
		}
		kept = append(kept, x)
	}
	for _, o := range ours {
		if slices.ContainsFunc(theirs, func(t word) bool { return t.key == o.key }) {
			continue // replaced by --append
		}
		if wished(patterns, o.word) {
			if o.key == "panic" {
				return nil, errors.New("panic= cannot be removed: without it a crash kernel that fails hangs for ever; set another time with --append panic=SECONDS")
			}
			continue
		}
		kept = append(kept, o.word)
		c.Added = append(c.Added, Change{o.text, o.why})
	}
	for _, t := range theirs {
		kept = append(kept, t)
		c.Added = append(c.Added, Change{t.text, "--append"})
	}
	c.Text = joinWords(kept)
	return c, nil
}

type ourWord struct {
	word
	why    string
	beside bool
}

// ourWords lists what the crash kernel needs on machine m.
func ourWords(m Machine, w Wishes) ([]ourWord, error) {
	cpus := w.CPUs
	if cpus == 0 {
		cpus = 1
	}
	if cpus < 1 || cpus > MaxCPUs {
		return nil, fmt.Errorf("%d CPUs for the crash kernel is not within 1 and %d", cpus, MaxCPUs)
	}
	out := []ourWord{
		{makeWord(fmt.Sprintf("panic=%d", DefaultPanic)), "a crash kernel that fails must reboot", false},
		{makeWord(fmt.Sprintf("nr_cpus=%d", cpus)), "each CPU costs memory", false},
	}
	if cpus > 1 && m.Arch == "amd64" {
		if m.BootAPIC < 0 {
			return nil, errors.New("/proc/cpuinfo does not tell the boot CPU's APIC id, which more than one CPU needs: use --cpus 1")
		}
		out = append(out, ourWord{makeWord(fmt.Sprintf("disable_cpu_apicid=%d", m.BootAPIC)),
			"starting the boot CPU a second time would reset the machine", false})
	}
	for _, a := range additions {
		if (a.arch == "" || a.arch == m.Arch) && (a.unless == nil || !a.unless(m)) {
			out = append(out, ourWord{makeWord(a.text), a.why, a.beside})
		}
	}
	return out, nil
}

// appendWords checks what the user wants to add. The last panic= counts.
func appendWords(text string) ([]word, error) {
	words, rest, err := splitCmdline(text)
	if err != nil {
		return nil, fmt.Errorf("--append: %w", err)
	}
	if rest != "" {
		return nil, errors.New("--append: -- would hide what follows it from the kernel")
	}
	lastPanic := -1
	for i, w := range words {
		if why := reason(refused, w.key); why != "" {
			return nil, fmt.Errorf("--append %s: %s", w.text, why)
		}
		if w.key != "panic" {
			continue
		}
		// The kernel reboots after n seconds, at once if n < 0, never if n is 0.
		if n, err := strconv.Atoi(w.value); err != nil || n == 0 {
			return nil, fmt.Errorf("--append %s: a crash kernel that fails would hang for ever; want a number of seconds, or -1 for at once", w.text)
		}
		lastPanic = i
	}
	out := words[:0:0]
	for i, w := range words {
		if w.key != "panic" || i == lastPanic {
			out = append(out, w)
		}
	}
	return out, nil
}

func reason(rules []rule, key string) string {
	for _, r := range rules {
		if r.match(key) {
			return r.why
		}
	}
	return ""
}

// wished tells whether one of the --remove patterns names w.
func wished(patterns []string, w word) bool {
	for _, p := range patterns {
		key, value, hasValue := strings.Cut(p, "=")
		if matchKey(canonical(key), w.key) && (!hasValue || value == w.value) {
			return true
		}
	}
	return false
}

// checkLength reports a line that is longer than limit bytes, with its longest
// words, since those are what the user can take out.
func checkLength(line string, limit int) error {
	if len(line) <= limit {
		return nil
	}
	words, _, err := splitCmdline(line)
	if err != nil {
		return err
	}
	slices.SortStableFunc(words, func(a, b word) int { return len(b.text) - len(a.text) })
	var longest []string
	for _, w := range words[:min(3, len(words))] {
		longest = append(longest, fmt.Sprintf("%.40s (%d)", w.key, len(w.text)))
	}
	return &Problem{
		Text: fmt.Sprintf("the crash kernel's command line is %d bytes; this kernel takes %d, with room for what it appends itself", len(line), limit),
		Next: "take words out with --remove; the longest are " + strings.Join(longest, ", "),
	}
}
