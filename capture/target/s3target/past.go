package s3target

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/target"
)

// What earlier captures left is known by ListObjectsV2 and GetObject. A directory is a
// prefix of keys, and the empty object of that name. Presigned URLs cannot ask: then
// every error wraps errors.ErrUnsupported.
var (
	_ target.Past  = (*dir)(nil)
	_ target.Annex = (*dir)(nil)
)

const (
	listStep = 500     // keys asked for at once
	maxList  = 1 << 20 // bytes of an answer with them
)

// listed is what is directly below a prefix, which is cut off.
type listed struct {
	dirs  []string
	files []target.Entry
}

// list lists what is below a prefix.
func (c *client) list(prefix string) (listed, error) {
	var l listed
	if c.cfg.Presigned != nil {
		return l, errPresigned
	}
	token := ""
	for {
		q := url.Values{"list-type": {"2"}, "delimiter": {"/"}, "prefix": {prefix}, "max-keys": {strconv.Itoa(listStep)}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		a, err := c.do(request{method: http.MethodGet, query: q, most: maxList})
		if errors.Is(err, errDenied) {
			err = fmt.Errorf("%w: to know earlier dumps, the key needs s3:ListBucket", err)
		}
		if err != nil {
			return l, err
		}
		text := string(a.body)
		for e := range each(text, "CommonPrefixes") {
			name := strings.TrimPrefix(element([]byte(e), "Prefix"), prefix)
			l.dirs = append(l.dirs, strings.TrimSuffix(name, "/"))
		}
		for e := range each(text, "Contents") {
			name := strings.TrimPrefix(element([]byte(e), "Key"), prefix)
			if name == "" { // stands for the prefix itself
				continue
			}
			n, err := strconv.ParseInt(element([]byte(e), "Size"), 10, 64)
			if err != nil {
				return l, fmt.Errorf("size of %q: %w", name, err)
			}
			l.files = append(l.files, target.Entry{Name: name, Bytes: n, Plain: true})
		}
		if len(l.dirs)+len(l.files) > target.MaxEntries {
			return l, fmt.Errorf("more than %d entries", target.MaxEntries)
		}
		next := element(a.body, "NextContinuationToken")
		switch {
		case element(a.body, "IsTruncated") != "true":
			return l, nil
		case next == "" || next == token:
			return l, errors.New("the store does not say how its list goes on")
		}
		token = next
	}
}

// each gives the inside of all XML elements of that name, which have none of it in
// themselves.
func each(text, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, rest, ok := strings.Cut(text, "<"+name+">")
			if !ok {
				return
			}
			in, rest, ok := strings.Cut(rest, "</"+name+">")
			if !ok || !yield(in) {
				return
			}
			text = rest
		}
	}
}

// Dirs implements [target.Past].
func (d *dir) Dirs() ([]string, error) {
	l, err := d.c.list(d.prefix)
	if err != nil {
		return nil, d.errorf("list", "", err)
	}
	slices.Sort(l.dirs)
	return l.dirs, nil
}

// Files implements [target.Past].
func (d *dir) Files(name string) ([]target.Entry, error) {
	if err := target.CheckEntry(name); err != nil {
		return nil, fmt.Errorf("list %w", err)
	}
	l, err := d.c.list(d.prefix + name + "/")
	if err != nil {
		return nil, d.errorf("list", name, err)
	}
	for _, sub := range l.dirs {
		l.files = append(l.files, target.Entry{Name: sub})
	}
	return l.files, nil
}

// ReadFile implements [target.Past].
func (d *dir) ReadFile(name, file string, max int64) ([]byte, error) {
	if err := errors.Join(target.CheckEntry(name), target.CheckEntry(file)); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	path := name + "/" + file
	a, err := d.c.do(request{method: http.MethodGet, key: d.prefix + path, most: max})
	if errors.Is(err, errNotFound) {
		err = fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, d.errorf("read", path, err)
	}
	return a.body, nil
}

// WriteFile implements [target.Annex].
func (d *dir) WriteFile(name, file string, text []byte) error {
	if err := target.CheckEntry(name); err != nil {
		return fmt.Errorf("write %w", err)
	}
	if d.c.cfg.Presigned != nil {
		return d.errorf("write", name+"/"+file, errPresigned)
	}
	sub := &dir{c: d.c, prefix: d.prefix + name + "/", names: d.names} // not closed: it was not counted
	return target.Write(sub, file, text)
}

// Remove implements [target.Past]. To remove an object that is not there is no error.
func (d *dir) Remove(name string, files []string) error {
	if err := target.CheckEntry(name); err != nil {
		return fmt.Errorf("remove %w", err)
	}
	for _, f := range files {
		if err := target.CheckEntry(f); err != nil {
			return fmt.Errorf("remove %w", err)
		}
		if err := d.c.remove(d.prefix + name + "/" + f); err != nil && !errors.Is(err, errNotFound) {
			return d.errorf("remove", name+"/"+f, err)
		}
	}
	l, err := d.c.list(d.prefix + name + "/")
	if err == nil && len(l.dirs)+len(l.files) > 0 {
		err = errors.New("it is not empty")
	}
	if err == nil {
		err = d.c.remove(d.prefix + name + "/")
	}
	if errors.Is(err, errNotFound) {
		err = nil
	}
	return d.errorf("remove", name, err)
}
