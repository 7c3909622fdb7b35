package s3target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// Presigned is URLs with which one capture can be sent without any key: who has
// the key made them, and chose the objects. They serve once, and end: a signature is
// good for seven days at most, so that who uses them builds the crash image anew,
// with new ones, before that.
type Presigned struct {
	// Objects has the files of a capture by name: vmcore, vmcore-dmesg.txt,
	// report.json, README.txt, capture.log. What is not in it is not sent.
	Objects map[string]PresignedObject `json:"objects"`
}

// PresignedObject is the URLs of one object: Put for one of up to a part's size,
// the others for a large one, which is uploaded as NAME.incomplete, and then copied
// to the name that it deserves.
type PresignedObject struct {
	// Put is the URL of PutObject.
	Put string `json:"put,omitempty"`
	// Parts are the URLs of UploadPart, for parts 1, 2 and so on of one upload. The
	// more there are the larger the object may be: with Config.Memory of 48 MiB, 8
	// MiB for each.
	Parts []string `json:"parts,omitempty"`
	// Complete and Abort are the URLs of CompleteMultipartUpload and
	// AbortMultipartUpload. Without Abort a failed upload stays, until a lifecycle
	// rule of the bucket removes it.
	Complete string `json:"complete,omitempty"`
	Abort    string `json:"abort,omitempty"`
	// Copy are the URLs of CopyObject, by the name that the object can get: that of
	// a whole dump, and of a partial one. They are signed for Source, the uploaded
	// object as the header X-Amz-Copy-Source has it, which Remove removes.
	Copy   map[string]string `json:"copy,omitempty"`
	Source string            `json:"source,omitempty"`
	Remove string            `json:"remove,omitempty"`
}

// all gives all URLs there are.
func (o PresignedObject) all() []string {
	list := append([]string{o.Put, o.Complete, o.Abort, o.Remove}, o.Parts...)
	for _, u := range o.Copy {
		list = append(list, u)
	}
	return slices.DeleteFunc(list, func(u string) bool { return u == "" })
}

// maxPresign is the longest that a signature is good for.
const maxPresign = 7 * 24 * time.Hour

// ParsePresigned reads the JSON form. Bad URLs are errors.
func ParsePresigned(text []byte) (*Presigned, error) {
	p := new(Presigned)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("presigned URLs: %w", err)
	}
	if len(p.Objects) == 0 {
		return nil, errors.New("presigned URLs: there are no objects")
	}
	for name, o := range p.Objects {
		if err := target.CheckName(name); err != nil {
			return nil, fmt.Errorf("presigned URLs: object %w", err)
		}
		switch {
		case o.Put == "" && len(o.Parts) == 0:
			return nil, fmt.Errorf("presigned URLs: %s has neither put nor parts", clip(name))
		case len(o.Parts) > maxParts, len(o.Parts) > 0 && (o.Complete == "" || len(o.Copy) == 0 || o.Source == ""):
			return nil, fmt.Errorf("presigned URLs: %s has %d parts, want at most %d, and complete, copy and source: make them with kdump-mkinitramfs presign", clip(name), len(o.Parts), maxParts)
		}
		for _, s := range o.all() {
			if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
				return nil, fmt.Errorf("presigned URLs: one of %s is no URL", clip(name)) // it is secret
			}
		}
	}
	return p, nil
}

// Expires is when the first of the URLs ends; the zero time when none tells.
func (p *Presigned) Expires() time.Time {
	var first time.Time
	for _, o := range p.Objects {
		for _, s := range o.all() {
			u, err := url.Parse(s)
			if err != nil {
				continue
			}
			q := u.Query()
			at, err := time.Parse(stampForm, q.Get("X-Amz-Date"))
			n, nerr := strconv.Atoi(q.Get("X-Amz-Expires"))
			if err != nil || nerr != nil {
				continue
			}
			if end := at.Add(time.Duration(n) * time.Second); first.IsZero() || end.Before(first) {
				first = end
			}
		}
	}
	return first
}

// errPresigned is what cannot be asked without a key.
var errPresigned = permanentError{fmt.Errorf("the presigned URLs do not provide for it: %w", errors.ErrUnsupported)}

// find gives the URL for a request.
func (p *Presigned) find(r request) (string, error) {
	o, staged := p.Objects[strings.TrimSuffix(r.key, target.Incomplete)]
	if staged {
		staged = strings.HasSuffix(r.key, target.Incomplete)
	}
	var found string
	switch number := r.query.Get("partNumber"); {
	case r.header.Get(copySource) != "":
		for _, o := range p.Objects {
			if o.Source == r.header.Get(copySource) {
				found = o.Copy[r.key]
			}
		}
	case r.method == http.MethodPut && number != "":
		if n, err := strconv.Atoi(number); err == nil && n <= len(o.Parts) {
			found = o.Parts[n-1]
		}
	case r.method == http.MethodPut && !staged:
		found = o.Put
	case r.method == http.MethodPost && r.query.Has("uploadId"):
		found = o.Complete
	case r.method == http.MethodDelete && r.query.Has("uploadId"):
		found = o.Abort
	case r.method == http.MethodDelete && staged:
		found = o.Remove
	}
	if found == "" {
		return "", fmt.Errorf("%s %s: %w", r.method, r.key, errPresigned)
	}
	return found, nil
}

// Wish is what [Config.Presign] is asked for.
type Wish struct {
	// Dump is the name of the dump when it is whole, Partial that when it is not.
	Dump, Partial string
	// Small are the names of the other files, of up to 8 MiB each.
	Small []string
	// Size is the most that the dump may have, in bytes: up to [MaxPresigned].
	Size int64
	// Valid is how long the URLs are good for: 1 s to 7 days.
	Valid time.Duration
}

// MaxPresigned is the most that a dump may have which is sent by presigned URLs, in
// bytes: what one CopyObject copies.
const MaxPresigned = 5 << 30

// Presign makes the URLs for one capture below c.Prefix. It begins the dump's
// upload, of which the store keeps what is sent until it is complete or aborted.
func (c Config) Presign(ctx context.Context, w Wish) (*Presigned, error) {
	if w.Size < 1 || w.Size > MaxPresigned || w.Valid < time.Second || w.Valid > maxPresign {
		return nil, fmt.Errorf("presign a dump of %d bytes for %v: want at most %d bytes, and at most %v", w.Size, w.Valid, int64(MaxPresigned), maxPresign)
	}
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	cl.ctx = ctx
	defer cl.http.CloseIdleConnections()
	d := &dir{c: cl, prefix: prefixOf(c.Prefix)}
	p := &Presigned{Objects: map[string]PresignedObject{}}
	one := func(method, name string, q url.Values, source string) string {
		u := cl.url(d.prefix+name, q)
		presign(u, method, source, cl.cfg.Credentials, cl.cfg.Region, cl.now(), w.Valid)
		return u.String()
	}
	for _, name := range append([]string{w.Partial}, w.Small...) {
		p.Objects[name] = PresignedObject{Put: one(http.MethodPut, name, nil, "")}
	}
	stage := w.Dump + target.Incomplete
	up, err := cl.begin(d.prefix+stage, false)
	if err != nil {
		return nil, fmt.Errorf("presign for %s: %w", d, err)
	}
	id := url.Values{"uploadId": {up.id}}
	o := PresignedObject{
		Put:      one(http.MethodPut, w.Dump, nil, ""),
		Complete: one(http.MethodPost, stage, id, ""),
		Abort:    one(http.MethodDelete, stage, id, ""),
		Remove:   one(http.MethodDelete, stage, nil, ""),
		Source:   cl.source(d.prefix + stage),
		Copy:     map[string]string{},
	}
	for _, name := range []string{w.Dump, w.Partial} {
		o.Copy[name] = one(http.MethodPut, name, nil, o.Source)
	}
	for n := range (w.Size + minPart - 1) / minPart {
		q := url.Values{"uploadId": {up.id}, "partNumber": {strconv.FormatInt(n+1, 10)}}
		o.Parts = append(o.Parts, one(http.MethodPut, stage, q, ""))
	}
	p.Objects[w.Dump] = o
	return p, nil
}
