package openstack

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// maxNames bounds what is remembered; about 200 bytes each.
const maxNames = 100_000

// names remembers the names of users, projects, domains, images, flavors and
// volume types,
// so that a listing asks for each once. That there is no name is remembered
// too: a deleted user is never found again.
type names struct {
	clock quarantine.Clock
	ttl   time.Duration

	mu    sync.Mutex
	known map[nameKey]nameEntry
}

type nameKey struct{ kind, id string }

type nameEntry struct {
	p     quarantine.Principal
	until time.Time
}

func newNames(clock quarantine.Clock, ttl time.Duration) *names {
	return &names{clock: clock, ttl: ttl, known: map[nameKey]nameEntry{}}
}

func (n *names) get(k nameKey) (quarantine.Principal, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.known[k]
	if !ok || !n.clock().Before(e.until) {
		return quarantine.Principal{}, false
	}
	return e.p, true
}

func (n *names) put(k nameKey, p quarantine.Principal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.clock()
	if len(n.known) >= maxNames {
		for k, e := range n.known {
			if !now.Before(e.until) {
				delete(n.known, k)
			}
		}
		for k := range n.known {
			if len(n.known) < maxNames {
				break
			}
			delete(n.known, k)
		}
	}
	n.known[k] = nameEntry{p, now.Add(n.ttl)}
}

// named returns the principal of that id with the name that the service has
// for it, or the id alone where the service does not know it (any more) or
// does not tell.
func (s *session) named(ctx context.Context, kind, service, path string, id text) (quarantine.Principal, error) {
	if id == "" || !plain(string(id)) {
		return quarantine.Principal{ID: string(id)}, nil
	}
	k := nameKey{kind, string(id)}
	if p, ok := s.api.names.get(k); ok {
		return p, nil
	}
	p := quarantine.Principal{ID: string(id)}
	var answer members
	err := s.get(ctx, service, path+string(id), nil, &answer)
	switch {
	case errors.Is(err, quarantine.ErrNotFound), errors.Is(err, quarantine.ErrInvalid):
	case errors.Is(err, quarantine.ErrRefused):
		// The rest of the identity is worth having without the names; Facts
		// tells of it.
		p = s.own(kind, p)
	case err != nil:
		return p, err
	default:
		n := nameIn(kind, answer)
		p.Name, p.Domain = string(n.name), string(n.domain)
		if p.Domain != "" {
			d, err := s.named(ctx, kindDomain, identity, "domains/", text(p.Domain))
			if err != nil {
				return p, err
			}
			p.Domain = d.Label()
		}
	}
	s.api.names.put(k, p)
	return p, nil
}

// plain reports whether the id may be a part of an address as it is. All that
// the services make themselves are.
func plain(id string) bool {
	return strings.Trim(id, ".") != "" && !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// name is what is read of an answer.
type name struct{ name, domain text }

// nameIn reads the answer about a resource of that kind. An image is the
// answer itself, of no domain; the others are in it under the kind's name.
func nameIn(kind string, answer members) (n name) {
	if kind == kindImage {
		answer.read("name", &n.name)
		return n
	}
	var resource members
	answer.read(strings.ReplaceAll(kind, " ", "_"), &resource)
	resource.read("name", &n.name)
	if kind == kindUser || kind == kindProject {
		resource.read("domain_id", &n.domain)
	}
	return n
}

// The kinds of names.
const (
	kindUser    = "user"
	kindProject = "project"
	kindDomain  = "domain"
	kindImage   = "image"
	kindFlavor  = "flavor"
	kindType    = "volume type"
)

// own is what the token says of its own user and project.
func (s *session) own(kind string, p quarantine.Principal) quarantine.Principal {
	switch {
	case kind == kindUser && p.ID == s.user.ID:
		return s.user
	case kind == kindProject && p.ID == s.project.ID:
		return s.project
	}
	return p
}

func (s *session) userName(ctx context.Context, id text) (quarantine.Principal, error) {
	return s.named(ctx, kindUser, identity, "users/", id)
}

func (s *session) projectName(ctx context.Context, id text) (quarantine.Principal, error) {
	return s.named(ctx, kindProject, identity, "projects/", id)
}

// imageName has no domain: an image has an owner.
func (s *session) imageName(ctx context.Context, id text) (quarantine.Principal, error) {
	return s.named(ctx, kindImage, imageService, "images/", id)
}
