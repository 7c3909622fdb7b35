// Package notify posts the report of a capture to a web hook.
//
// It owns the request, the retries and what counts as delivered. It never decides
// when there is something to post, nor remembers that it was (capture/past does).
// Facts: RFC 9110.
package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// How long one attempt may take, and how long is waited between two.
const (
	attemptLimit = 20 * time.Second
	firstPause   = time.Second
	longestPause = 30 * time.Second

	// dialLimit is how long one of the known addresses may take to answer, so that
	// there is time for the others.
	dialLimit = 5 * time.Second
)

// Hook is where reports are posted to.
type Hook struct {
	// URL is http or https. It may hold a secret, and is in no message: of it,
	// only the host is shown.
	URL string
	// Addresses, if not empty, are tried for the URL's host before its name is
	// looked up.
	Addresses []string
	// CA, if not empty, is PEM certificates that are trusted instead of the
	// system's.
	CA []byte
	// Token, if not empty, is sent as a bearer token.
	Token string
	// Now is what time it is for the validity of certificates; nil means
	// time.Now. A clock that a crash put to 1970 would refuse all of them.
	Now func() time.Time

	pause time.Duration // tests wait less
}

// Check tells whether url can be a hook's.
func Check(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text would quote the URL
		return errors.New("this is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("want a URL that starts with http:// or https://")
	case u.Host == "":
		return errors.New("the URL has no host")
	}
	return nil
}

// Server is the host name or address of a hook's URL, and its TCP port.
func Server(s string) (host string, port int) {
	u, err := url.Parse(s)
	if err != nil {
		return "", 0
	}
	port = 80
	if u.Scheme == "https" {
		port = 443
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		port = n
	}
	return u.Hostname(), port
}

// Host is the host of a hook's URL, for messages.
func Host(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Host
	}
	return ""
}

// finalError is one that another attempt would not change.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Post posts a report, a JSON document, until a server takes it, a server says that
// it never will, or ctx ends.
func (h *Hook) Post(ctx context.Context, report []byte) error {
	client, err := h.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	pause := h.pause
	if pause == 0 {
		pause = firstPause
	}
	for n := 1; ; n++ {
		err := h.attempt(ctx, client, report)
		var final finalError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return fmt.Errorf("notify %s: %w", Host(h.URL), err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("notify %s: %d attempts, the last: %w; %w", Host(h.URL), n, err, context.Cause(ctx))
		}
		pause = min(2*pause, longestPause)
	}
}

func (h *Hook) client() (*http.Client, error) {
	conf := &tls.Config{Time: h.Now}
	if len(h.CA) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(h.CA) {
			return nil, fmt.Errorf("notify %s: the CA file holds no certificate in PEM form", Host(h.URL))
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         h.dial,
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: attemptLimit,
		},
		// What was meant for one server is not for whichever it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// dial connects to one of the known addresses, or by name.
func (h *Hook) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: attemptLimit}
	if host, port, err := net.SplitHostPort(addr); err == nil && host == (&url.URL{Host: Host(h.URL)}).Hostname() {
		known := &net.Dialer{Timeout: dialLimit}
		for _, a := range h.Addresses {
			if c, err := known.DialContext(ctx, network, net.JoinHostPort(a, port)); err == nil {
				return c, nil
			}
		}
	}
	return d.DialContext(ctx, network, addr)
}

func (h *Hook) attempt(ctx context.Context, client *http.Client, report []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptLimit, fmt.Errorf("no answer within %v", attemptLimit))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(report))
	if err != nil {
		return finalError{errors.New("the URL cannot be used")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "gokdump")
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(h.Token))
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the whole URL
			err = u.Err
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return fmt.Errorf("the server says %s %q", resp.Status, said)
	default:
		return finalError{fmt.Errorf("the server says %s %q", resp.Status, said)}
	}
}
