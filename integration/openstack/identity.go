package openstacklab

import (
	"context"
	"fmt"
	"net/http"
)

// identity makes the users, projects, roles and endpoints in Keystone that the
// bootstrap has not made.
func (l *Lab) identity(ctx context.Context) error {
	s, err := l.As(ctx, Admin())
	if err != nil {
		return err
	}
	roles := map[string]string{}
	var list struct{ Roles []struct{ ID, Name string } }
	if err := s.Do(ctx, http.MethodGet, "identity", "/roles", nil, &list); err != nil {
		return err
	}
	for _, r := range list.Roles {
		roles[r.Name] = r.ID
	}
	if roles["service"], err = s.create(ctx, "role", object{"name": "service"}); err != nil {
		return err
	}
	project, err := s.create(ctx, "project", object{"name": "service", "domain_id": "default"})
	if err != nil {
		return err
	}
	var steps []func() error
	for _, user := range []string{"nova", "cinder", "glance", "placement", "neutron"} {
		steps = append(steps, func() error {
			return s.member(ctx, user, "default", project, roles["admin"], roles["service"])
		})
	}
	steps = append(steps, func() error {
		project, err := s.create(ctx, "project", object{"name": "demo", "domain_id": "default"})
		if err != nil {
			return err
		}
		return s.member(ctx, "demo", "default", project, roles["member"])
	}, func() error {
		domain, err := s.create(ctx, "domain", object{"name": "research"})
		if err != nil {
			return err
		}
		project, err := s.create(ctx, "project", object{"name": "alice", "domain_id": domain})
		if err != nil {
			return err
		}
		return s.member(ctx, "alice", domain, project, roles["member"])
	})
	for _, e := range l.site.endpoints() {
		if e.kind == "identity" {
			continue // the bootstrap's
		}
		steps = append(steps, func() error {
			service, err := s.create(ctx, "service", object{"type": e.kind, "name": e.name})
			if err != nil {
				return err
			}
			for _, face := range []string{"public", "internal", "admin"} {
				_, err := s.create(ctx, "endpoint", object{"service_id": service, "interface": face, "region": region, "url": e.url})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return together(steps...)
}

// endpoint is a service of the catalogue.
type endpoint struct{ kind, name, url string }

func (s site) endpoints() []endpoint {
	at := func(port int, path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", port, path) }
	p := s.Ports
	return []endpoint{
		{"identity", "keystone", at(p.Identity, "/v3")},
		{"compute", "nova", at(p.Compute, "/v2.1")},
		{"placement", "placement", at(p.Placement, "")},
		{"image", "glance", at(p.Image, "")},
		{"volumev3", "cinderv3", at(p.Volume, "/v3/%(project_id)s")},
		{"block-storage", "cinder", at(p.Volume, "/v3/%(project_id)s")},
		{"network", "neutron", at(p.Network, "")},
	}
}

// create makes one of a kind of Keystone's resources and returns its id.
func (s *Session) create(ctx context.Context, kind string, fields object) (string, error) {
	var made map[string]struct{ ID string }
	if err := s.Do(ctx, http.MethodPost, "identity", "/"+kind+"s", object{kind: fields}, &made); err != nil {
		return "", err
	}
	return made[kind].ID, nil
}

// member makes a user who has the roles in the project.
func (s *Session) member(ctx context.Context, name, domain, project string, roles ...string) error {
	user, err := s.create(ctx, "user", object{"name": name, "domain_id": domain, "password": password})
	if err != nil {
		return err
	}
	for _, role := range roles {
		path := "/projects/" + project + "/users/" + user + "/roles/" + role
		if err := s.Do(ctx, http.MethodPut, "identity", path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}
