package frontend_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// request is what the daemon got.
type request struct {
	path, query, auth, contentType, body string
}

// daemon stands for quarantined.
type daemon struct {
	URL string

	mu      sync.Mutex
	got     []request
	answers func(r *http.Request, body string) (int, string)
}

func newDaemon(t *testing.T) *daemon {
	d := &daemon{answers: accepted}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		answers := d.answers
		d.mu.Unlock()
		var body []byte
		if answers != nil {
			body, _ = io.ReadAll(r.Body) // what is cut off is seen in the body
		}
		d.mu.Lock()
		d.got = append(d.got, request{r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		d.mu.Unlock()
		if answers == nil { // refuse without reading
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		code, text := answers(r, string(body))
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	d.URL = s.URL
	return d
}

// accepted is how a daemon answers that has nothing against it.
func accepted(r *http.Request, _ string) (int, string) {
	if strings.HasPrefix(r.URL.Path, "/v1/drivers/") {
		return 200, `{"act":"proceed","reason":"nothing of it is in quarantine","disks":[]}`
	}
	return 200, `{"dry_run":false,"deletions":[]}`
}

func (d *daemon) answer(f func(r *http.Request, body string) (int, string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = f
}

// always makes the daemon give one answer.
func (d *daemon) always(code int, body string) {
	d.answer(func(*http.Request, string) (int, string) { return code, body })
}

// hold makes the daemon keep callers waiting. The first channel tells of each
// caller, and of the end of its connection the second; release lets all go on
// with the usual answer.
func (d *daemon) hold(t *testing.T) (came, gone <-chan string, release func()) {
	c, g, open := make(chan string, 100), make(chan string, 100), make(chan struct{})
	release = sync.OnceFunc(func() { close(open) })
	t.Cleanup(release) // before the server is closed, which waits for its callers
	d.answer(func(r *http.Request, body string) (int, string) {
		c <- body
		select {
		case <-open:
		case <-r.Context().Done():
			g <- body
		}
		return accepted(r, body)
	})
	return c, g, release
}

// requests returns what the daemon got until now.
func (d *daemon) requests() []request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

func (d *daemon) bodies() []string {
	var out []string
	for _, r := range d.requests() {
		out = append(out, r.body)
	}
	return out
}
