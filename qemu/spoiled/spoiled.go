// Package spoiled proves on real cores that the filter fails safe: it spoils what
// the kernel says of itself, key by key, and pieces of its memory, and holds each
// dump against a good one. No page of the good dump may be missing, the log must be
// the same where its own keys and tables are sound, and a dump that grew must say so.
//
// It owns what is spoiled, and the judgement; it writes no file and changes no core.
package spoiled

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gokdump/gokdump/capture/capturetest/spoil"
	"github.com/gokdump/gokdump/capture/dmesg"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// Levels are all dump levels that are each of one bit, and all bits at once.
var Levels = []int{1, 2, 4, 8, 16, 31}

// Options of [Check].
type Options struct {
	// Levels are the dump levels to compare at.
	Levels []int
	// Thorough takes each number there is in place of the right one, and not only
	// its neighbours.
	Thorough bool
	// Release is taken for the kernel's, where it is not empty: to see what evidence
	// alone does for a kernel that is newer than all that are known.
	Release string
	// Workers is the number of goroutines; less than 1 is one.
	Workers int
}

// Defect is a spoiling that did harm.
type Defect struct {
	What  string // was spoiled
	Level int    // of the dump; -1 for the log
	Text  string // what is wrong
}

func (d Defect) String() string {
	if d.Level < 0 {
		return d.What + ": " + d.Text
	}
	return fmt.Sprintf("%s, level %d: %s", d.What, d.Level, d.Text)
}

// Report is what [Check] found.
type Report struct {
	Texts, Pieces int // that were spoiled
	Scans         int
	// Warnings are those of the good dump at the highest level.
	Warnings []string
	// Grew are, by key, the most pages that a spoiled text kept beside the others.
	Grew    map[string]uint64
	Defects []Defect
}

// Check spoils each key of the core's VMCOREINFO in each way, and then pieces of
// its memory. The error is ctx's, or tells that the core cannot be used at all.
func Check(ctx context.Context, src vmcore.Source, opt Options) (*Report, error) {
	if opt.Release != "" {
		src = &renamed{src, release.ReplaceAll(src.VMCoreInfo(), []byte("OSRELEASE="+opt.Release))}
	}
	c := &checker{src: src, opt: opt, rep: &Report{Grew: map[string]uint64{}}, good: map[int]*filter.Result{}}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.texts(ctx); err != nil {
		return nil, err
	}
	if err := c.memory(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(c.rep.Defects, func(a, b Defect) int { return strings.Compare(a.What, b.What) })
	return c.rep, nil
}

var release = regexp.MustCompile(`(?m)^OSRELEASE=.*`)

// renamed is a core whose VMCOREINFO has another release.
type renamed struct {
	vmcore.Source
	info []byte
}

func (r *renamed) VMCoreInfo() []byte { return r.info }

type checker struct {
	src  vmcore.Source
	opt  Options
	good map[int]*filter.Result
	log  string

	mu  sync.Mutex // for rep
	rep *Report
}

func (c *checker) prepare(ctx context.Context) error {
	for _, level := range c.opt.Levels {
		good, err := scan(ctx, c.src, c.src.VMCoreInfo(), level)
		if err != nil {
			return err
		}
		if good.Keep.Len() == good.RAM.Len() && level > filter.LevelZero {
			return fmt.Errorf("the good dump of level %d has all pages: %q", level, good.Warnings)
		}
		c.good[level] = good
		c.rep.Warnings = good.Warnings
	}
	var err error
	c.log, err = Log(c.src, c.src.VMCoreInfo())
	return err
}

func (c *checker) defect(what string, level int, format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rep.Defects = append(c.rep.Defects, Defect{what, level, fmt.Sprintf(format, a...)})
}

// texts spoils VMCOREINFO.
func (c *checker) texts(ctx context.Context) error {
	info := c.src.VMCoreInfo()
	all := spoil.Each(info, nil)
	if c.opt.Thorough {
		all = append(all, spoil.Thorough(info, func(key string) bool { return !ForLog(key) && !unused(key) })...)
	}
	c.rep.Texts = len(all)
	work := make(chan spoil.Text)
	var wg sync.WaitGroup
	errs := make([]error, max(1, c.opt.Workers))
	for i := range errs {
		wg.Go(func() {
			for text := range work {
				if errs[i] == nil {
					errs[i] = c.text(ctx, text)
				}
			}
		})
	}
	for _, text := range all {
		work <- text
	}
	close(work)
	wg.Wait()
	return errors.Join(errs...)
}

// text tries one spoiled VMCOREINFO.
func (c *checker) text(ctx context.Context, text spoil.Text) error {
	if !ForLog(text.Key) {
		for _, level := range c.opt.Levels {
			bad, err := scan(ctx, c.src, text.Info, level)
			if err != nil {
				return err
			}
			more := c.compare(text.String(), level, bad)
			c.mu.Lock()
			c.rep.Grew[text.Key] = max(c.rep.Grew[text.Key], more)
			c.mu.Unlock()
		}
	}
	if strings.HasPrefix(text.How, "swapped") {
		return nil // two wrong keys are more than the log is proof against
	}
	got, err := Log(c.src, text.Info)
	switch {
	case err != nil:
		c.defect(text.String(), -1, "the log is not saved: %v", err)
	case got != c.log:
		c.defect(text.String(), -1, "the log has %d bytes, want the same %d", len(got), len(c.log))
	}
	return nil
}

// ForLog tells that only the log is read with a key.
func ForLog(key string) bool {
	for _, s := range []string{"printk", "prb", "latched_seq", "atomic_long", "clear_seq", "log_"} {
		if strings.Contains(key, s) {
			return true
		}
	}
	return false
}

// unused tells that nothing reads a key: trying it once in each way is enough.
func unused(key string) bool {
	for _, s := range []string{"node", "pglist", "zone.vm", "zone.s", "OFFSET(zone.free_area)", "list", "free_area.", "SIZE(free_area)", "SIZE(zone)",
		"kallsyms", "uts_namespace", "init_uts_ns", "CRASHTIME", "BUILD-ID", "KERNELOFFSET", "NR_FREE_PAGES", "VMALLOC", "_stext", "page.lru", "vmap_area"} {
		if strings.Contains(key, s) {
			return true
		}
	}
	return false
}

// compare holds a dump against the good one of its level. It gives by how many
// pages it grew.
func (c *checker) compare(what string, level int, bad *filter.Result) (more uint64) {
	good := c.good[level]
	lost, more := Differ(good.Keep, bad.Keep)
	if lost > 0 {
		c.defect(what, level, "%d pages are lost; warnings %q", lost, bad.Warnings)
	}
	if more > 0 && len(bad.Warnings) <= len(good.Warnings) {
		c.defect(what, level, "%d pages more are kept, and nothing is said", more)
	}
	c.mu.Lock()
	c.rep.Scans++
	c.mu.Unlock()
	return more
}

// Differ gives the pages that are only in good, and only in bad.
func Differ(good, bad *pfnset.Set) (lost, more uint64) {
	var a, b [pfnset.ChunkPFNs / 8]byte
	for pfn := uint64(0); pfn < max(good.Limit(), bad.Limit()); pfn += pfnset.ChunkPFNs {
		end := pfn + pfnset.ChunkPFNs
		if x, y := good.LenRange(pfn, end), bad.LenRange(pfn, end); x == y && (x == 0 || x == pfnset.ChunkPFNs) {
			continue
		}
		good.Bytes(a[:], pfn)
		bad.Bytes(b[:], pfn)
		for i := range a {
			if a[i] != b[i] {
				lost += uint64(ones[a[i]&^b[i]])
				more += uint64(ones[b[i]&^a[i]])
			}
		}
	}
	return lost, more
}

// ones counts the bits of a byte.
var ones = func() (n [256]uint8) {
	for i := range n {
		n[i] = n[i/2] + uint8(i&1)
	}
	return n
}()

// scan filters with another VMCOREINFO, as a capture would.
func scan(ctx context.Context, src vmcore.Source, text []byte, level int) (*filter.Result, error) {
	info, err := kernel.ParseInfo(text)
	if err != nil {
		info = nil
	}
	res, err := filter.Scan(ctx, src, info, filter.Options{Level: level, Workers: 1})
	if err == nil && info != nil {
		res.Warnings = append(res.Warnings, info.Malformed...)
	}
	return res, err
}

// Log is the text of the kernel's log, found with another VMCOREINFO.
func Log(src vmcore.Source, text []byte) (string, error) {
	log, _, err := logOf(src, text)
	return log, err
}

// logOf also gives what the log, or the translation by which it is found, says of
// itself.
func logOf(src vmcore.Source, text []byte) (log string, said []string, err error) {
	info, err := kernel.ParseInfo(text)
	if err != nil {
		return "", nil, err
	}
	r, err := src.NewReader()
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	space, err := kernel.NewSpace(info, src.Machine(), r)
	if err != nil {
		return "", nil, err
	}
	l, err := dmesg.Read(info, space)
	if err != nil {
		return "", space.Mended, err
	}
	var b strings.Builder
	err = l.WriteText(&b)
	return b.String(), append(space.Mended, l.Warnings...), err
}
