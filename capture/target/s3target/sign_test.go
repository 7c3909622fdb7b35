package s3target

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The examples of the S3 API Reference, "Authenticating Requests: Using the
// Authorization Header".
func TestSign(t *testing.T) {
	for url, want := range map[string]string{
		"https://examplebucket.s3.amazonaws.com/?lifecycle":           "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		"https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	} {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		key := Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
		sign(r, key, "us-east-1", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), sha256.Sum256(nil))
		if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+want) {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestEscape(t *testing.T) {
	if got := escape("a b/ä+~*'(1).é=&", true); got != "a%20b/%C3%A4%2B~%2A%27%281%29.%C3%A9%3D%26" {
		t.Error(got)
	}
	if got := escape("a/b", false); got != "a%2Fb" {
		t.Error(got)
	}
}

func TestElement(t *testing.T) {
	for text, want := range map[string]string{
		"<Error><Code>NoSuchUpload</Code></Error>": "NoSuchUpload",
		"<a><Code> a&amp;b&lt;&quot; </Code></a>":  `a&b<"`,
		"<Code>": "", "": "", "Code": "", "<Codes>x</Codes>": "",
	} {
		if got := element([]byte(text), "Code"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParts(t *testing.T) {
	q := &part{size: 12}
	for _, s := range []span{{5, 8}, {0, 2}, {10, 12}, {2, 5}, {7, 9}} {
		q.put(make([]byte, s.to-s.from), s.from)
	}
	if len(q.spans) != 2 || q.spans[0] != (span{0, 9}) || q.spans[1] != (span{10, 12}) || q.full(12) {
		t.Errorf("%v", q.spans)
	}
	q.put([]byte{1}, 9)
	if !q.full(12) {
		t.Errorf("%v", q.spans)
	}
	q.cut(9)
	if !q.full(9) || len(q.data) != 9 {
		t.Errorf("%v", q.spans)
	}
	q.grow(12)
	if q.data[9] != 0 {
		t.Error("what was cut off came back")
	}
	q.cut(0)
	if len(q.spans) != 0 {
		t.Errorf("%v", q.spans)
	}
}
