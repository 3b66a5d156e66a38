package opennebula

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"

	"quarantine/internal/quarantine"
)

const (
	// maxNames bounds what is remembered; about 300 bytes each.
	maxNames = 10_000
	// namesFor is for how long a name is remembered.
	namesFor = time.Hour
	// maxSubject bounds the DNs of a user, in bytes.
	maxSubject = 1024
)

// names remembers users and groups, so that each is asked for once an hour and
// not for every VM. That there is none is remembered too: a deleted user never
// comes back.
type names struct {
	clock quarantine.Clock

	mu    sync.Mutex
	known map[nameKey]nameEntry
}

// nameKey is what a method answers about an id.
type nameKey struct {
	method string
	id     int
}

type nameEntry struct {
	p     quarantine.Principal
	until time.Time
}

func newNames(clock quarantine.Clock) *names {
	return &names{clock: clock, known: map[nameKey]nameEntry{}}
}

func (n *names) get(k nameKey) (quarantine.Principal, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.known[k]
	return e.p, ok && n.clock().Before(e.until)
}

func (n *names) put(k nameKey, p quarantine.Principal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.clock()
	if _, ok := n.known[k]; !ok && len(n.known) >= maxNames {
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
	n.known[k] = nameEntry{p, now.Add(namesFor)}
}

// userXML has what is read of a USER. Its TEMPLATE is not: users write into
// their own (X509_DN too).
type userXML struct {
	ID       string `xml:"ID"`
	Name     string `xml:"NAME"`
	Driver   string `xml:"AUTH_DRIVER"`
	Password string `xml:"PASSWORD"` // a hash, but for an x509 user the DN
}

type groupXML struct {
	ID   string `xml:"ID"`
	Name string `xml:"NAME"`
}

// user returns the user of that id with name and subject, or the id alone where
// there is no such user (any more).
func (a *API) user(ctx context.Context, id string) (quarantine.Principal, error) {
	const method = "one.user.info"
	return a.named(ctx, method, id, func(n int) (given string, p quarantine.Principal, err error) {
		var x userXML
		err = a.get(ctx, &x, "USER", method, n, false)
		p.Name = cut(x.Name, maxName)
		if x.Driver == "x509" {
			p.Subject = subject(x.Password)
		}
		return x.ID, p, err
	})
}

// group is user for a group.
func (a *API) group(ctx context.Context, id string) (quarantine.Principal, error) {
	const method = "one.group.info"
	return a.named(ctx, method, id, func(n int) (given string, p quarantine.Principal, err error) {
		var x groupXML
		err = a.get(ctx, &x, "GROUP", method, n, false)
		p.Name = cut(x.Name, maxName)
		return x.ID, p, err
	})
}

func (a *API) named(ctx context.Context, method, id string, ask func(n int) (given string, p quarantine.Principal, err error)) (quarantine.Principal, error) {
	n, err := number(id)
	if err != nil {
		return quarantine.Principal{ID: id}, nil // nobody, or no id of OpenNebula
	}
	k := nameKey{method, n}
	if p, ok := a.names.get(k); ok {
		return p, nil
	}
	given, p, err := ask(n)
	switch {
	case errors.Is(err, quarantine.ErrNotFound), errors.Is(err, quarantine.ErrRefused):
		// The rest of the identity is worth having without the name.
		p = quarantine.Principal{}
	case err != nil:
		return quarantine.Principal{}, err
	case given != id:
		return quarantine.Principal{}, unreadable("%s was asked about %s and answered about %q", method, id, cut(given, 40))
	}
	p.ID = id
	a.names.put(k, p)
	return p, nil
}

// subject decodes the DNs of an x509 user. OpenNebula writes the spaces in them
// as \20 (X509Auth.escape_dn), and puts "|" between several.
func subject(password string) string {
	plain := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(password, `\20`, " "))
	return cut(strings.TrimSpace(plain), maxSubject)
}
