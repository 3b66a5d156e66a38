package openstack

import (
	"encoding/json"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// message is what every notification has around its payload. The context is
// that of the request that caused the event: its user is who acts, not who
// owns. It also has the caller's token, which is not even read here.
type message struct {
	Timestamp   text
	RequestID   text
	UserID      text
	User        text // older services: the id
	UserName    text
	ProjectID   text
	Tenant      text // older services: the id
	ProjectName text
}

// read reads a message; payload is called for each key of its payload, and
// reads that member's value.
func read(inner []byte, payload func(s *scanner, key []byte)) (*message, error) {
	s, m := &scanner{data: inner}, &message{}
	odd := false
	whole := s.object(func(key []byte) {
		switch string(key) {
		case "timestamp":
			m.Timestamp = s.text()
		case "_context_request_id":
			m.RequestID = s.text()
		case "_context_user_id":
			m.UserID = s.text()
		case "_context_user":
			m.User = s.text()
		case "_context_user_name":
			m.UserName = s.text()
		case "_context_project_id":
			m.ProjectID = s.text()
		case "_context_tenant":
			m.Tenant = s.text()
		case "_context_project_name":
			m.ProjectName = s.text()
		case "payload":
			odd = !s.object(func(key []byte) { payload(s, key) })
		default:
			s.skip()
		}
	})
	switch {
	case s.broken || !s.atEnd():
		return nil, invalidf("%s", s.problem())
	case !whole || odd:
		return nil, invalidf("the message, or its payload, is not an object")
	}
	return m, nil
}

// actor is who sent the request, empty for the cloud's own periodic work.
func (m *message) actor() quarantine.Principal {
	id := first(m.UserID, m.User)
	if id == "" {
		return quarantine.Principal{}
	}
	return quarantine.Principal{ID: id, Name: string(m.UserName)}
}

// owner is the user of that id, with the name where the request's own user is
// the same. An administrator's name must not stand beside an owner's id.
func (m *message) owner(id text) quarantine.Principal {
	p := quarantine.Principal{ID: string(id)}
	if id != "" && p.ID == first(m.UserID, m.User) {
		p.Name = string(m.UserName)
	}
	return p
}

// project is the owner's project, named as owner names.
func (m *message) project(id text) quarantine.Principal {
	p := quarantine.Principal{ID: string(id)}
	if id != "" && p.ID == first(m.ProjectID, m.Tenant) {
		p.Name = string(m.ProjectName)
	}
	return p
}

// A deletion must not be refused because a field that is good to have came in
// another type than it did in the release that was measured. So the types
// below take what they can use and leave the rest empty.

// text takes a string or a number.
type text string

// UnmarshalJSON never fails on valid JSON. NUL characters are dropped:
// PostgreSQL cannot store them.
func (t *text) UnmarshalJSON(data []byte) error {
	*t = (&scanner{data: data}).text()
	return nil
}

// lenient takes a T, or leaves it zero.
type lenient[T any] struct{ value T }

// UnmarshalJSON never fails on valid JSON.
func (l *lenient[T]) UnmarshalJSON(data []byte) error {
	var v T
	if json.Unmarshal(data, &v) == nil {
		l.value = v
	}
	return nil
}

// dictionary is what users and services note of a resource.
type dictionary map[string]string

func (d *dictionary) set(key, value string) {
	if key = strings.ReplaceAll(key, "\x00", ""); key == "" {
		return
	}
	if *d == nil {
		*d = dictionary{}
	}
	(*d)[key] = value
}

// stringsOf drops what is empty.
func stringsOf(in []text) []string {
	var out []string
	for _, t := range in {
		if t != "" {
			out = append(out, string(t))
		}
	}
	return out
}

// first is the first that is not empty.
func first(ts ...text) string {
	for _, t := range ts {
		if t != "" {
			return string(t)
		}
	}
	return ""
}

// utc reads a time in any of the forms that the services write. Where no zone
// is given it is UTC. What is no time gives zero.
func utc(t text) time.Time {
	for _, layout := range []string{
		"2006-01-02 15:04:05",       // oslo.messaging
		"2006-01-02T15:04:05Z07:00", // versioned, Glance, Cinder
		"2006-01-02T15:04:05",       // unversioned launched_at
		"2006-01-02 15:04:05Z07:00", // unversioned created_at
	} {
		at, err := quarantine.ParseTime(layout, string(t))
		if err == nil && at.Year() > 1970 && at.Year() < 9999 {
			return at.UTC()
		}
	}
	return time.Time{}
}

// zoned reports whether the time was written with a zone.
func zoned(t text) bool {
	_, rest, ok := strings.Cut(string(t), ":")
	return ok && strings.ContainsAny(rest, "Z+-")
}

// uuid returns the id in lower case if it is a UUID, else "". Ids become names
// and prefixes of RBD images, so nothing else may pass.
func uuid(t text) string {
	if !quarantine.IsUUID(string(t)) {
		return ""
	}
	return strings.ToLower(string(t))
}
