package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A problem comes back as such, with the domain's sentinel; one without a code
// gets the code of its status.
func TestProblems(t *testing.T) {
	t.Parallel()
	for body, c := range map[string]struct {
		status int
		code   string
		is     error
	}{
		`{"status":409,"detail":"disk x is on hold","code":"refused"}`: {409, wire.CodeRefused, quarantine.ErrRefused},
		`{"status":404,"detail":"disk x","code":"not_found"}`:          {404, wire.CodeNotFound, quarantine.ErrNotFound},
		`{"status":409,"code":"busy"}`:                                 {409, wire.CodeBusy, quarantine.ErrBusy},
		`{"detail":"body: no JSON"}`:                                   {422, wire.CodeInvalid, quarantine.ErrInvalid},
		`{}`:                                                           {503, wire.CodeUnavailable, quarantine.ErrUnavailable},
		`{"detail":"who?"}`:                                            {401, wire.CodeUnauthorized, nil},
		`{"detail":"no"}`:                                              {403, wire.CodeForbidden, nil},
		`{"detail":"big"}`:                                             {413, wire.CodeTooLarge, nil},
		`{"detail":"nothing there"}`:                                   {404, wire.CodeNotFound, quarantine.ErrNotFound},
		`{"detail":"boom"}`:                                            {500, wire.CodeInternal, nil},
	} {
		err := hold(t.Context(), serve(t, answer(c.status, "application/problem+json", body)))
		var p *wire.Problem
		if !errors.As(err, &p) || p.Code != c.code || p.Status != c.status {
			t.Errorf("%s with %d became %#v", body, c.status, err)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) || errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrUncertain) {
			t.Errorf("%s with %d became %v, which is of the wrong kind", body, c.status, err)
		}
	}
}

// What is not the daemon's answer is none; of an act that was sent nobody
// knows then whether it was done, and it is not sent again.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"a page":           answer(http.StatusOK, "text/html", "<html>"),
		"another service":  answer(http.StatusOK, "text/plain", "{}"),
		"a proxy's error":  answer(http.StatusBadGateway, "text/html", "<html>"),
		"a page not found": answer(http.StatusNotFound, "text/plain", "404 page not found"),
		"no JSON":          answer(http.StatusOK, "application/json", "<html>"),
		"half of it":       answer(http.StatusOK, "application/json", `{"id":"3fa1`),
		"nothing":          answer(http.StatusOK, "application/json", ""),
		"no problem":       answer(http.StatusConflict, "application/problem+json", "<html>"),
		"another direction": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"a hung-up line": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				h(w, r)
			})
			err := hold(t.Context(), c)
			if !errors.Is(err, client.ErrUnreachable) || !errors.Is(err, client.ErrUncertain) {
				t.Errorf("an act: %v", err)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("it was sent %d times", n)
			}
			if _, err = c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrUncertain) {
				t.Errorf("a look: %v", err)
			}
		})
	}
}

// Where nobody listens nothing was sent, and nothing is uncertain.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	err = hold(t.Context(), dial(t, "http://"+addr))
	if !errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrUncertain) {
		t.Errorf("got %v", err)
	}
	if want := "cannot reach the daemon at http://" + addr + ": dial tcp"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

// A daemon that does not answer in time is one that cannot be reached; a job
// may take longer than that, and ends with its context.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	release, arrived := make(chan struct{}), make(chan string, 9)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that a client that goes is noticed
		arrived <- r.URL.Path
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
		answer(http.StatusOK, "application/json", `{"job":"collect"}`)(w, r)
	}, func(cfg *client.Config) { cfg.AnswerTimeout = 50 * time.Millisecond })
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("a look: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.RunJob(ctx, "collect", wire.JobRequest{})
		done <- err
	}()
	for path := range arrived {
		if path == "/v1/jobs/collect" {
			break
		}
	}
	// It outlives what a short act may take.
	if err := hold(t.Context(), c); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("an act: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("the job ended before its time: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, client.ErrUncertain) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a stopped job: %v", err)
	}
	close(release)
	if rep, err := c.RunJob(t.Context(), "collect", wire.JobRequest{}); err != nil || rep.Job != "collect" {
		t.Errorf("a job: %+v, %v", rep, err)
	}
}
