package wire

import (
	"errors"
	"fmt"
	"net/http"

	"quarantine/internal/quarantine"
)

// Problem is an error on the wire (RFC 9457, application/problem+json). Code
// is what programs branch on.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code" enum:"invalid,unauthorized,forbidden,not_found,too_large,refused,exists,busy,conflict,cancelled,unavailable,internal"`
}

// The codes of a Problem.
const (
	CodeInvalid      = "invalid"
	CodeUnauthorized = "unauthorized"
	CodeForbidden    = "forbidden"
	CodeNotFound     = "not_found"
	CodeTooLarge     = "too_large"
	CodeRefused      = "refused"
	CodeExists       = "exists"
	CodeBusy         = "busy"
	CodeConflict     = "conflict"
	CodeCancelled    = "cancelled"
	CodeUnavailable  = "unavailable"
	CodeInternal     = "internal"
)

// sentinels in the order in which they are looked for: what is refused,
// invalid or not there was decided, and says more than a system's trouble
// beside it.
var sentinels = []struct {
	err    error
	code   string
	status int
}{
	{quarantine.ErrRefused, CodeRefused, http.StatusConflict},
	{quarantine.ErrInvalid, CodeInvalid, http.StatusBadRequest},
	{quarantine.ErrNotFound, CodeNotFound, http.StatusNotFound},
	{quarantine.ErrExists, CodeExists, http.StatusConflict},
	{quarantine.ErrBusy, CodeBusy, http.StatusConflict},
	{quarantine.ErrConflict, CodeConflict, http.StatusConflict},
	{quarantine.ErrUnavailable, CodeUnavailable, http.StatusServiceUnavailable},
}

// ProblemOf translates an error of the domain. What it does not know is
// internal, with the text kept: the API's users are the operators.
func ProblemOf(err error) *Problem {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return NewProblem(s.status, s.code, err.Error())
		}
	}
	return NewProblem(http.StatusInternalServerError, CodeInternal, err.Error())
}

// NewProblem makes a Problem.
func NewProblem(status int, code, detail string) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Detail: detail, Code: code}
}

// Error is the detail.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return p.Detail
}

// GetStatus is the HTTP status, as huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// Unwrap gives the domain's sentinel back, so that a client branches on errors
// as the daemon does.
func (p *Problem) Unwrap() error {
	for _, s := range sentinels {
		if s.code == p.Code {
			return s.err
		}
	}
	return nil
}
