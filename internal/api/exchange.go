package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"quarantine/internal/api/wire"
)

// exchange is one request and its answer: the ResponseWriter of all handlers,
// and what is known of the request when it is logged and counted.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	route   string // the pattern that matched
	began   time.Time
	token   *Token // nil until it is known
	status  int    // 0 until the header is written
	// failure is why the request was refused or failed, failed the status that
	// tells it, which is another than status if a stream had begun.
	failure string
	failed  int
	// gone is why the client could not be written to.
	gone error
}

type exchangeKey struct{}

// exchangeOf returns the exchange that a handler's context belongs to.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// actor is the name of whose token it is, as the custody log writes it.
func (x *exchange) actor() string {
	if x.token == nil {
		return ""
	}
	return x.token.Name
}

// WriteHeader notes the status; only the first call counts.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

// Write writes to the client.
func (x *exchange) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	n, err := x.ResponseWriter.Write(b)
	if err != nil {
		x.gone = err
	}
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// fail notes why the request failed, for the log and the metrics.
func (x *exchange) fail(p *wire.Problem) { x.failure, x.failed = p.Error(), p.Status }

// clientGone is the status, in log and metrics, of requests that failed because
// their client went away (or the service stopped) before the end of the answer;
// no client ever sees it.
const clientGone = 499

// abort cuts the connection after the answer has begun: there is no other way
// to tell the client that it is not whole.
func (x *exchange) abort(err error) {
	x.fail(problemOf(err))
	if errors.Is(err, errClientGone) {
		x.failed = clientGone
	}
	panic(http.ErrAbortHandler)
}

// finish ends an exchange: it is deferred by the outermost handler. A panic is
// answered with status 500, or if the answer has begun by cutting the
// connection.
func (s *Server) finish(x *exchange) {
	p := recover()
	cut := false
	bug := false
	var attrs []slog.Attr
	switch err, _ := p.(error); {
	case p == nil:
	case errors.Is(err, http.ErrAbortHandler):
		cut = true
	case x.gone != nil: // huma panics when an answer cannot be written
		cut = true
		x.failure, x.failed = "send the answer: "+x.gone.Error(), clientGone
	default:
		bug, cut = true, x.status != 0
		if !cut {
			x.refuse(wire.NewProblem(http.StatusInternalServerError, wire.CodeInternal, "the service failed; its log says why"))
		}
		x.failure, x.failed = fmt.Sprintf("panic: %v", p), http.StatusInternalServerError
		attrs = append(attrs, slog.String("stack", string(debug.Stack())))
	}
	status := cmp.Or(x.failed, x.status, http.StatusOK)
	if status >= http.StatusInternalServerError && !bug && x.request.Context().Err() != nil {
		status = clientGone
	}
	if x.failure != "" {
		level := slog.LevelWarn
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append([]slog.Attr{
			slog.String("method", x.request.Method), slog.String("path", short(x.request.URL.Path)), slog.Int("status", status),
			slog.String("actor", x.actor()), slog.String("error", x.failure),
		}, attrs...)
		s.cfg.Log.LogAttrs(context.WithoutCancel(x.request.Context()), level, "request failed", attrs...)
	}
	s.cfg.Requested(x.route, status, s.cfg.Clock().Sub(x.began))
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// short cuts a path to what belongs into a log: strangers without a token may
// send long ones.
func short(path string) string {
	const most = 200
	if len(path) > most {
		return path[:most] + "…"
	}
	return path
}
