package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	tokens3 "github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"quarantine/internal/quarantine"
)

// sessionLife is how long a login and what was learned with it (the catalog,
// the microversions) are used. The token is renewed by itself when it expires.
const sessionLife = time.Hour

// The services, by the names that the catalog should have for them.
const (
	identity     = "identity"
	compute      = "compute"
	blockStorage = "block-storage"
	imageService = "image"
	network      = "network"
)

// session is a login to a project.
type session struct {
	api      *API
	login    gophercloud.AuthOptions
	provider *gophercloud.ProviderClient
	catalog  []tokens3.CatalogEntry
	began    time.Time
	// user and project are the credential's own.
	user, project quarantine.Principal
	roles         []string
	services      slot
	known         map[string]*gophercloud.ServiceClient // guarded by services
}

// slot is a lock that can be waited for with a context, and what it guards.
type slot struct {
	free chan struct{}
	s    *session
}

func newSlot() slot { return slot{free: make(chan struct{}, 1)} }

func (l *slot) lock(ctx context.Context) error {
	select {
	case l.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, context.Cause(ctx))
	}
}

func (l *slot) unlock() { <-l.free }

// session returns the login, and logs in where there is none or an old one.
func (a *API) session(ctx context.Context) (*session, error) {
	if err := a.current.lock(ctx); err != nil {
		return nil, fmt.Errorf("cloud %s: log in: %w", a.cfg.Cloud, err)
	}
	defer a.current.unlock()
	if s := a.current.s; s != nil && a.cfg.Clock().Sub(s.began).Abs() < sessionLife {
		return s, nil
	}
	s, err := a.logIn(ctx, a.login)
	if err != nil {
		return nil, err
	}
	a.current.s = s
	return s, nil
}

// logIn makes a session.
func (a *API) logIn(ctx context.Context, login gophercloud.AuthOptions) (*session, error) {
	s := &session{api: a, login: login, began: a.cfg.Clock(), services: newSlot(), known: map[string]*gophercloud.ServiceClient{}}
	provider, err := openstack.NewClient(login.IdentityEndpoint)
	if err != nil {
		return nil, fmt.Errorf("cloud %s: %w auth_url", a.cfg.Cloud, quarantine.ErrInvalid)
	}
	provider.HTTPClient = a.http.request
	provider.UserAgent.Prepend("quarantine/" + orDefault(a.cfg.Version, "0"))
	provider.RetryFunc = a.retry
	if err := openstack.AuthenticateV3(ctx, provider, &login, gophercloud.EndpointOpts{}); err != nil {
		return nil, fmt.Errorf("cloud %s: log in: %w", a.cfg.Cloud, s.failure(ctx, err))
	}
	s.provider = provider
	if err := s.readToken(); err != nil {
		return nil, fmt.Errorf("cloud %s: log in: %w: the token cannot be read", a.cfg.Cloud, quarantine.ErrUnavailable)
	}
	return s, nil
}

// readToken takes the catalog and who we are from the token.
func (s *session) readToken() error {
	result, ok := s.provider.GetAuthResult().(interface {
		ExtractServiceCatalog() (*tokens3.ServiceCatalog, error)
		ExtractUser() (*tokens3.User, error)
		ExtractProject() (*tokens3.Project, error)
		ExtractRoles() ([]tokens3.Role, error)
	})
	if !ok {
		return errors.New("no token")
	}
	catalog, err := result.ExtractServiceCatalog()
	if err != nil {
		return err
	}
	s.catalog = catalog.Entries
	user, err := result.ExtractUser()
	if err != nil {
		return err
	}
	s.user = quarantine.Principal{ID: user.ID, Name: user.Name, Domain: orDefault(user.Domain.Name, user.Domain.ID)}
	project, err := result.ExtractProject()
	if err != nil {
		return err
	}
	if project != nil { // not where the scope is a domain or the system
		s.project = quarantine.Principal{ID: project.ID, Name: project.Name, Domain: orDefault(project.Domain.Name, project.Domain.ID)}
	}
	roles, err := result.ExtractRoles()
	if err != nil {
		return err
	}
	for _, r := range roles {
		s.roles = append(s.roles, r.Name)
	}
	return nil
}

// service returns the client of a service. The first time it looks for the
// endpoint in the catalog, and asks which microversions are there.
func (s *session) service(ctx context.Context, name string) (*gophercloud.ServiceClient, error) {
	if err := s.services.lock(ctx); err != nil {
		return nil, err
	}
	defer s.services.unlock()
	if c := s.known[name]; c != nil {
		return c, nil
	}
	endpoint := s.endpoint(name)
	c := &gophercloud.ServiceClient{ProviderClient: s.provider, Endpoint: endpoint, Type: name}
	switch name {
	case identity:
		// The catalog may have the endpoint of another version, or none.
		if endpoint == "" {
			endpoint = s.provider.IdentityBase
		}
		c.Endpoint = unversioned(endpoint) + "v3/"
	case imageService:
		c.Endpoint = unversioned(endpoint) + "v2/"
	case network:
		c.Endpoint = unversioned(endpoint) + "v2.0/"
	}
	if endpoint == "" {
		return nil, fmt.Errorf("%w: the catalog has no endpoint of it (region %q, interface %s)", quarantine.ErrInvalid, s.api.endpoints.Region, s.api.endpoints.Availability)
	}
	var err error
	switch name {
	case compute:
		c.Microversion, err = s.negotiate(ctx, c, c.Endpoint, s.api.cfg.ComputeVersion)
	case blockStorage:
		root, _, ok := strings.Cut(c.Endpoint, "/v3/") // the project's id follows
		if !ok {
			return nil, fmt.Errorf("%w: its endpoint is not of version 3", quarantine.ErrInvalid)
		}
		c.Microversion, err = s.negotiate(ctx, c, root+"/v3/", s.api.cfg.VolumeVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for its versions: %w", err)
	}
	s.known[name] = c
	return c, nil
}

// endpoint is what the catalog has for the service, ending in a slash.
func (s *session) endpoint(name string) string {
	kinds := []string{name}
	if name == blockStorage {
		kinds = []string{"block-storage", "volumev3", "block-store", "volume"}
	}
	for _, kind := range kinds {
		for _, entry := range s.catalog {
			if entry.Type != kind {
				continue
			}
			for _, e := range entry.Endpoints {
				region := s.api.endpoints.Region
				if e.Interface == string(s.api.endpoints.Availability) && (region == "" || e.Region == region || e.RegionID == region) {
					return gophercloud.NormalizeURL(e.URL)
				}
			}
		}
	}
	return ""
}

// unversioned takes a version off the end of an endpoint.
func unversioned(endpoint string) string {
	rest := strings.TrimSuffix(endpoint, "/")
	if i := strings.LastIndexByte(rest, '/'); i > 0 && rest[i-1] != '/' {
		if last := rest[i+1:]; len(last) > 1 && last[0] == 'v' && last[1] >= '0' && last[1] <= '9' {
			return rest[:i+1]
		}
	}
	return endpoint
}

// microversion is a minor version of an API; all are of one major version.
type microversion struct{ major, minor int }

func parseMicroversion(v string) (microversion, bool) {
	major, minor, ok := strings.Cut(v, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return microversion{a, b}, ok && err1 == nil && err2 == nil && a > 0 && b >= 0
}

func (v microversion) less(o microversion) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

// negotiate returns the wanted microversion or the highest that the service
// has; "" where it has none.
func (s *session) negotiate(ctx context.Context, c *gophercloud.ServiceClient, root, wanted string) (string, error) {
	type version struct {
		Version text `json:"version"`
	}
	var doc struct {
		Version  version   `json:"version"`
		Versions []version `json:"versions"`
	}
	_, err := c.Get(ctx, root, &doc, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK, http.StatusMultipleChoices}})
	if err != nil {
		return "", s.failure(ctx, err)
	}
	want, _ := parseMicroversion(wanted)
	highest := microversion{}
	for _, v := range append(doc.Versions, doc.Version) {
		if has, ok := parseMicroversion(string(v.Version)); ok && has.major == want.major && highest.less(has) {
			highest = has
		}
	}
	switch {
	case highest == microversion{}:
		return "", nil
	case highest.less(want):
		return fmt.Sprintf("%d.%d", highest.major, highest.minor), nil
	}
	return wanted, nil
}

// has reports whether the client speaks the microversion.
func has(c *gophercloud.ServiceClient, v string) bool {
	have, _ := parseMicroversion(c.Microversion)
	want, _ := parseMicroversion(v)
	return !have.less(want)
}

// call sends a request to a service and reads the answer into out, if that is
// not nil. It takes every status below 300 for success.
func (s *session) call(ctx context.Context, service, method, path string, query url.Values, body, out any) error {
	c, err := s.service(ctx, service)
	if err != nil {
		return fmt.Errorf("cloud %s: %s: %w", s.api.cfg.Cloud, service, err)
	}
	address := c.ServiceURL(path)
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	opts := &gophercloud.RequestOpts{JSONBody: body, JSONResponse: out, OkCodes: []int{200, 201, 202, 203, 204}}
	if patch, ok := body.(jsonPatch); ok {
		opts.MoreHeaders = map[string]string{"Content-Type": patch.contentType()}
	}
	if _, err := c.Request(ctx, method, address, opts); err != nil {
		return fmt.Errorf("cloud %s: %s: %s /%s: %w", s.api.cfg.Cloud, service, method, path, s.failure(ctx, err))
	}
	return nil
}

// get is call with GET.
func (s *session) get(ctx context.Context, service, path string, query url.Values, out any) error {
	return s.call(ctx, service, http.MethodGet, path, query, nil, out)
}

// jsonPatch is a list of changes to an image.
type jsonPatch []map[string]any

func (jsonPatch) contentType() string { return "application/openstack-images-v2.1-json-patch" }
