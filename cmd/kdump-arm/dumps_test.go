package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// hookServer is a real web server that takes reports.
type hookServer struct {
	mu     sync.Mutex
	codes  []int // of the next answers; then 200
	bodies []string
	auth   string
}

func (h *hookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	h.auth = r.Header.Get("Authorization")
	if len(h.codes) > 0 {
		code := h.codes[0]
		h.codes = h.codes[1:]
		if code != 200 {
			w.WriteHeader(code)
			return
		}
	}
	h.bodies = append(h.bodies, string(body))
}

// cmdHook: hook [CODE...] starts a server that answers with these codes, and puts its
// URL into $HOOK.
func cmdHook(ts *testscript.TestScript, neg bool, args []string) {
	h := &hookServer{}
	for _, a := range args {
		code, err := strconv.Atoi(a)
		ts.Check(err)
		h.codes = append(h.codes, code)
	}
	s := httptest.NewServer(h)
	ts.Defer(s.Close)
	ts.Setenv("HOOK", s.URL)
	hooks.Store(s.URL, h)
}

// hooks finds a script's server again: a script's environment holds strings only.
var hooks sync.Map

// cmdPosted: posted N [TEXT...] checks what the server has got: N reports, which hold
// the texts between them; auth=TOKEN is about the last request's header.
func cmdPosted(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := hooks.Load(ts.Getenv("HOOK"))
	if !ok {
		ts.Fatalf("no hook")
	}
	h := v.(*hookServer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if strconv.Itoa(len(h.bodies)) != args[0] {
		ts.Fatalf("%d reports were posted", len(h.bodies))
	}
	for _, want := range args[1:] {
		if token, ok := strings.CutPrefix(want, "auth="); ok {
			if h.auth != "Bearer "+token {
				ts.Fatalf("authorization %q", h.auth)
			}
		} else if !strings.Contains(strings.Join(h.bodies, " "), want) {
			ts.Fatalf("%q lacks %q", h.bodies, want)
		}
	}
}
