package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"quarantine/internal/quarantine"
)

// Server answers the daemon's HTTP requests.
type Server struct {
	cfg     Config
	tokens  []Token
	router  *router
	api     huma.API
	openapi openapi
	// running are the restores to clouds that can be cancelled.
	running running
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout time.Duration
}

// bodyTimeout is generous: hooks come from machines that are just being
// deleted, exports and restores have small bodies.
const bodyTimeout = time.Minute

// New makes the server. The error says which part of the configuration is
// missing, or which token can never work.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, tokens: cfg.Tokens, router: &router{ServeMux: http.NewServeMux()}, bodyTimeout: bodyTimeout}
	s.api = humago.New(s.router, s.humaConfig())
	s.routes()
	if err := s.describe(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler serves all routes. It recovers from panics, and logs each request
// that was refused or failed, once.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// router is the mux, which remembers what was registered.
type router struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc registers a handler.
func (r *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.HandleFunc(pattern, h)
}

// serve is the outermost handler: whatever happens inside, the request is
// answered, counted, and logged at most once.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, request: r, route: unmatched, began: s.cfg.Clock()}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	defer s.finish(x)
	h, pattern := s.router.Handler(r)
	if pattern == "" {
		noRoute(x, r, h)
		return
	}
	x.route = pattern
	s.router.ServeHTTP(x, r)
}

// unmatched is the route, in the metrics, of requests that match none.
const unmatched = "unmatched"

// noRoute answers in our form what the mux would say in its own.
func noRoute(x *exchange, r *http.Request, h http.Handler) {
	var probe statusProbe
	h.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.Header().Get("Allow")
		x.Header().Set("Allow", allow)
		x.refuse(methodNotAllowed(r, allow))
		return
	}
	x.refuse(noSuchPath(r))
}

// statusProbe takes an answer's status and headers, and drops its body.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *statusProbe) WriteHeader(status int)      { p.status = status }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }

func (c *Config) validate() error {
	var errs []error
	need := func(there bool, what string) {
		if !there {
			errs = append(errs, fmt.Errorf("%s is missing", what))
		}
	}
	need(c.Clock != nil, "Clock")
	need(c.Log != nil, "Log")
	need(c.MaxBody > 0, "MaxBody")
	need(c.Clusters != nil, "Clusters")
	need(c.Disks != nil, "Disks")
	need(c.Custody != nil, "Custody")
	need(c.Recorder != nil, "Recorder")
	need(c.Holds != nil, "Holds")
	need(c.Restorer != nil, "Restorer")
	need(c.Clouder != nil, "Clouder")
	need(c.Exporter != nil, "Exporter")
	need(c.Cases != nil, "Cases")
	need(c.CaseViews != nil, "CaseViews")
	need(c.Standing != nil, "Standing")
	need(c.Approvals != nil, "Approvals")
	need(c.Requests != nil, "Requests")
	need(c.Guards != nil, "Guards")
	need(c.Jobs != nil, "Jobs")
	need(c.Doctor != nil, "Doctor")
	need(c.Checker != nil, "Checker")
	need(c.Policy != nil, "Policy")
	need(c.Parents != nil, "Parents")
	need(c.Capacity != nil, "Capacity")
	need(c.Rebuild != nil, "Rebuild")
	need(c.Status != nil, "Status")
	need(c.Ready != nil, "Ready")
	need(c.Metrics != nil, "Metrics")
	need(c.Requested != nil, "Requested")
	for name, h := range c.Hooks {
		need(h.Decode != nil && h.CloudType != "", "the decoder or the cloud type of hook "+name)
	}
	for name, d := range c.Drivers {
		need(d.Dying != nil && d.CloudType != "" && len(d.Actions) > 0 && c.Interceptor != nil, "the actions, the decoder or the cloud type of driver "+name+", or Interceptor")
	}
	errs = append(errs, c.validateTokens())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the API's configuration: %w: %w", quarantine.ErrInvalid, err)
	}
	return nil
}

func (c *Config) validateTokens() error {
	names, digests := map[string]bool{}, map[[32]byte]bool{}
	var errs []error
	for _, t := range c.Tokens {
		bad := func(why string) { errs = append(errs, fmt.Errorf("token %q: %s", t.Name, why)) }
		switch {
		case t.Name == "":
			bad("it has no name, so nobody would know who acted")
		case names[t.Name]:
			bad("another token has the same name")
		case t.SHA256 == [32]byte{}:
			bad("it has no digest")
		case digests[t.SHA256]:
			bad("another token has the same secret")
		case t.Role != RoleHook && rank(t.Role) == 0:
			bad(fmt.Sprintf("the role %q is none of viewer, operator, admin and hook", t.Role))
		case t.Role == RoleHook && c.Clouds[t.Cloud] == "":
			bad(fmt.Sprintf("it is for hooks, and its cloud %q is not configured", t.Cloud))
		}
		names[t.Name], digests[t.SHA256] = true, true
	}
	return errors.Join(errs...)
}
