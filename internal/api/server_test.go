package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Paths and methods that are not there are problems like any other, counted
// under one route, whatever strangers ask for.
func TestNoSuchRoute(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/disks", "/v1/disks/a/b/c", "/v1/disks/", "/docs", "/openapi", "/metrics/x", "/" + strings.Repeat("long", 1000)} {
		w.refused(w.send(admin, "GET", path, ""), http.StatusNotFound, wire.CodeNotFound, "")
		if got := w.requests.take(); len(got) != 1 || got[0].route != "unmatched" || got[0].status != http.StatusNotFound {
			t.Errorf("%s: counted as %+v", path, got)
		}
	}
	for request, allow := range map[string]string{
		"DELETE /v1/disks":    "GET, HEAD",
		"POST /v1/status":     "GET, HEAD",
		"GET /v1/jobs/guard":  "POST",
		"DELETE /v1/guard":    "GET, HEAD, PUT",
		"POST /metrics":       "GET, HEAD",
		"PUT /healthz":        "GET, HEAD",
		"BREW /v1/disks/abcd": "GET, HEAD",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := w.send(admin, method, path, "")
		w.refused(a, http.StatusMethodNotAllowed, wire.CodeInvalid, "")
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", request, got, allow)
		}
	}
}

// A request that was answered well is counted by its pattern and leaves no
// line in the log.
func TestCounted(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		status := w.cfg.Status
		w.cfg.Status = func(ctx context.Context) (wire.Status, error) {
			w.clock.add(3 * time.Second)
			return status(ctx)
		}
	})
	d := w.dead(vms, "root")
	w.send(viewer, "GET", "/v1/disks/"+d.ID, "")
	w.send(viewer, "GET", "/v1/status", "")
	got := w.requests.take()
	if len(got) != 2 || got[0] != (request{"GET /v1/disks/{id}", 200, 0}) || got[1] != (request{"GET /v1/status", 200, 3 * time.Second}) {
		t.Errorf("%+v", got)
	}
	w.silent()
}

// A panic is status 500 without its text, and one line in the log with it and
// the stack; the connection lives on.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Status = func(context.Context) (wire.Status, error) { panic("a bug") }
	})
	for range 2 {
		a := w.send(viewer, "GET", "/v1/status", "")
		var p wire.Problem
		if err := json.Unmarshal(a.body, &p); err != nil || a.status != http.StatusInternalServerError || p.Code != wire.CodeInternal {
			t.Errorf("%d %s", a.status, a.body)
		}
		if strings.Contains(string(a.body), "a bug") {
			t.Errorf("the panic is told: %s", a.body)
		}
		line := w.log.String()
		w.logged(http.StatusInternalServerError, "vera", "panic: a bug")
		if !strings.Contains(line, "server_test.go") {
			t.Errorf("no stack in %s", line)
		}
	}
	if got := w.requests.take(); len(got) != 2 || got[1].status != 500 {
		t.Errorf("counted %+v", got)
	}
	// net/http is not told of it, and closes no connection: both requests and
	// this one came on one.
	var reused bool
	req := w.open(withTrace(w.ctx, &reused), viewer, "GET", "/healthz", nil)
	_ = req.Body.Close()
	if !reused {
		t.Error("the connection was closed")
	}
}

// deaf is a client that cannot be written to.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// A client that goes away before it has its answer is one line in the log, and
// no bug of the service: it is not counted as its failure, and leaves no stack.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := httptest.NewRequest("GET", "/v1/status", nil)
	r.Header.Set("Authorization", "Bearer "+viewer)
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v, want that of a cut connection", p)
			}
		}()
		w.server.Handler().ServeHTTP(deaf{httptest.NewRecorder()}, r)
	}()
	if line := w.log.String(); strings.Contains(line, "stack") {
		t.Errorf("%s", line)
	}
	w.logged(499, "vera", "broken pipe")
	if got := w.requests.take(); len(got) != 1 || got[0].status != 499 {
		t.Errorf("counted %+v", got)
	}
}

// An error of the domain has the status and code that package wire gives it;
// what is not known keeps its text.
func TestErrors(t *testing.T) {
	t.Parallel()
	var next error
	w := start(t, func(w *world) {
		w.cfg.Status = func(context.Context) (wire.Status, error) { return wire.Status{}, next }
	})
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("x: %w", quarantine.ErrRefused), 409, wire.CodeRefused},
		{fmt.Errorf("x: %w", quarantine.ErrInvalid), 400, wire.CodeInvalid},
		{fmt.Errorf("x: %w", quarantine.ErrNotFound), 404, wire.CodeNotFound},
		{fmt.Errorf("x: %w", quarantine.ErrExists), 409, wire.CodeExists},
		{fmt.Errorf("x: %w", quarantine.ErrBusy), 409, wire.CodeBusy},
		{fmt.Errorf("x: %w", quarantine.ErrConflict), 409, wire.CodeConflict},
		{fmt.Errorf("x: %w", quarantine.ErrUnavailable), 503, wire.CodeUnavailable},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 503, wire.CodeUnavailable},
		{errors.New("x: disk on fire"), 500, wire.CodeInternal},
	} {
		next = c.err
		a := w.send(viewer, "GET", "/v1/status", "")
		if detail := w.refused(a, c.status, c.code, "vera"); detail != c.err.Error() {
			t.Errorf("detail %q, want %q", detail, c.err)
		}
		if retry := a.header.Get("Retry-After"); (retry != "") != (c.status == 503) {
			t.Errorf("%d: Retry-After %q", c.status, retry)
		}
	}
}

// endless is a body that never ends, and counts what was read of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.read += int64(len(p))
	return len(p), nil
}

// A body beyond the limit is refused with status 413 and never read into
// memory: of one whose length is announced nothing is read, of another no more
// than the limit. One of exactly the limit is taken.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	before := w.state()
	for _, path := range []string{"/v1/hooks/generic", "/v1/disks/" + d.ID + "/hold", "/v1/jobs/collect"} {
		for _, announced := range []int64{50 << 20, -1} {
			body := &endless{}
			r := httptest.NewRequest("POST", path, io.LimitReader(body, 50<<20))
			r.ContentLength = announced
			r.Header.Set("Authorization", "Bearer "+operator)
			rec := httptest.NewRecorder()
			w.server.Handler().ServeHTTP(rec, r)
			w.refused(answer{rec.Code, rec.Header(), rec.Body.Bytes()}, http.StatusRequestEntityTooLarge, wire.CodeTooLarge, "otto")
			most := int64(0)
			if announced < 0 {
				most = maxBody + 4096
			}
			if body.read > most {
				t.Errorf("%s: %d bytes were read, want %d at most", path, body.read, most)
			}
		}
	}
	// Over a real connection too, where the client goes on sending.
	resp := w.open(w.ctx, operator, "POST", "/v1/hooks/generic", io.LimitReader(&endless{}, 50<<20))
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(answer{resp.StatusCode, resp.Header, b}, http.StatusRequestEntityTooLarge, wire.CodeTooLarge, "otto")
	if w.state() != before {
		t.Error("something was changed")
	}
	exactly := `{"case_id":"C-1","reason":"r"}`
	exactly += strings.Repeat(" ", maxBody-len(exactly))
	if a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/hold", exactly); a.status != http.StatusOK {
		t.Errorf("a body of the limit: %d %s", a.status, a.body)
	}
}

// A body that does not arrive is refused after a time, and one whose sender
// hangs up is noted; neither holds a goroutine for ever.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.server.SetBodyTimeout(20 * time.Millisecond)
	half := func() net.Conn {
		conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "POST /v1/hooks/generic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", hook); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	b, err := io.ReadAll(half())
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408") || !strings.Contains(string(b), "did not arrive") {
		t.Errorf("%v %s", err, b)
	}
	w.requests.take()
	w.logged(http.StatusRequestTimeout, "vac-hook", "did not arrive")

	w.server.SetBodyTimeout(time.Hour)
	if err := half().Close(); err != nil {
		t.Fatal(err)
	}
	w.requests.take()
	w.logged(http.StatusBadRequest, "vac-hook", "read the body")
}

// A long answer outlives the time that a body may take.
func TestBodyTimeoutEndsWithTheBody(t *testing.T) {
	t.Parallel()
	var fired <-chan time.Time
	w := start(t, func(w *world) {
		w.cfg.Jobs = jobFunc(func(ctx context.Context) (quarantine.Report, error) {
			<-fired
			return quarantine.Report{Job: "slow"}, ctx.Err()
		})
	})
	w.server.SetBodyTimeout(50 * time.Millisecond)
	fired = time.After(200 * time.Millisecond)
	if a := w.send(operator, "POST", "/v1/jobs/slow", `{}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}
