package s3target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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
// the others for a large one.
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
		case len(o.Parts) > maxParts, len(o.Parts) > 0 && o.Complete == "":
			return nil, fmt.Errorf("presigned URLs: %s has %d parts, want at most %d, and complete", clip(name), len(o.Parts), maxParts)
		}
		for _, s := range append([]string{o.Put, o.Complete, o.Abort}, o.Parts...) {
			if u, err := url.Parse(s); s != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
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
		for _, s := range append([]string{o.Put, o.Complete, o.Abort}, o.Parts...) {
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
	o, ok := p.Objects[r.key]
	if !ok {
		return "", fmt.Errorf("%s: %w", r.key, errPresigned)
	}
	var found string
	switch number := r.query.Get("partNumber"); {
	case r.header.Get("X-Amz-Copy-Source") != "":
	case r.method == http.MethodPut && number != "":
		if n, err := strconv.Atoi(number); err == nil && n <= len(o.Parts) {
			found = o.Parts[n-1]
		}
	case r.method == http.MethodPut:
		found = o.Put
	case r.method == http.MethodPost && r.query.Has("uploadId"):
		found = o.Complete
	case r.method == http.MethodDelete && r.query.Has("uploadId"):
		found = o.Abort
	}
	if found == "" {
		return "", fmt.Errorf("%s %s: %w", r.method, r.key, errPresigned)
	}
	return found, nil
}

// Presign makes the URLs for one capture below c.Prefix: for a dump, which may have
// so many parts, and for small files. They are good for so long, 7 days at most. It
// begins the dump's upload, of which the store keeps what is sent until it is
// complete or aborted.
func (c Config) Presign(ctx context.Context, dump string, parts int, small []string, valid time.Duration) (*Presigned, error) {
	if parts < 1 || parts > maxParts || valid < time.Second || valid > maxPresign {
		return nil, fmt.Errorf("presign %d parts for %v: want 1 to %d parts, and at most %v", parts, valid, maxParts, maxPresign)
	}
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	cl.ctx = ctx
	defer cl.http.CloseIdleConnections()
	d := &dir{c: cl, prefix: prefixOf(c.Prefix)}
	p := &Presigned{Objects: map[string]PresignedObject{}}
	one := func(method, name string, q url.Values) string {
		u := cl.url(d.prefix+name, q)
		presign(u, method, cl.cfg.Credentials, cl.cfg.Region, cl.now(), valid)
		return u.String()
	}
	for _, name := range small {
		p.Objects[name] = PresignedObject{Put: one(http.MethodPut, name, nil)}
	}
	up, err := cl.begin(d.prefix+dump, false)
	if err != nil {
		return nil, fmt.Errorf("presign for %s: %w", d, err)
	}
	id := url.Values{"uploadId": {up.id}}
	o := PresignedObject{Complete: one(http.MethodPost, dump, id), Abort: one(http.MethodDelete, dump, id), Put: one(http.MethodPut, dump, nil)}
	for n := range parts {
		o.Parts = append(o.Parts, one(http.MethodPut, dump, url.Values{"uploadId": {up.id}, "partNumber": {strconv.Itoa(n + 1)}}))
	}
	p.Objects[dump] = o
	return p, nil
}
