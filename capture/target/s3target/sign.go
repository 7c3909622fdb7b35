package s3target

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	stampForm = "20060102T150405Z"
	dayForm   = "20060102"
	algorithm = "AWS4-HMAC-SHA256"
)

// sign puts the headers of Signature Version 4 into r, whose URL and other headers
// are final. sum is the SHA-256 of the body.
func sign(r *http.Request, c Credentials, region string, now time.Time, sum [sha256.Size]byte) {
	stamp := now.UTC().Format(stampForm)
	payload := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", payload)
	if c.Token != "" {
		r.Header.Set("X-Amz-Security-Token", c.Token)
	}
	names := []string{"host"}
	for name := range r.Header {
		if l := strings.ToLower(name); strings.HasPrefix(l, "x-amz-") || l == "content-md5" || l == "if-none-match" {
			names = append(names, l)
		}
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, name := range names {
		value := r.Host
		if name != "host" {
			value = strings.Join(r.Header.Values(name), ",")
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), query(r.URL.Query()), headers.String(), signed, payload}, "\n")
	scope := strings.Join([]string{now.UTC().Format(dayForm), region, "s3", "aws4_request"}, "/")
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKey+"/"+scope+
		", SignedHeaders="+signed+", Signature="+signature(canonical, c, region, stamp, scope))
}

// presign puts Signature Version 4 into the query of u, good for so long. source, if
// not empty, is the header X-Amz-Copy-Source, which is then signed, too.
func presign(u *url.URL, method, source string, c Credentials, region string, now time.Time, valid time.Duration) {
	stamp, day := now.UTC().Format(stampForm), now.UTC().Format(dayForm)
	scope := strings.Join([]string{day, region, "s3", "aws4_request"}, "/")
	q := u.Query()
	q.Set("X-Amz-Algorithm", algorithm)
	q.Set("X-Amz-Credential", c.AccessKey+"/"+scope)
	q.Set("X-Amz-Date", stamp)
	q.Set("X-Amz-Expires", strconv.Itoa(int(valid/time.Second)))
	headers, signed := "host:"+u.Host+"\n", "host"
	if source != "" {
		headers += strings.ToLower(copySource) + ":" + source + "\n"
		signed += ";" + strings.ToLower(copySource)
	}
	q.Set("X-Amz-SignedHeaders", signed)
	if c.Token != "" {
		q.Set("X-Amz-Security-Token", c.Token)
	}
	canonical := strings.Join([]string{method, u.EscapedPath(), query(q), headers, signed, "UNSIGNED-PAYLOAD"}, "\n")
	q.Set("X-Amz-Signature", signature(canonical, c, region, stamp, scope))
	u.RawQuery = query(q)
}

// signature is that of a canonical request.
func signature(canonical string, c Credentials, region, stamp, scope string) string {
	hashed := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{algorithm, stamp, scope, hex.EncodeToString(hashed[:])}, "\n")
	key := []byte("AWS4" + c.SecretKey)
	for _, s := range []string{stamp[:len(dayForm)], region, "s3", "aws4_request"} {
		key = mac(key, s)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// query is the canonical form of a query.
func query(v url.Values) string {
	var all []string
	for name, values := range v {
		for _, value := range values {
			all = append(all, escape(name, false)+"="+escape(value, false))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "&")
}

// escape is URI encoding as the signature has it: all but A-Z a-z 0-9 - . _ ~, and
// the slashes of a path.
func escape(s string, path bool) string {
	const hexa = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, path && c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexa[c>>4], hexa[c&15]})
		}
	}
	return b.String()
}
