package s3target

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// checksum is the CRC-32C of p as S3 has it.
func checksum(p []byte) string {
	sum := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

const (
	crcHeader = "X-Amz-Checksum-Crc32c"
	crcName   = "CRC32C"
)

// guarded makes headers for a body: the store compares it with the checksum, and
// keeps it, if it knows the kind, with the object. A request that is signed has the
// SHA-256 as well; one that was signed in advance has the MD5 in its place.
func (c *client) guarded(p []byte) http.Header {
	h := http.Header{crcHeader: {checksum(p)}}
	if c.cfg.Presigned != nil {
		sum := md5.Sum(p)
		h.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return h
}

// confirmed holds what the store says it has against p.
func confirmed(a *answer, p []byte) error {
	if got := a.header.Get(crcHeader); got != "" && got != checksum(p) {
		return fmt.Errorf("the store took other bytes: CRC-32C %s instead of %s", got, checksum(p))
	}
	if a.header.Get("Etag") == "" {
		return errors.New("the store gives no ETag")
	}
	return nil
}

// put makes a whole object, unless there is one of that key.
func (c *client) put(key string, p []byte) error {
	h := c.guarded(p)
	h.Set("If-None-Match", "*")
	h.Set("Content-Type", "application/octet-stream")
	a, err := c.do(request{method: http.MethodPut, key: key, header: h, body: p})
	if err != nil {
		return err
	}
	return confirmed(a, p)
}

// mark makes the empty object that stands for a directory. With exclusive, one that
// is there already is an error.
func (c *client) mark(key string, exclusive bool) error {
	h := http.Header{}
	if exclusive {
		h.Set("If-None-Match", "*")
	}
	_, err := c.do(request{method: http.MethodPut, key: key, header: h})
	return err
}

// head gives an object's size.
func (c *client) head(key string) (int64, error) {
	if c.cfg.Presigned != nil {
		return 0, errDenied // nobody may look
	}
	a, err := c.do(request{method: http.MethodHead, key: key})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("size of the object: %w", err)
	}
	return n, nil
}

func (c *client) remove(key string) error {
	_, err := c.do(request{method: http.MethodDelete, key: key})
	return err
}

// upload is a multipart upload.
type upload struct {
	c   *client
	key string
	id  string
	crc bool // the store keeps the checksums of parts
}

// begin starts an upload. With crc, the store is asked to keep the checksums of its
// parts.
func (c *client) begin(key string, crc bool) (*upload, error) {
	if p := c.cfg.Presigned; p != nil {
		if len(p.Objects[strings.TrimSuffix(key, target.Incomplete)].Parts) == 0 {
			return nil, fmt.Errorf("upload %s: %w", key, errPresigned)
		}
		return &upload{c: c, key: key, id: "presigned"}, nil // who made the URLs began it
	}
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if crc {
		h.Set("X-Amz-Checksum-Algorithm", crcName)
	}
	a, err := c.do(request{method: http.MethodPost, key: key, query: url.Values{"uploads": {""}}, header: h})
	if err != nil {
		return nil, err
	}
	u := &upload{c: c, key: key, id: element(a.body, "UploadId")}
	if u.id == "" {
		return nil, errors.New("the store gives no UploadId")
	}
	u.crc = strings.EqualFold(a.header.Get("X-Amz-Checksum-Algorithm"), crcName) || strings.EqualFold(element(a.body, "ChecksumAlgorithm"), crcName)
	return u, nil
}

// sent is a part that the store has.
type sent struct {
	etag, crc string
	size      int64
}

// part sends part number n, from 1, or sends it again.
func (u *upload) part(n int, p []byte) (sent, error) {
	h := u.c.guarded(p)
	if !u.crc {
		h.Del(crcHeader)
	}
	a, err := u.c.do(request{
		method: http.MethodPut, key: u.key, header: h, body: p,
		query: url.Values{"partNumber": {strconv.Itoa(n)}, "uploadId": {u.id}},
	})
	if err == nil {
		err = confirmed(a, p)
	}
	if err != nil {
		return sent{}, fmt.Errorf("part %d: %w", n, err)
	}
	return sent{a.header.Get("Etag"), checksum(p), int64(len(p))}, nil
}

// complete makes an object of the parts, unless there is one of that key, and looks
// whether it has as many bytes as they.
func (u *upload) complete(parts []sent) error {
	var b strings.Builder
	b.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	var size int64
	for i, s := range parts {
		size += s.size
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>", i+1, xmlText(s.etag))
		if u.crc {
			fmt.Fprintf(&b, "<ChecksumCRC32C>%s</ChecksumCRC32C>", s.crc)
		}
		b.WriteString("</Part>")
	}
	b.WriteString("</CompleteMultipartUpload>")
	_, err := u.c.do(request{
		method: http.MethodPost, key: u.key, query: url.Values{"uploadId": {u.id}},
		header: http.Header{"If-None-Match": {"*"}, "Content-Type": {"application/xml"}},
		body:   []byte(b.String()), limit: time.Duration(len(parts)) * time.Second,
	})
	var e *Error
	if errors.As(err, &e) && e.Code == "NoSuchUpload" {
		// It was there: the answer to the first attempt was lost, and this is the
		// second. The size, below, tells.
		if _, herr := u.c.head(u.key); herr == nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if n, err := u.c.head(u.key); err == nil && n != size {
		return fmt.Errorf("the object has %d bytes, its parts have %d", n, size)
	}
	return nil
}

// abort gives an upload up; what it has is removed.
func (u *upload) abort() error {
	_, err := u.c.do(request{method: http.MethodDelete, key: u.key, query: url.Values{"uploadId": {u.id}}})
	var e *Error
	if errors.As(err, &e) && e.Code == "NoSuchUpload" {
		return nil
	}
	return err
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// copyPart is how much one request copies.
const copyPart = 1 << 30

// copySource is the header that names what is copied.
const copySource = "X-Amz-Copy-Source"

// source is the value of that header.
func (c *client) source(key string) string { return "/" + escape(c.cfg.Bucket+"/"+key, true) }

// copying is how long the store may take to copy n bytes.
func copying(n int64) time.Duration { return time.Duration(n/(8<<20)) * time.Second }

// copy makes an object of another one, of size bytes, inside the store, unless there
// is one of that key.
func (c *client) copy(from, to string, size int64) error {
	if p := c.cfg.Presigned; p != nil { // nobody knew the size when it was signed
		if size > MaxPresigned {
			return fmt.Errorf("%d bytes are more than one request can copy (%d): whoever has the key can copy it", size, int64(MaxPresigned))
		}
		h := http.Header{copySource: {p.Objects[strings.TrimSuffix(from, target.Incomplete)].Source}}
		_, err := c.do(request{method: http.MethodPut, key: to, header: h, limit: copying(size)})
		return err
	}
	u, err := c.begin(to, false) // of ranges nobody knows the checksum
	if err != nil {
		return err
	}
	var parts []sent
	for off := int64(0); off < size && err == nil; off += copyPart {
		n := min(copyPart, size-off)
		var a *answer
		a, err = c.do(request{
			method: http.MethodPut, key: to, query: url.Values{"partNumber": {strconv.Itoa(len(parts) + 1)}, "uploadId": {u.id}},
			header: http.Header{
				copySource:                {c.source(from)},
				"X-Amz-Copy-Source-Range": {fmt.Sprintf("bytes=%d-%d", off, off+n-1)},
			},
			limit: copying(n),
		})
		if err == nil {
			parts = append(parts, sent{etag: element(a.body, "ETag"), size: n})
		}
	}
	if err == nil {
		err = u.complete(parts)
	}
	if err != nil {
		return errors.Join(err, u.abort())
	}
	return nil
}
