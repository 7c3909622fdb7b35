// Package past knows what earlier captures of a host left in a target: it names the
// directory of the next one, tells a crash loop, and says which old dumps may go.
//
// It owns these three rules. It deletes nothing by itself, except in [Prune], which
// carries out what [Keep.Victims] named. It believes no clock: after a crash the
// hardware's may stand at 1970, and the crashed kernel had its time from there.
package past

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// The files that say what a directory holds.
const (
	ReportName  = "report.json"
	dumpName    = "vmcore"
	partialName = "vmcore-partial"
)

// stampLayout is how a directory's name tells the time.
const stampLayout = "2006-01-02T15-04-05Z"

// maxReport bounds a report that is read, in bytes.
const maxReport = 1 << 20

// Dump is what one capture left: a directory that has the name of one.
type Dump struct {
	// Dir is the directory's name; Stamp and Count are what it says.
	Dir   string
	Stamp time.Time
	Count int // 1 without a number
	// Reported: there is a report, of this host. Result, CrashTime and Uptime
	// are from it; Uptime is 0 when it was not known.
	Reported  bool
	Result    string
	CrashTime time.Time
	Uptime    time.Duration
	// Saved: a dump is there under a name of its own, whole or partial.
	Saved bool
	// Good: it is whole, and its report says so.
	Good bool
	// Notified: the report was posted.
	Notified bool
	// Files are the names of what lies in it, the report last. Foreign is what
	// no capture makes; a directory with such is somebody's, and stays.
	Files, Foreign []string
	Bytes          int64
}

// NotifiedName is the file that says that the report was posted.
const NotifiedName = "notified"

// known are the names that a capture gives, without the endings it may add.
var known = []string{dumpName, partialName, "vmcore-dmesg.txt", "capture.log", "README.txt", ReportName, NotifiedName}

// List gives what captures of host left in t, oldest first. A directory that
// cannot be read is left out, and part of the error, which comes beside the rest.
func List(t target.Past, host string) ([]Dump, error) {
	names, err := t.Dirs()
	if err != nil {
		return nil, err
	}
	var all []Dump
	var errs []error
	for _, name := range names {
		stamp, count, ok := parseName(host, name)
		if !ok {
			continue
		}
		d := Dump{Dir: name, Stamp: stamp, Count: count}
		if err := d.look(t, host); err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, d)
	}
	// The names are sorted, and so are nearly all of their stamps and counts.
	for i := range all {
		for j := i; j > 0 && all[j].before(&all[j-1]); j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return all, errors.Join(errs...)
}

func (d *Dump) before(o *Dump) bool {
	return d.Stamp.Before(o.Stamp) || d.Stamp.Equal(o.Stamp) && d.Count < o.Count
}

// parseName takes HOST-TIME or HOST-TIME-COUNT apart.
func parseName(host, name string) (stamp time.Time, count int, ok bool) {
	rest, ok := strings.CutPrefix(name, host+"-")
	if !ok || len(rest) < len(stampLayout) {
		return stamp, 0, false
	}
	stamp, err := time.Parse(stampLayout, rest[:len(stampLayout)])
	if err != nil {
		return stamp, 0, false
	}
	rest = rest[len(stampLayout):]
	if rest == "" {
		return stamp, 1, true
	}
	digits, ok := strings.CutPrefix(rest, "-")
	count, err = strconv.Atoi(digits)
	// Older versions wrote counts below ten with one digit.
	ok = ok && err == nil && count > 1 && (digits == strconv.Itoa(count) || digits == "0"+strconv.Itoa(count) && count < 10)
	return stamp, count, ok
}

// look reads what is in the directory.
func (d *Dump) look(t target.Past, host string) error {
	files, err := t.Files(d.Dir)
	if err != nil {
		return err
	}
	report, whole := false, false
	for _, f := range files {
		d.Bytes += f.Bytes
		base := strings.TrimSuffix(strings.TrimSuffix(f.Name, ".age"), ".flat")
		switch {
		case !f.Plain || !isKnown(f.Name):
			d.Foreign = append(d.Foreign, f.Name)
			continue
		case f.Name == ReportName:
			report = true
			continue
		case f.Name == NotifiedName:
			d.Notified = true
		case base == dumpName && f.Bytes > 0:
			d.Saved, whole = true, true
		case base == partialName && f.Bytes > 0:
			d.Saved = true
		}
		d.Files = append(d.Files, f.Name)
	}
	if !report {
		return nil
	}
	d.Files = append(d.Files, ReportName)
	text, err := t.ReadFile(d.Dir, ReportName, maxReport)
	if err != nil {
		return err
	}
	var r struct {
		Host      string    `json:"host"`
		Result    string    `json:"result"`
		CrashTime time.Time `json:"crash_time"`
		Uptime    float64   `json:"uptime"`
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Host != host {
		// Not what a capture of this host wrote: nothing is known of it.
		d.Foreign = append(d.Foreign, ReportName)
		return nil
	}
	d.Reported, d.Result, d.CrashTime = true, r.Result, r.CrashTime
	if r.Uptime > 0 && r.Uptime < 1e9 {
		d.Uptime = time.Duration(r.Uptime * float64(time.Second))
	}
	d.Good = whole && r.Result == "complete"
	return nil
}

func isKnown(name string) bool {
	name = strings.TrimSuffix(name, target.Incomplete)
	name = strings.TrimSuffix(name, ".age")
	name = strings.TrimSuffix(name, ".flat")
	return slices.Contains(known, name)
}

// MarkNotified notes in a dump's directory that its report was posted.
func MarkNotified(t target.Annex, dir string, at time.Time) error {
	return t.WriteFile(dir, NotifiedName, []byte("The report was posted at "+at.UTC().Format(time.DateTime)+" UTC.\n"))
}

// Post tells whether the report of d is still to be posted.
func (d *Dump) Post() bool { return d.Reported && !d.Notified }

// sane is a time before which no crash of a kernel that this program knows can
// have been: a clock that says so is wrong.
var sane = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Name gives the name for the directory of a crash at a time, after those that are
// there, as [Numbered] takes it. Names sort in the order of the crashes, also when
// the clock went back: then the name counts on from the newest, and wrong says what
// the clock said.
func Name(host string, at time.Time, dumps []Dump) (base string, count int, wrong string) {
	at = at.UTC().Truncate(time.Second)
	says := "the clock says " + at.Format(time.DateTime)
	if at.Before(sane) {
		wrong = says + ", which is wrong"
	}
	if len(dumps) > 0 {
		last := dumps[len(dumps)-1]
		if at.Before(last.Stamp) {
			wrong = fmt.Sprintf("%s, which is before the dump %s: one of the two is wrong, and the directory's name counts on from there", says, last.Dir)
		}
		if !at.After(last.Stamp) {
			return host + "-" + last.Stamp.Format(stampLayout), last.Count + 1, wrong
		}
	}
	return host + "-" + at.Format(stampLayout), 1, wrong
}

// Numbered adds a count from 2 on, so that names still sort.
func Numbered(base string, n int) string {
	if n < 2 {
		return base
	}
	return fmt.Sprintf("%s-%02d", base, n)
}
