package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"quarantine/internal/api/wire"
)

// rolePublic is the role of routes that need no token.
const rolePublic Role = ""

// roleKey is the key of an operation's metadata under which its role stands.
const roleKey = "role"

// rank orders the roles of people; 0 for others.
func rank(r Role) int {
	switch r {
	case RoleViewer:
		return 1
	case RoleOperator:
		return 2
	case RoleAdmin:
		return 3
	}
	return 0
}

// may reports whether a token of the role may do what needs the other. What is
// for hooks, whose rank is 0, is for everybody with a token; the hook's handler
// asks further.
func (r Role) may(need Role) bool { return rank(r) >= rank(need) }

// admit is the middleware of every operation: it lets in who may, reads the
// body, and only then lets huma look at the request.
func (s *Server) admit(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	x := exchangeOf(r.Context())
	need, _ := ctx.Operation().Metadata[roleKey].(Role)
	if p := s.authorize(x, r, need); p != nil {
		x.refuse(p)
		return
	}
	body, p := s.readBody(x, r)
	if p != nil {
		x.refuse(p)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(lenient{ctx})
}

// authorize finds whose token it is and whether it is enough.
func (s *Server) authorize(x *exchange, r *http.Request, need Role) *wire.Problem {
	if need == rolePublic {
		return nil
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	switch {
	case r.Header.Get("Authorization") == "":
		return unauthorized("a token is needed: Authorization: Bearer TOKEN")
	case !strings.EqualFold(scheme, "Bearer") || secret == "":
		return unauthorized("the header Authorization is not of the form: Bearer TOKEN")
	}
	x.token = s.tokenOf(secret)
	if x.token == nil {
		return unauthorized("the token is not known here")
	}
	if !x.token.Role.may(need) {
		return forbidden(fmt.Sprintf("%s needs the role %s; the token %s has the role %s", x.route, need, x.token.Name, x.token.Role))
	}
	return nil
}

// tokenOf returns the token of that secret, or nil. How long it takes tells
// nothing about how near the secret is to another.
func (s *Server) tokenOf(secret string) *Token {
	sum := sha256.Sum256([]byte(secret))
	var found *Token
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(sum[:], s.tokens[i].SHA256[:]) == 1 {
			found = &s.tokens[i]
		}
	}
	return found
}

// humaContext lets lenient embed a huma.Context, whose method Context the
// field's name would hide.
type humaContext huma.Context

// lenient is a request as huma sees it. Every body is taken for JSON, whatever
// its media type says: curl -d says that it is a form.
type lenient struct{ humaContext }

// Header returns a header of the request.
func (l lenient) Header(name string) string {
	if strings.EqualFold(name, "Content-Type") {
		return "application/json"
	}
	return l.humaContext.Header(name)
}

// SetStatus gives all of huma's own refusals one status; see transform.
func (l lenient) SetStatus(status int) {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	l.humaContext.SetStatus(status)
}

// Unwrap lets humago find the request.
func (l lenient) Unwrap() huma.Context { return l.humaContext }
