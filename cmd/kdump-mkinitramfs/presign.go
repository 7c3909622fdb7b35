package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/target/s3target"
)

// presignLimit bounds the requests to the store, presignPatience their repetition.
const (
	presignLimit    = time.Minute
	presignPatience = 10 * time.Second
)

// presign makes the set of URLs with which one machine can save one crash without a
// key. It is for whoever has the key, on another machine.
func (p *program) presign(ctx context.Context, args []string) error {
	var out, keys, profile, region, ca, style, size string
	var valid time.Duration
	var encrypted bool
	set := flag.NewFlagSet(name+" presign", flag.ContinueOnError)
	set.StringVar(&out, "o", "", "")
	set.StringVar(&keys, "credentials", "", "")
	set.StringVar(&profile, "profile", "", "")
	set.StringVar(&region, "region", config.DefaultS3Region, "")
	set.StringVar(&ca, "ca", "", "")
	set.StringVar(&style, "style", "path", "")
	set.StringVar(&size, "size", "2G", "")
	set.DurationVar(&valid, "valid", 7*24*time.Hour, "")
	set.BoolVar(&encrypted, "encrypted", false, "")
	where, err := parse(set, args, 1)
	if err != nil {
		return err
	}
	if len(where) != 1 || out == "" {
		return misuse("presign: want presign -o FILE https://HOST/BUCKET/PREFIX")
	}
	u, err := url.Parse(where[0])
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return misuse("presign %s: want https://HOST/BUCKET/PREFIX", where[0])
	}
	if style != "path" && style != "virtual" {
		return misuse("presign: --style %s: want path or virtual", style)
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	cfg := s3target.Config{
		Endpoint: u.Scheme + "://" + u.Host, Region: region, Bucket: bucket, Prefix: prefix, VirtualHost: style == "virtual",
		Patience: presignPatience,
	}
	if keys == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return withHint(err, "name the file of the key with --credentials")
		}
		keys = filepath.Join(home, ".aws", "credentials")
	}
	text, err := os.ReadFile(keys)
	if err != nil {
		return withHint(err, "name the file of the key with --credentials")
	}
	if cfg.Credentials, err = s3target.ParseCredentials(text, profile); err != nil {
		return fmt.Errorf("%s: %w", keys, err)
	}
	if ca != "" {
		if cfg.CA, err = os.ReadFile(ca); err != nil {
			return err
		}
	}
	most, err := parseSize(size)
	if err != nil {
		return misuse("presign: --size %s: want a size such as 2G", size)
	}
	wish := s3target.Wish{
		Dump: capture.DumpName, Partial: capture.PartialName, Size: most, Valid: valid,
		Small: []string{capture.LogName, capture.ReportName, capture.ReadmeName, capture.CaptureLogName},
	}
	if encrypted {
		wish.Dump, wish.Partial = wish.Dump+capture.EncryptedSuffix, wish.Partial+capture.EncryptedSuffix
		wish.Small[0] += capture.EncryptedSuffix
	}
	ctx, cancel := context.WithTimeoutCause(ctx, presignLimit, fmt.Errorf("waited for %v", presignLimit))
	defer cancel()
	made, err := cfg.Presign(ctx, wish)
	if err != nil {
		return err
	}
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(made); err != nil {
		return err
	}
	if err := renameio.WriteFile(out, doc.Bytes(), 0o600, renameio.WithTempDir(filepath.Dir(out))); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: one crash below %s, a dump of up to %s, until %s\n", out, where[0], size, made.Expires().UTC().Format(time.DateTime+" UTC"))
	p.say("note", "the upload is begun: without a crash, a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes it")
	return nil
}
