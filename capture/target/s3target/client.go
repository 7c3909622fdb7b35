package s3target

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client sends requests.
type client struct {
	cfg          Config
	scheme, host string
	http         *http.Client
	skew         atomic.Int64 // what the store's clock is ahead of ours, in nanoseconds
	ctx          context.Context
	end          context.CancelCauseFunc
	refs         atomic.Int64 // open directories but one
	spent        atomic.Bool  // patience was over, and nothing was answered well since

	warnMu   sync.Mutex
	warnings []string
}

// request is a request that can be sent again.
type request struct {
	method string
	key    string
	query  url.Values
	header http.Header
	body   []byte
	limit  time.Duration // how long the store may think longer than usual
	most   int64         // bytes that an answer may have; 0 means maxAnswer
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// Bounds of answers and of the wait between attempts.
const (
	maxAnswer = 256 << 10
	firstWait = 250 * time.Millisecond
	lastWait  = 8 * time.Second
	slowest   = 16 << 10 // bytes per second: what is slower for long is dead

	// sendBuffer is what the kernel keeps of a connection's data, in bytes; it
	// takes twice as much. Left alone it takes up to 4 MiB, for each connection,
	// and nobody can tell for minutes whether anything of that arrives.
	sendBuffer = 256 << 10
	unsent     = 64 << 10 // bytes per second: at least so fast it must go out
)

var (
	errNotFound = errors.New("not found")
	errDenied   = errors.New("access denied")
	errTaken    = errors.New("there is such an object already")
)

// Error is what a store says is wrong.
type Error struct {
	Status  int    // of HTTP
	Code    string // as the S3 API Reference lists them; may be empty
	Message string
	ID      string // of the request, for whoever runs the store
	hint    string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("the store says %d %s", e.Status, e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.ID != "" {
		s += " (request " + e.ID + ")"
	}
	if e.hint != "" {
		s += ": " + e.hint
	}
	return s
}

// Unwrap gives the kind of error.
func (e *Error) Unwrap() error {
	switch {
	case e.Status == http.StatusNotFound && e.Code != "NoSuchBucket" && e.Code != "NoSuchUpload":
		return errNotFound
	case e.Status == http.StatusPreconditionFailed, e.Status == http.StatusConflict && e.Code == "ConditionalRequestConflict":
		return errTaken
	case e.Status == http.StatusForbidden:
		return errDenied
	}
	return nil
}

// now is the time, as well as it is known.
func (c *client) now() time.Time {
	t := time.Now()
	if t.Before(c.cfg.Epoch) {
		t = c.cfg.Epoch
	}
	return t.Add(time.Duration(c.skew.Load()))
}

// do sends a request until it is answered for good, or patience is over. Who was waited
// for in vain is asked once for each request after that, until it answers again: the
// reports of a dump that failed must not take as long again, each.
func (c *client) do(r request) (*answer, error) {
	start := time.Now()
	set := false // the clock
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		a, err := c.once(r)
		var e *Error
		switch {
		case err == nil:
			c.spent.Store(false)
			return a, nil
		case c.ctx.Err() != nil:
			return nil, fmt.Errorf("%w (%w)", context.Cause(c.ctx), err)
		case errors.As(err, &e) && e.Code == "RequestTimeTooSkewed" && !set && c.setClock(a):
			set = true
			continue
		case !again(err):
			return nil, err
		}
		left := c.cfg.Patience - time.Since(start)
		if left <= 0 || c.spent.Load() {
			c.spent.Store(true)
			return nil, fmt.Errorf("after %v of attempts: %w", c.cfg.Patience, err)
		}
		// Many machines may crash at once: they shall not all come back at once.
		wait := min(wait/2+rand.N(wait), left)
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
		}
	}
}

// setClock takes the time from an answer: that of a crash kernel may be anything.
func (c *client) setClock(a *answer) bool {
	t, err := http.ParseTime(a.header.Get("Date"))
	if err == nil {
		c.skew.Add(int64(t.Sub(c.now())))
	}
	return err == nil
}

// again tells whether another attempt may go better.
func again(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		var permanent interface{ permanent() }
		return !errors.As(err, &permanent)
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	switch e.Code {
	case "RequestTimeout", "SlowDown", "InternalError", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "ConditionalRequestConflict":
		return true // also what the way there has spoilt
	}
	return false
}

// dial makes a connection.
func (c *client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.cfg.Dial(ctx, network, addr)
	if t, ok := conn.(*net.TCPConn); ok && err == nil {
		_ = t.SetWriteBuffer(sendBuffer) // without it all works as well, and takes memory
	}
	return conn, err
}

// url is where a key is.
func (c *client) url(key string, q url.Values) *url.URL {
	path, raw := "/"+key, "/"+escape(key, true)
	if !c.cfg.VirtualHost {
		path, raw = "/"+c.cfg.Bucket+path, "/"+escape(c.cfg.Bucket, false)+raw
	}
	return &url.URL{Scheme: c.scheme, Host: c.host, Path: path, RawPath: raw, RawQuery: query(q)}
}

// once sends a request. With an [Error] the answer is not nil.
func (c *client) once(r request) (*answer, error) {
	whole, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout+r.limit+time.Duration(len(r.body))*time.Second/slowest)
	defer cancel()
	// Parts share what the link can take: not how long one takes tells that the
	// other side is dead, but that it takes nothing more of it.
	ctx, stall := context.WithCancelCause(whole)
	defer stall(nil)
	quiet := c.cfg.Timeout + r.limit + time.Duration(min(len(r.body), 2*sendBuffer))*time.Second/unsent
	body := &watched{r: bytes.NewReader(r.body), quiet: quiet, timer: time.AfterFunc(quiet, func() {
		stall(fmt.Errorf("no answer within %v", quiet))
	})}
	defer body.timer.Stop()
	u := c.url(r.key, r.query)
	if c.cfg.Presigned != nil {
		text, err := c.cfg.Presigned.find(r)
		if err != nil {
			return nil, err
		}
		if u, err = url.Parse(text); err != nil {
			return nil, errPresigned
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if len(r.body) > 0 {
		req.Body, req.ContentLength = body, int64(len(r.body))
		req.GetBody = func() (io.ReadCloser, error) { // for a connection that turns out to be over
			return &watched{r: bytes.NewReader(r.body), quiet: quiet, timer: body.timer}, nil
		}
	}
	req.URL = u // as it is signed
	req.Header = r.header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", "gokdump")
	if c.cfg.Presigned == nil {
		sign(req, c.cfg.Credentials, c.cfg.Region, c.now(), sha256.Sum256(r.body))
	} else {
		// Headers of this kind must be signed, and which there are was not known.
		maps.DeleteFunc(req.Header, func(name string, _ []string) bool {
			return strings.HasPrefix(name, "X-Amz-") && name != copySource
		})
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && c.ctx.Err() == nil {
			return nil, fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		return nil, explain(err)
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header}
	most := max(r.most, maxAnswer)
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, most+1)); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode/100 == 2 && r.most > 0 && int64(len(a.body)) > r.most {
		return nil, permanentError{fmt.Errorf("it has more than %d bytes", r.most)}
	}
	// Some answers begin well, and then the store finds out that it cannot.
	if res.StatusCode/100 == 2 && (r.method == http.MethodGet || !bytes.Contains(a.body, []byte("<Error>"))) {
		return a, nil
	}
	e := &Error{
		Status: res.StatusCode, Code: element(a.body, "Code"), Message: clip(element(a.body, "Message")),
		ID: element(a.body, "RequestId"),
	}
	if e.Code == "" {
		e.Code = http.StatusText(res.StatusCode)
	}
	e.hint = c.hint(e, res.Header)
	return a, e
}

// watched is a body, and a timer that begins anew with each piece that is taken of
// it.
type watched struct {
	r     *bytes.Reader
	quiet time.Duration
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.quiet)
	return w.r.Read(p)
}

func (w *watched) Close() error { return nil }

// element gives the text of the first XML element of that name: answers are small
// and flat.
func element(body []byte, name string) string {
	_, rest, ok := strings.Cut(string(body), "<"+name+">")
	if !ok {
		return ""
	}
	text, _, ok := strings.Cut(rest, "</")
	if !ok {
		return ""
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(strings.TrimSpace(text))
}
