package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// problemType is the media type of a wire.Problem (RFC 9457).
const problemType = "application/problem+json"

// retryAfter is how many seconds a client should wait when what it needs
// cannot be reached.
const retryAfter = "10"

// refuse answers with a problem.
func (x *exchange) refuse(p *wire.Problem) {
	x.fail(p)
	h := x.Header()
	// Of an export that failed before its first byte.
	h.Del("Content-Length")
	h.Del("Trailer")
	setProblemHeaders(h.Set, p)
	x.WriteHeader(p.Status)
	_ = json.NewEncoder(x).Encode(p) // a client that has gone needs no answer
}

func setProblemHeaders(set func(name, value string), p *wire.Problem) {
	set("Content-Type", problemType)
	switch p.Status {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", `Bearer realm="quarantine"`)
	case http.StatusServiceUnavailable:
		set("Retry-After", retryAfter)
	}
}

// problemOf translates any error. A request that ended because its context did
// is no fault of the service: it was not done, and may be sent again.
func problemOf(err error) *wire.Problem {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p
	}
	p = wire.ProblemOf(err)
	if p.Status == http.StatusInternalServerError && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeUnavailable, err.Error())
	}
	return p
}

// transform gives every error that huma writes our form: those of our handlers
// and its own about parameters and bodies.
func (s *Server) transform(ctx huma.Context, _ string, v any) (any, error) {
	var p *wire.Problem
	switch e := v.(type) {
	case *wire.Problem:
		p = e
	case *huma.ErrorModel:
		p = wire.NewProblem(http.StatusBadRequest, wire.CodeInvalid, explain(e))
	default:
		return v, nil
	}
	exchangeOf(ctx.Context()).fail(p)
	setProblemHeaders(ctx.SetHeader, p)
	return p, nil
}

// explain puts what huma found wrong into a sentence that names the fields. It
// leaves out their values, which may be long, or secret.
func explain(e *huma.ErrorModel) string {
	var found []string
	for _, d := range e.Errors {
		switch {
		case d == nil:
		case d.Location == "":
			found = append(found, d.Message)
		default:
			found = append(found, d.Location+": "+d.Message)
		}
	}
	if len(found) == 0 {
		return e.Detail
	}
	slices.Sort(found)
	return strings.Join(found, "; ")
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}

func unauthorized(why string) *wire.Problem {
	return wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, why)
}

func forbidden(why string) *wire.Problem {
	return wire.NewProblem(http.StatusForbidden, wire.CodeForbidden, why)
}

func methodNotAllowed(r *http.Request, allow string) *wire.Problem {
	return wire.NewProblem(http.StatusMethodNotAllowed, wire.CodeInvalid, fmt.Sprintf("%s is not for %s; it takes %s", short(r.URL.Path), r.Method, allow))
}

func noSuchPath(r *http.Request) *wire.Problem {
	return wire.NewProblem(http.StatusNotFound, wire.CodeNotFound, fmt.Sprintf("there is nothing at %s; /openapi.json lists all paths", short(r.URL.Path)))
}
