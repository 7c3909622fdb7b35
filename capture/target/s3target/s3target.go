// Package s3target keeps the files of a capture in an S3-compatible object store.
//
// The package owns the requests, their signatures and checksums, the bound on
// memory and the bound on every wait. An object is there when it is whole, and not
// before: until then it is parts of an upload, which is aborted when it fails. The
// package never makes buckets, and sends no request that is not signed, or given as
// a presigned URL.
//
// A large file is a multipart upload. Its parts leave memory when they are full, in
// any order; headers and bitmaps of a dump, known last, are in the first part,
// which is sent last. What was sent can neither be read nor be changed: the file is
// a dump.OnceOutput. The server checks every part against its checksum.
//
// An upload has one name from its beginning to its end, and only the end tells
// whether a dump is whole. So a large file is uploaded as NAME.incomplete, and the
// whole object is copied to its name, inside the store, and removed; a small one is
// sent when its name is known.
//
// What a key needs: s3:PutObject and s3:AbortMultipartUpload; s3:GetObject and
// s3:DeleteObject for keys that end in .incomplete. To know earlier dumps, for the
// rules about them, s3:ListBucket, s3:GetObject, and to remove them s3:DeleteObject.
//
// Facts: Amazon S3 API Reference (2006-03-01), "Signature Version 4" and "Checking
// object integrity" there; RFC 9110.
package s3target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// Defaults of [Config].
const (
	DefaultRegion   = "us-east-1"
	DefaultMemory   = 48 << 20
	DefaultTimeout  = 30 * time.Second
	DefaultPatience = 60 * time.Second
)

// Config says where objects go. Its zero fields have defaults where one is named.
type Config struct {
	// Endpoint is the store's address: https://s3.eu-central-1.amazonaws.com,
	// http://10.0.0.5:9000. Without TLS anybody on the way can read the dump.
	Endpoint string
	// Region is what requests are signed for; "" means DefaultRegion.
	Region string
	// Bucket is the bucket's name; Prefix, which may be empty, is put before all
	// keys, with a slash in between.
	Bucket, Prefix string
	// VirtualHost puts the bucket into the host's name, else it is in the path.
	VirtualHost bool
	// Credentials sign the requests. See [ParseCredentials].
	Credentials Credentials
	// Presigned, if not nil, takes the place of Endpoint, Bucket and Credentials:
	// all requests are signed already.
	Presigned *Presigned
	// CA is the certificates, in PEM, that the store's is proved by; nil means
	// those of the system.
	CA []byte
	// Memory is how many bytes of parts are kept at most; at least MinMemory, 0 means
	// DefaultMemory. A part has a sixth of it at most, and an upload 10,000 parts:
	// 48 MiB are good for objects of 78 GiB.
	Memory int64
	// Timeout is how long the server may take to answer, or to take more of what is
	// sent to it. 0 means DefaultTimeout.
	Timeout time.Duration
	// Patience is how long a request is tried again before it is an error. 0 means
	// DefaultPatience.
	Patience time.Duration
	// Epoch is a time that is surely over, such as when the image was built. A
	// clock that is before it is wrong, and taken to be there.
	Epoch time.Time
	// Dial makes the TCP connection; nil means that of package net.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Bounds of the protocol.
const (
	minPart  = 5 << 20
	maxParts = 10_000
	// buffers is how many parts there may be at once: one of headers, one where
	// bitmaps end, one of descriptors, one where these end, one of page data, and
	// at least one under way.
	buffers = 6

	// MinMemory is the least that [Config.Memory] can be, in bytes. It is good for
	// dumps of 48 GiB.
	MinMemory = buffers * minPart
)

// Check returns what is wrong with c as far as can be told without the store.
func (c Config) Check() error {
	_, err := c.client()
	return err
}

func (c Config) client() (*client, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("s3 target: endpoint: %w", err)
	}
	bad := func(format string, a ...any) (*client, error) {
		return nil, fmt.Errorf("s3 target %s: %s", c.Endpoint, fmt.Sprintf(format, a...))
	}
	switch {
	case c.Memory != 0 && c.Memory < MinMemory:
		return bad("%d bytes of memory, at least %d are needed", c.Memory, MinMemory)
	case c.Presigned != nil:
		if end := c.Presigned.Expires(); !end.IsZero() && time.Now().After(end) {
			return nil, fmt.Errorf("s3 target: the presigned URLs ended at %s: make new ones (kdump-mkinitramfs presign), and build the crash image again", end.Format(time.RFC3339))
		}
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", strings.Trim(u.Path, "/") != "", u.User != nil, u.RawQuery != "":
		return bad("want https://HOST[:PORT]")
	case c.Bucket == "" || strings.ContainsAny(c.Bucket, "/?# "):
		return bad("bucket %q", c.Bucket)
	case strings.Contains("/"+c.Prefix+"/", "/../"), strings.ContainsAny(c.Prefix, "\x00"):
		return bad("prefix %q", c.Prefix)
	case c.Credentials.AccessKey == "" || c.Credentials.SecretKey == "":
		return bad("there are no credentials")
	}
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	cl := &client{cfg: c, host: u.Host, scheme: u.Scheme}
	if c.VirtualHost {
		cl.host = c.Bucket + "." + u.Host
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Time: cl.now}
	if c.CA != nil {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(c.CA) {
			return bad("the CA bundle has no certificate in PEM")
		}
	}
	cl.http = &http.Client{
		Transport: &http.Transport{
			DialContext: cl.dial, TLSClientConfig: t, TLSHandshakeTimeout: c.Timeout,
			MaxIdleConnsPerHost: buffers, DisableCompression: true,
		},
		// A request that is signed for one host is not for another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return cl, nil
}

func prefixOf(s string) string {
	if s = strings.Trim(s, "/"); s != "" {
		s += "/"
	}
	return s
}

// New makes the target. It asks the store whether it may be written to, by an
// empty object that marks the prefix as a directory, or by one that cannot be there
// where there is no prefix.
func New(ctx context.Context, c Config) (target.Target, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	cl.ctx, cl.end = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cl.end(context.Cause(ctx)) })
	defer stop()
	d := &dir{c: cl, names: newNames()}
	if c.Presigned != nil {
		return d, nil // there is nothing to ask
	}
	if d.prefix = prefixOf(c.Prefix); d.prefix != "" {
		err = cl.mark(d.prefix, false)
	} else {
		_, err = cl.head(".gokdump")
		if errors.Is(err, errNotFound) || errors.Is(err, errDenied) { // denied: it may be written to all the same
			err = nil
		}
	}
	if err != nil {
		cl.end(err)
		return nil, fmt.Errorf("s3 target %s: %w", d, err)
	}
	return d, nil
}
