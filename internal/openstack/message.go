package openstack

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// message is what every notification has around its payload. The context is
// that of the request that caused the event: its user is who acts, not who
// owns. It also has the caller's token, which is not even read here.
type message struct {
	Timestamp   text `json:"timestamp"`
	RequestID   text `json:"_context_request_id"`
	UserID      text `json:"_context_user_id"`
	User        text `json:"_context_user"` // older services: the id
	UserName    text `json:"_context_user_name"`
	ProjectID   text `json:"_context_project_id"`
	Tenant      text `json:"_context_tenant"` // older services: the id
	ProjectName text `json:"_context_project_name"`
}

// read reads a message with its payload, in one go: a message kept raw for
// later is read several times over.
func read[P any](inner []byte) (m *message, payload *P, err error) {
	var whole struct {
		message
		Payload P `json:"payload"`
	}
	if err := json.Unmarshal(inner, &whole); err != nil {
		return nil, nil, invalidf("%s", problem(err))
	}
	return &whole.message, &whole.Payload, nil
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
	*t = ""
	switch c := data[0]; {
	case c == '"':
		if plain := data[1 : len(data)-1]; isPlain(plain) { // as nearly all are
			*t = text(plain)
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(strings.ReplaceAll(s, "\x00", ""))
	case c == '-' || c >= '0' && c <= '9':
		*t = text(data)
	}
	return nil
}

// isPlain reports whether a JSON string stands for itself: ASCII without
// escapes.
func isPlain(s []byte) bool {
	for _, c := range s {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
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

// object takes the data of one of Nova's versioned objects.
type object[T any] struct {
	Data lenient[T] `json:"nova_object.data"`
}

// dictionary takes an object of texts, or Cinder's list of {"key", "value"}.
type dictionary map[string]string

// UnmarshalJSON never fails on valid JSON.
func (d *dictionary) UnmarshalJSON(data []byte) error {
	*d = nil
	switch data = bytes.TrimSpace(data); data[0] {
	case '{':
		var m map[string]text
		if json.Unmarshal(data, &m) == nil {
			for k, v := range m {
				d.set(k, string(v))
			}
		}
	case '[':
		var pairs []lenient[struct {
			Key   text `json:"key"`
			Value text `json:"value"`
		}]
		if json.Unmarshal(data, &pairs) == nil {
			for _, p := range pairs {
				d.set(string(p.value.Key), string(p.value.Value))
			}
		}
	}
	return nil
}

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
		at, err := time.Parse(layout, string(t))
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
