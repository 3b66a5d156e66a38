package opennebula

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/OpenNebula/one/src/oca/go/src/goca"
	oneerrors "github.com/OpenNebula/one/src/oca/go/src/goca/errors"

	"quarantine/internal/quarantine"
)

// maxMessage is how much of the front-end's own words an error repeats, in
// bytes.
const maxMessage = 300

// document calls a method that answers with an XML document.
func (a *API) document(ctx context.Context, method string, args ...any) ([]byte, error) {
	r, err := a.call(ctx, method, args...)
	if err != nil {
		return nil, err
	}
	return []byte(r.Body()), nil
}

// number calls a method that answers with an id.
func (a *API) number(ctx context.Context, method string, args ...any) (int, error) {
	r, err := a.call(ctx, method, args...)
	if err != nil {
		return 0, err
	}
	return r.BodyInt(), nil
}

// call is one XML-RPC call. The error has the method and the front-end's words,
// and never the session. It wraps ErrNotFound, ErrRefused, ErrInvalid, ErrBusy
// or ErrConflict as the front-end says, and ErrUnavailable where nothing may be
// concluded.
func (a *API) call(ctx context.Context, method string, args ...any) (r *goca.Response, err error) {
	session, err := a.session()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	defer func() {
		// The library indexes what it has decoded without looking how much that
		// is: an answer that is no answer of oned would end the process.
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("%s: %w: the answer is none of OpenNebula's", method, quarantine.ErrUnavailable)
		}
	}()
	client := goca.NewClient(goca.OneConfig{Token: session, Endpoint: a.cfg.Endpoint}, a.client)
	r, err = client.CallContext(ctx, method, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, failure(ctx, err, session))
	}
	return r, nil
}

// session reads the credential.
func (a *API) session() (string, error) {
	f, err := os.Open(a.cfg.AuthFile)
	if err != nil {
		return "", fmt.Errorf("read the session: %w: %w", quarantine.ErrUnavailable, err)
	}
	defer f.Close()
	line := bufio.NewScanner(f)
	line.Scan()
	session := strings.TrimSpace(line.Text())
	if line.Err() != nil || !strings.Contains(session, ":") {
		return "", fmt.Errorf("read the session: %w: the first line of %s is not user:password", quarantine.ErrUnavailable, a.cfg.AuthFile)
	}
	return session, nil
}

// failure turns an error of the client library into one of this package.
func failure(ctx context.Context, err error, session string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, context.Cause(ctx))
	}
	var answer *oneerrors.ResponseError
	if errors.As(err, &answer) {
		return &refusal{sentinel(answer.Code), redact(answer.Msg, session)}
	}
	var client *oneerrors.ClientError
	if errors.As(err, &client) && client.Code == oneerrors.ClientReqBuild {
		return fmt.Errorf("%w: %s", quarantine.ErrInvalid, redact(err.Error(), session))
	}
	if client != nil && errors.Is(client.Err, errTooLong) {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, errTooLong)
	}
	return fmt.Errorf("%w: %s", quarantine.ErrUnavailable, redact(err.Error(), session))
}

// refusal is an error that the front-end itself has answered with.
type refusal struct {
	kind error
	said string
}

// Error implements error.
func (r *refusal) Error() string { return r.kind.Error() + ": " + r.said }

// Unwrap returns what kind of an error it is.
func (r *refusal) Unwrap() error { return r.kind }

// lost reports whether the front-end may have done what it was asked for all
// the same, because no answer of its own has come.
func lost(err error) bool {
	var said *refusal
	return errors.Is(err, quarantine.ErrUnavailable) && !errors.As(err, &said)
}

// sentinel tells what an error code of oned means (include/Request.h,
// Request::ErrorCode).
func sentinel(code oneerrors.OneErrCode) error {
	switch code {
	case oneerrors.OneNoExistsError:
		return quarantine.ErrNotFound
	case oneerrors.OneAuthenticationError:
		// Whose session is refused has learnt nothing.
		return fmt.Errorf("%w: the session is refused", quarantine.ErrUnavailable)
	case oneerrors.OneAuthorizationError:
		return quarantine.ErrRefused
	case oneerrors.OneActionError:
		return quarantine.ErrBusy // not in this state
	case oneerrors.OneXMLRPCAPIError:
		return quarantine.ErrInvalid
	case oneerrors.OneAllocateError:
		return quarantine.ErrConflict
	case oneerrors.OneLockedError:
		return quarantine.ErrBusy
	}
	return quarantine.ErrUnavailable
}

// redact takes the session, and what cannot be printed, out of a foreign text,
// and shortens it.
func redact(said, session string) string {
	said = strings.ReplaceAll(said, session, "…")
	if _, password, ok := strings.Cut(session, ":"); ok && password != "" {
		said = strings.ReplaceAll(said, password, "…")
	}
	return printable(said)
}

// printable takes out of a foreign text what cannot be printed, and shortens it.
func printable(said string) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, said), maxMessage)
}
