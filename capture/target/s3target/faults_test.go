package s3target_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/wire"
)

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(p)
	return p
}

// between puts do between the client and the server: it answers a request itself,
// which it says by true, or changes it.
func between(t *testing.T, s *s3d.Server, do func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorLog: nil,
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !do(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL
}

func refuse(w http.ResponseWriter, status int, code string) bool {
	w.WriteHeader(status)
	io.WriteString(w, "<Error><Code>"+code+"</Code><Message>a test</Message><RequestId>42</RequestId></Error>")
	return true
}

// large writes n bytes as a dump would, the first ones last, and commits.
func large(t *testing.T, tg target.Target, name string, n int) ([]byte, error) {
	t.Helper()
	f, err := tg.Create(name)
	if err != nil {
		return nil, err
	}
	defer f.Abandon()
	want := random(n)
	const head = 1 << 20
	if _, err := f.(interface {
		Once(head, most int64) (bool, error)
	}).Once(head, int64(n)); err != nil {
		t.Fatal(err)
	}
	for off := head; off < n; off += 700_000 {
		if _, err := f.WriteAt(want[off:min(off+700_000, n)], int64(off)); err != nil {
			return nil, err
		}
	}
	if _, err := f.WriteAt(want[:head], 0); err != nil {
		return nil, err
	}
	return want, f.Commit()
}

func wantObject(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v; want %d", path, len(got), err, len(want))
	}
}

// What passes by is waited for, or done again.
func TestPassingFaults(t *testing.T) {
	s := s3d.Start(t, false)
	var n atomic.Int64
	for name, do := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"500 now and then": func(w http.ResponseWriter, r *http.Request) bool {
			return n.Add(1)%3 == 0 && refuse(w, 500, "InternalError")
		},
		"503 slow down": func(w http.ResponseWriter, r *http.Request) bool {
			return n.Add(1)%4 < 2 && refuse(w, 503, "SlowDown")
		},
		"reset": func(w http.ResponseWriter, r *http.Request) bool {
			if n.Add(1)%3 == 0 {
				io.CopyN(io.Discard, r.Body, 100_000)
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"spoilt on the way": func(w http.ResponseWriter, r *http.Request) bool {
			if r.ContentLength > 1<<20 && n.Add(1)%2 == 1 {
				b, _ := io.ReadAll(r.Body)
				b[len(b)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(b))
			}
			return false
		},
		"error after 200": func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPost && n.Add(1)%2 == 1 && refuse(w, 200, "InternalError")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n.Store(0)
			c, path := config(t, s)
			c.Endpoint = between(t, s, do)
			tg := connect(t, c)
			want, err := large(t, tg, "vmcore", 23<<20)
			if err != nil {
				t.Fatal(err)
			}
			wantObject(t, filepath.Join(path, "vmcore"), want)
			if n.Load() == 0 {
				t.Error("nothing was disturbed")
			}
		})
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// The answer to the request that makes the object is lost, though it was made.
func TestLostAnswer(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	var lost atomic.Bool
	c.Endpoint = between(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") || lost.Swap(true) {
			return false
		}
		to, _ := url.Parse(s.Endpoint)
		rec := httptest.NewRecorder()
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to); p.Out.Host = p.In.Host }}).ServeHTTP(rec, r)
		if rec.Code != 200 {
			t.Errorf("the store said %d %s", rec.Code, rec.Body)
		}
		panic(http.ErrAbortHandler)
	})
	want, err := large(t, connect(t, c), "vmcore", 12<<20)
	if err != nil || !lost.Load() {
		t.Fatal(err)
	}
	wantObject(t, filepath.Join(path, "vmcore"), want)
}

// A store that was waited for in vain is asked once more for each request, and serves
// again when it answers.
func TestPatienceIsSpentOnce(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	var asked atomic.Int64
	var well atomic.Bool
	c.Patience = time.Second
	c.Endpoint = between(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || well.Load() {
			return false
		}
		asked.Add(1)
		return refuse(w, 500, "InternalError")
	})
	well.Store(true)
	tg := connect(t, c)
	well.Store(false)
	put := func(name string) error {
		f, err := tg.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Abandon()
		if _, err := f.Write([]byte(name)); err != nil {
			return err
		}
		return f.Commit()
	}
	if err := put("a"); err == nil || asked.Load() < 2 {
		t.Errorf("the first file: %v after %d attempts", err, asked.Load())
	}
	asked.Store(0)
	if err := put("b"); err == nil || asked.Load() != 1 {
		t.Errorf("the next file: %v after %d attempts, want one", err, asked.Load())
	}
	well.Store(true)
	if err := put("c"); err != nil {
		t.Error(err)
	}
	wantObject(t, filepath.Join(path, "c"), []byte("c"))
	well.Store(false)
	asked.Store(0)
	if err := put("d"); err == nil || asked.Load() < 2 {
		t.Errorf("after it was well: %v after %d attempts", err, asked.Load())
	}
}

// What does not pass ends in time, leaves nothing, and is told.
func TestLastingFaults(t *testing.T) {
	s := s3d.Start(t, false)
	part := func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") }
	for name, tt := range map[string]struct {
		do   func(w http.ResponseWriter, r *http.Request) bool
		want string
	}{
		"500 for parts": {func(w http.ResponseWriter, r *http.Request) bool { return part(r) && refuse(w, 500, "InternalError") }, "after 1s of attempts"},
		"denied": {func(w http.ResponseWriter, r *http.Request) bool {
			return part(r) && refuse(w, 403, "AccessDenied")
		}, "s3:PutObject"},
		"silent": {func(w http.ResponseWriter, r *http.Request) bool {
			if part(r) {
				io.Copy(io.Discard, r.Body)
				select {
				case <-r.Context().Done():
				case <-time.After(time.Minute):
				}
				return true
			}
			return false
		}, "no answer within"},
		"token over": {func(w http.ResponseWriter, r *http.Request) bool { return part(r) && refuse(w, 400, "ExpiredToken") }, "crash images live long"},
		"not made": {func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("uploadId") && r.Method == "POST" && refuse(w, 400, "InvalidPart")
		}, "InvalidPart"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-9")
			return part(r) && refuse(w, 301, "PermanentRedirect")
		}, "eu-west-9"},
	} {
		t.Run(name, func(t *testing.T) {
			c, path := config(t, s)
			c.Endpoint = between(t, s, tt.do)
			c.Timeout, c.Patience = 500*time.Millisecond, time.Second
			if name != "silent" {
				c.Timeout = 20 * time.Second
			}
			tg := connect(t, c)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := large(t, tg, "vmcore", 23<<20)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			}()
			select {
			case <-done:
			case <-time.After(2 * time.Minute):
				t.Fatal("it hangs")
			}
			if _, err := os.Stat(filepath.Join(path, "vmcore")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the object is there: %v", err)
			}
			if n := s.Uploads(); n != 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}

// The cable is pulled in the middle of a part, and plugged in again.
func TestPulledCable(t *testing.T) {
	s := s3d.Start(t, false)
	w := wire.New(t, s.Addr)
	c, path := config(t, s)
	c.Endpoint, c.Timeout, c.Patience = "http://"+w.Addr, time.Second, time.Minute
	tg := connect(t, c)
	at := w.Moved() + 8<<20
	go func() {
		for w.Moved() < at {
			time.Sleep(time.Millisecond)
		}
		w.Pull()
		time.Sleep(3 * time.Second)
		w.Cut()
		w.Plug()
	}()
	want, err := large(t, tg, "vmcore", 33<<20)
	if err != nil {
		t.Fatal(err)
	}
	wantObject(t, filepath.Join(path, "vmcore"), want)
}

// A crash kernel's clock may be years off. The store's own is taken.
func TestWrongClock(t *testing.T) {
	s := s3d.Start(t, true)
	c, path := config(t, s)
	c.Epoch = time.Now().Add(3 * time.Hour)
	want, err := large(t, connect(t, c), "vmcore", 11<<20)
	if err != nil {
		t.Fatal(err)
	}
	wantObject(t, filepath.Join(path, "vmcore"), want)
}

// A partial dump is never there under the name of a whole one, not even between two
// requests; and where it may not be copied, it keeps the name that says so.
func TestNeverCalledWhole(t *testing.T) {
	s := s3d.Start(t, false)
	for name, tt := range map[string]struct {
		denied bool
		as     string
		left   []string
	}{
		"partial":         {false, "vmcore-partial", []string{"vmcore-partial"}},
		"partial, denied": {true, "vmcore-partial", []string{"vmcore.incomplete"}},
		"whole, denied":   {true, "vmcore", []string{"vmcore.incomplete"}},
		"not removed":     {false, "vmcore", []string{"vmcore", "vmcore.incomplete"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, path := config(t, s)
			c.Endpoint = between(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				if _, err := os.Stat(filepath.Join(path, "vmcore")); tt.as != "vmcore" && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("vmcore is there before %s %s: %v", r.Method, r.URL, err)
				}
				remove := r.Method == http.MethodDelete && !r.URL.Query().Has("uploadId")
				return (tt.denied && r.Header.Get("X-Amz-Copy-Source") != "" || name == "not removed" && remove) && refuse(w, 403, "AccessDenied")
			})
			tg := connect(t, c)
			f, err := tg.Create("vmcore")
			if err != nil {
				t.Fatal(err)
			}
			want := random(23 << 20)
			if _, err := f.Write(want); err != nil {
				t.Fatal(err)
			}
			err = f.CommitAs(tt.as)
			if tt.denied != (err != nil) || err != nil && !strings.Contains(err.Error(), "s3:GetObject") {
				t.Errorf("%v", err)
			}
			if warn := strings.Join(tg.(target.Warner).Warnings(), " "); strings.Contains(warn, "left over") != (name == "not removed") {
				t.Errorf("warnings %q", warn)
			}
			if got := names(t, path); got != strings.Join(tt.left, " ") {
				t.Errorf("left is %q, want %q", got, tt.left)
			}
			wantObject(t, filepath.Join(path, tt.left[0]), want)
		})
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// A large file's other name: it is copied and removed. A small one just gets it.
func TestPartialName(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	tg := connect(t, c)
	for _, size := range []int{100, 9 << 20, 23 << 20} {
		name := fmt.Sprint("vmcore", size)
		f, err := tg.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		want := random(size)
		if _, err := f.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := f.CommitAs(name + "-partial"); err != nil {
			t.Fatal(err)
		}
		wantObject(t, filepath.Join(path, name+"-partial"), want)
		if _, err := os.Stat(filepath.Join(path, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: vmcore is there, too: %v", size, err)
		}
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// While an upload is under way there is nothing under its name, and it is aborted
// when it is abandoned. This also shows that Uploads counts.
func TestAbandonLarge(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	f, err := connect(t, c).Create("vmcore")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(random(20 << 20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := s.Uploads(); n != 1 {
		t.Errorf("%d uploads, want 1", n)
	}
	if err := f.Abandon(); err != nil {
		t.Error(err)
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	if _, err := os.Stat(filepath.Join(path, "vmcore")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Memory is bounded: what is scattered over more parts than may be kept is refused,
// and so is what no upload can hold.
func TestBounds(t *testing.T) {
	s := s3d.Start(t, false)
	c, _ := config(t, s)
	c.Memory = 30 << 20
	f, err := connect(t, c).Create("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abandon()
	for i := range int64(7) {
		_, err = f.WriteAt([]byte("x"), i*(5<<20))
		if i < 6 && err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("7 parts at once: %v", err)
	}
	if _, err := f.WriteAt([]byte("xx"), 10_000*(5<<20)-1); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("beyond 10,000 parts: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s := s3d.Start(t, true)
	good, _ := config(t, s)
	good.Patience = time.Second
	for name, tt := range map[string]struct {
		change func(*s3target.Config)
		want   string
	}{
		"wrong key":      {func(c *s3target.Config) { c.Credentials.SecretKey = "x" }, "check the credentials"},
		"unknown key":    {func(c *s3target.Config) { c.Credentials.AccessKey = "x" }, "check the credentials"},
		"no bucket":      {func(c *s3target.Config) { c.Bucket = "nothere" }, "make the bucket nothere first"},
		"unknown CA":     {func(c *s3target.Config) { c.CA = nil }, "CA bundle"},
		"empty CA":       {func(c *s3target.Config) { c.CA = []byte("x") }, "no certificate in PEM"},
		"no credentials": {func(c *s3target.Config) { c.Credentials = s3target.Credentials{} }, "no credentials"},
		"no endpoint":    {func(c *s3target.Config) { c.Endpoint = "s3.example.com" }, "https://HOST"},
		"nobody there":   {func(c *s3target.Config) { c.Endpoint = "https://127.0.0.1:1" }, "after 1s of attempts"},
		"plain":          {func(c *s3target.Config) { c.Endpoint = strings.Replace(c.Endpoint, "https", "http", 1) }, ""},
		"little memory":  {func(c *s3target.Config) { c.Memory = 1 << 20 }, "memory"},
		"way out":        {func(c *s3target.Config) { c.Prefix = "a/../b" }, "prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.change(&c)
			tg, err := s3target.New(t.Context(), c)
			if err == nil {
				tg.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v lacks %q", err, tt.want)
			}
		})
	}
}

func TestNewIsBounded(t *testing.T) {
	s := s3d.Start(t, false)
	w := wire.New(t, s.Addr)
	w.Pull()
	c, _ := config(t, s)
	c.Endpoint, c.Timeout, c.Patience = "http://"+w.Addr, time.Hour, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := s3target.New(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A slow link is no dead one: each part takes longer than the store may be silent.
func TestSlowLink(t *testing.T) {
	s := s3d.Start(t, false)
	w := wire.New(t, s.Addr)
	w.Slow(160 * time.Millisecond)
	c, path := config(t, s)
	c.Endpoint, c.Timeout, c.Patience = "http://"+w.Addr, 2*time.Second, time.Second
	want, err := large(t, connect(t, c), "vmcore", 6<<20)
	if err != nil {
		t.Fatal(err)
	}
	wantObject(t, filepath.Join(path, "vmcore"), want)
}
