package openstacklab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Identity is who signs in, and for which project.
type Identity struct {
	User, Project string
	// Domain is that of both; "" is Default.
	Domain string
	// Password is the user's; "" is the one of all users that the lab makes.
	Password string
}

// Admin is the cloud's administrator.
func Admin() Identity { return Identity{User: "admin", Project: "admin"} }

// Demo is a member of a project in the default domain.
func Demo() Identity { return Identity{User: "demo", Project: "demo"} }

// Alice is a member of the project "alice" in the domain "research".
func Alice() Identity { return Identity{User: "alice", Project: "alice", Domain: "research"} }

// Session is a signed-in user: a small client of the APIs, for tests, which
// shares nothing with the product's. It may be used from several goroutines.
type Session struct {
	// Token is the user's, for a day.
	Token string
	// UserID and ProjectID are Keystone's.
	UserID, ProjectID string

	lab *Lab
}

// The microversions with which a session speaks.
const (
	computeVersion = "2.90"
	volumeVersion  = "3.70"
)

// APIError is an answer that is no success.
type APIError struct {
	Method, URL string
	Status      int
	Body        string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.URL, e.Status, e.Body)
}

// NotFound reports whether the error is an answer 404.
func NotFound(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// object is a JSON object.
type object = map[string]any

// As signs a user in.
func (l *Lab) As(ctx context.Context, who Identity) (*Session, error) {
	if who.Domain == "" {
		who.Domain = "Default"
	}
	if who.Password == "" {
		who.Password = password
	}
	domain := object{"name": who.Domain}
	body := object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": who.User, "domain": domain, "password": who.Password}}},
		"scope":    object{"project": object{"name": who.Project, "domain": domain}},
	}}
	var answer struct {
		Token struct {
			User, Project struct{ ID string }
		}
	}
	s := &Session{lab: l}
	header, err := s.do(ctx, http.MethodPost, "identity", "/auth/tokens", body, &answer)
	if err != nil {
		return nil, fmt.Errorf("sign %s in: %w", who.User, err)
	}
	s.Token, s.UserID, s.ProjectID = header.Get("X-Subject-Token"), answer.Token.User.ID, answer.Token.Project.ID
	return s, nil
}

// endpoint is where a service's paths begin.
func (s *Session) endpoint(service string) (string, error) {
	p := s.lab.site.Ports
	at := func(port int, path string) (string, error) {
		return fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil
	}
	switch service {
	case "identity":
		return at(p.Identity, "/v3")
	case "placement":
		return at(p.Placement, "")
	case "image":
		return at(p.Image, "/v2")
	case "compute":
		return at(p.Compute, "/v2.1")
	case "volume":
		return at(p.Volume, "/v3/"+s.ProjectID)
	case "network":
		return at(p.Network, "/v2.0")
	}
	return "", fmt.Errorf("%s: %w", service, errNoService)
}

// Do sends a request to a service (identity, placement, image, compute,
// volume, network), with the path after what its endpoint in the catalogue
// has, as in "/servers/detail". The body, if not nil, is sent as JSON, except
// an io.Reader, which is sent as it is. The answer's JSON goes to out, if not
// nil; the answer as it is, if out is a *[]byte. An *APIError if the answer is
// no success.
func (s *Session) Do(ctx context.Context, method, service, path string, body, out any) error {
	_, err := s.do(ctx, method, service, path, body, out)
	return err
}

func (s *Session) do(ctx context.Context, method, service, path string, body, out any) (http.Header, error) {
	base, err := s.endpoint(service)
	if err != nil {
		return nil, err
	}
	content := "application/json"
	var send io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		send, content = b, "application/octet-stream"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		send = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, send)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPatch && service == "image" {
		content = "application/openstack-images-v2.1-json-patch"
	}
	r.Header.Set("Content-Type", content)
	r.Header.Set("X-Auth-Token", s.Token)
	switch service {
	case "compute":
		r.Header.Set("OpenStack-API-Version", "compute "+computeVersion)
	case "volume":
		r.Header.Set("OpenStack-API-Version", "volume "+volumeVersion)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, base+path, err)
	}
	if resp.StatusCode >= 300 {
		return nil, &APIError{method, base + path, resp.StatusCode, strings.TrimSpace(string(answer))}
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = answer
	} else if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return nil, fmt.Errorf("%s %s: read the answer: %w", method, base+path, err)
		}
	}
	return resp.Header, nil
}

// pollInterval is how often a session asks while it waits: each time costs the
// cloud a tenth of a second of a processor.
const pollInterval = 400 * time.Millisecond

// poll asks until the condition is met or fails, or the context ends; what is
// said then comes from last.
func poll(ctx context.Context, condition func() (bool, error), last func() string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := condition()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), last())
		case <-tick.C:
		}
	}
}
