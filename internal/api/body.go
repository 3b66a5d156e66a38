package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"quarantine/internal/api/wire"
)

// readBody reads the request's body, of MaxBody bytes at most; of a larger one
// it reads no more than that, and nothing if its length is announced. Reading
// to the end is also what makes net/http notice a client that goes away.
func (s *Server) readBody(x *exchange, r *http.Request) ([]byte, *wire.Problem) {
	tooLarge := func() ([]byte, *wire.Problem) {
		return nil, wire.NewProblem(http.StatusRequestEntityTooLarge, wire.CodeTooLarge, fmt.Sprintf("the body is larger than %d bytes", s.cfg.MaxBody))
	}
	if r.ContentLength > s.cfg.MaxBody {
		return tooLarge()
	}
	// A deadline in the past ends the read when the timer fires. It stays on
	// the connection, so that a request it struck must not go on.
	conn := http.NewResponseController(x.ResponseWriter)
	slow := time.AfterFunc(s.bodyTimeout, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	// MaxBytesReader knows net/http's own writer, and closes the connection
	// after a body that was too large.
	b, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, r.Body, s.cfg.MaxBody))
	inTime := slow.Stop()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge()
	case !inTime:
		return nil, wire.NewProblem(http.StatusRequestTimeout, wire.CodeInvalid, fmt.Sprintf("the body did not arrive within %s", s.bodyTimeout))
	case err != nil:
		return nil, wire.NewProblem(http.StatusBadRequest, wire.CodeInvalid, "read the body: "+err.Error())
	}
	return b, nil
}
