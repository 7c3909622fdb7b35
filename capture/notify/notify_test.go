package notify

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server is a real one that answers with the codes, one after the other; 0 is no
// answer at all.
func server(t *testing.T, codes ...int) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var seen atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Method != "POST" || err != nil || string(body) != `{"result":"complete"}` || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %q %q, %v", r.Method, body, r.Header, err)
		}
		n := int(seen.Add(1))
		if code := codes[min(n, len(codes))-1]; code != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			io.WriteString(w, "so it is")
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s, &seen
}

func TestPost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		codes []int
		want  string // in the error
		seen  int32
	}{
		{"taken", []int{204}, "", 1},
		{"after errors", []int{500, 503, 429, 200}, "", 4},
		{"denied", []int{500, 403}, `403 Forbidden "so it is"`, 2},
		{"moved", []int{308}, "308", 1},
	} {
		s, seen := server(t, tt.codes...)
		h := &Hook{URL: s.URL + "/hook?secret=abc", pause: time.Millisecond}
		err := h.Post(t.Context(), []byte(`{"result":"complete"}`))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || seen.Load() != tt.seen {
			t.Errorf("%s: %d requests, %v; want %d, %q", tt.name, seen.Load(), err, tt.seen, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "abc") {
			t.Errorf("%s: the error tells the secret: %v", tt.name, err)
		}
	}
}

// A server that never answers, or answers with errors only, or is not there.
func TestPostEnds(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	slow, _ := server(t, 0)
	sick, _ := server(t, 500)
	over := errors.New("time is over")
	for name, url := range map[string]string{"slow": slow.URL, "sick": sick.URL, "gone": "http://" + gone.Addr().String()} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, over)
		defer cancel()
		h := &Hook{URL: url + "/secret", pause: 10 * time.Millisecond}
		if err := h.Post(ctx, []byte(`{"result":"complete"}`)); !errors.Is(err, over) || strings.Contains(err.Error(), "/secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLS(t *testing.T) {
	var token atomic.Value
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token.Store(r.Header.Get("Authorization"))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	h := &Hook{URL: s.URL, CA: ca, Token: "sesame\n"}
	if err := h.Post(ctx, nil); err != nil || token.Load() != "Bearer sesame" {
		t.Errorf("with the CA: %v, token %v", err, token.Load())
	}
	refused := func(name string, h *Hook, want string) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		h.pause = 100 * time.Millisecond
		if err := h.Post(ctx, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	refused("without the CA", &Hook{URL: s.URL}, "certificate")
	refused("no PEM", &Hook{URL: s.URL, CA: []byte("hello")}, "PEM")
	// This certificate is valid from 1970 on; a clock is wrong in the other direction too.
	refused("in 2200", &Hook{URL: s.URL, CA: ca, Now: func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }}, "expired")
}

// The addresses from when the image was built serve a crash kernel without DNS.
func TestAddresses(t *testing.T) {
	s, seen := server(t, 200)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := &Hook{URL: "http://hooks.invalid:" + port, Addresses: []string{"127.0.0.1"}}
	if err := h.Post(t.Context(), []byte(`{"result":"complete"}`)); err != nil || seen.Load() != 1 {
		t.Errorf("%v, %d requests", err, seen.Load())
	}
}

func TestCheck(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://hooks.example/x?y=z": true, "http://10.0.2.2:8080": true,
		"ftp://x/": false, "hooks.example/x": false, "https://": false, "://": false, "": false,
	} {
		if err := Check(url); (err == nil) != ok {
			t.Errorf("Check(%q): %v", url, err)
		}
	}
}
