package s3target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
)

// epoch is over: a clock before it is wrong.
var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// ForPlan puts a target's part of a plan, and its files, together. file gives the
// content of one of the plan's files by its name.
func ForPlan(t plan.Target, file func(name string) ([]byte, error)) (Config, error) {
	s := t.S3
	c := Config{
		Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: t.Path, VirtualHost: !s.PathStyle, Epoch: epoch,
	}
	text, err := file(s.Credentials)
	if err != nil {
		return c, err
	}
	if IsPresigned(text) {
		c.Presigned, err = ParsePresigned(text)
	} else {
		c.Credentials, err = ParseCredentials(text, "")
	}
	if err == nil && s.CA != "" {
		c.CA, err = file(s.CA)
	}
	return c, err
}

// IsPresigned tells the two forms of credentials apart: a file of keys, and a set of
// presigned URLs.
func IsPresigned(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }

// Port is the TCP port of an endpoint.
func Port(endpoint string) int {
	scheme, rest, _ := strings.Cut(endpoint, "://")
	if _, p, err := net.SplitHostPort(strings.TrimSuffix(rest, "/")); err == nil {
		if n, err := strconv.Atoi(p); err == nil {
			return n
		}
	}
	if scheme == "http" {
		return 80
	}
	return 443
}

// Try tells, while somebody can still do something about it, whether a dump could be
// saved: it makes two small objects whose names end in .incomplete below the prefix, one
// as the other's copy, and removes them. missing says what the key may not do that
// only the rules about earlier dumps need. Of presigned URLs only the time is looked at.
func (c Config) Try(ctx context.Context) (missing string, err error) {
	t, err := New(ctx, c)
	if err != nil || c.Presigned != nil {
		return "", err
	}
	defer t.Close()
	d := t.(*dir)
	stop := context.AfterFunc(ctx, func() { d.c.end(context.Cause(ctx)) })
	defer stop()
	from := fmt.Sprintf("%s.try-%d%s", d.prefix, time.Now().UnixNano(), target.Incomplete)
	to := strings.TrimSuffix(from, target.Incomplete) + "-2" + target.Incomplete
	if err := d.c.put(from, []byte("gokdump")); err != nil {
		return "", fmt.Errorf("s3 target %s: make an object: %w", d, err)
	}
	err = d.c.copy(from, to, int64(len("gokdump")))
	if err == nil {
		err = d.c.remove(to)
	}
	if rerr := d.c.remove(from); err == nil {
		err = rerr
	}
	if errors.Is(err, errDenied) {
		err = fmt.Errorf("%w; a dump would keep the name vmcore%s: the key needs s3:GetObject and s3:DeleteObject on what ends in %[2]s", err, target.Incomplete)
	}
	if err != nil {
		return "", fmt.Errorf("s3 target %s: copy and remove an object: %w", d, err)
	}
	if _, err := d.Dirs(); errors.Is(err, errDenied) {
		missing = "s3:ListBucket"
	} else if err != nil {
		return "", err
	}
	return missing, nil
}
