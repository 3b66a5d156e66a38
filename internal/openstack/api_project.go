package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/gophercloud/gophercloud/v2"

	"quarantine/internal/quarantine"
)

// apiProject is a project as Keystone shows it, with whatever its domain's
// administrators have noted of it beside.
type apiProject struct{ ID, Name, Domain text }

// UnmarshalJSON never fails on valid JSON.
func (p *apiProject) UnmarshalJSON(data []byte) error {
	var m members
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	*p = apiProject{}
	m.read("id", &p.ID)
	m.read("name", &p.Name)
	m.read("domain_id", &p.Domain)
	return nil
}

func (p apiProject) ident() string { return string(p.ID) }

// findProject returns the project of that id or name, in the domain of that id
// or name if one is given; the credential's own where wanted is empty.
// ErrNotFound; ErrInvalid if several have the name.
func (s *session) findProject(ctx context.Context, wanted, domain string) (quarantine.Principal, error) {
	if wanted == "" || wanted == s.project.ID || wanted == s.project.Name && (domain == "" || domain == s.project.Domain) {
		if s.project.ID == "" {
			return s.project, fmt.Errorf("cloud %s: %w: the credential has no project", s.api.cfg.Cloud, quarantine.ErrInvalid)
		}
		if wanted != s.project.Name || domain != "" {
			return s.project, nil
		}
		// The name alone may be another domain's project too.
	}
	subject := fmt.Sprintf("cloud %s: project %q", s.api.cfg.Cloud, wanted)
	var byID struct{ Project apiProject }
	err := s.get(ctx, identity, "projects/"+url.PathEscape(wanted), nil, &byID)
	if err == nil && string(byID.Project.ID) == wanted {
		return s.projectName(ctx, byID.Project.ID)
	}
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) && !errors.Is(err, quarantine.ErrRefused) && !errors.Is(err, quarantine.ErrInvalid) {
		return quarantine.Principal{}, err
	}
	var answer struct{ Projects []apiProject }
	if err := s.get(ctx, identity, "projects", url.Values{"name": {wanted}}, &answer); err != nil {
		return quarantine.Principal{}, fmt.Errorf("%s: %w", subject, err)
	}
	var found []quarantine.Principal
	for _, p := range answer.Projects {
		if string(p.Name) != wanted {
			continue
		}
		full, err := s.projectName(ctx, p.ID)
		if err != nil {
			return quarantine.Principal{}, fmt.Errorf("%s: %w", subject, err)
		}
		if domain == "" || domain == full.Domain || domain == string(p.Domain) {
			found = append(found, full)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return quarantine.Principal{}, fmt.Errorf("%s: %w", subject, quarantine.ErrNotFound)
	}
	return quarantine.Principal{}, fmt.Errorf("%s: %w: %d domains have one of that name; tell the domain, or the id", subject, quarantine.ErrInvalid, len(found))
}

// within returns a session in the project. ErrRefused if the credential has no
// role there, or is bound to its own project as application credentials and
// trusts are.
func (s *session) within(ctx context.Context, project quarantine.Principal) (*session, error) {
	if project.ID == s.project.ID {
		return s, nil
	}
	login := s.login
	if login.ApplicationCredentialSecret != "" || login.TokenID != "" || login.Scope != nil && login.Scope.TrustID != "" {
		return nil, fmt.Errorf("cloud %s: project %s: %w: the credential is bound to project %s", s.api.cfg.Cloud, project.Label(), quarantine.ErrRefused, s.project.Label())
	}
	login.TenantID, login.TenantName = "", ""
	login.Scope = &gophercloud.AuthScope{ProjectID: project.ID}
	in, err := s.api.logIn(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", project.Label(), err)
	}
	return in, nil
}
