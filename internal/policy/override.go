package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// boundsSpec are the least and the longest retention that any rule or override
// can give. Either may be absent.
type boundsSpec struct {
	Min string `yaml:"min"`
	Max string `yaml:"max"`
}

// bounds are a boundsSpec that loaded; zero: none.
type bounds struct {
	min, max time.Duration
	file     string
}

func (s *boundsSpec) parse(base string) (bounds, error) {
	b := bounds{file: base}
	var err error
	if s.Min == "" && s.Max == "" {
		return b, errors.New("it needs min or max")
	}
	if s.Min != "" {
		if b.min, err = parsePeriod(s.Min); err != nil {
			return b, fmt.Errorf("min: %w", err)
		}
	}
	if s.Max != "" {
		if b.max, err = parsePeriod(s.Max); err != nil {
			return b, fmt.Errorf("max: %w", err)
		}
		if b.max < b.min {
			return b, fmt.Errorf("max: %s is less than min, which is %s", s.Max, s.Min)
		}
	}
	return b, nil
}

// clamp brings the terms into the bounds, and says what it did.
func (b bounds) clamp(t terms) (terms, string) {
	why := ""
	switch {
	case t.retain < b.min:
		t.retain, why = b.min, fmt.Sprintf("; the bounds of %s allow no less than %s", b.file, quarantine.FormatDuration(b.min))
	case b.max > 0 && t.retain > b.max:
		t.retain, why = b.max, fmt.Sprintf("; the bounds of %s allow no more than %s", b.file, quarantine.FormatDuration(b.max))
	}
	t.min = min(t.min, t.retain)
	return t, why
}

// overrideSpec changes what the deciding rule gives, for a project or a user: the
// owner. Each is an id or a name; what is given must all be so. They are the
// cloud's words, not the tenant's.
type overrideSpec struct {
	Project string `yaml:"project"`
	User    string `yaml:"user"`
	// Domain is the Keystone domain of the project, or without one of the user:
	// names are unique only there. Cloud is the configured name of a cloud.
	Domain string `yaml:"domain"`
	Cloud  string `yaml:"cloud"`

	Retain string `yaml:"retain"`
	Min    string `yaml:"min"`
	Mode   string `yaml:"mode"`
}

// override is an overrideSpec that loaded.
type override struct {
	overrideSpec
	name string
	terms
}

func (s overrideSpec) parse(base string) (override, error) {
	o := override{overrideSpec: s}
	var of []string
	for _, w := range []struct{ key, value string }{{"project", s.Project}, {"user", s.User}, {"domain", s.Domain}, {"cloud", s.Cloud}} {
		if w.value != "" {
			of = append(of, w.key+" "+w.value)
		}
	}
	o.name = fmt.Sprintf("the override of %s for %s", base, strings.Join(of, ", "))
	switch {
	case s.Project == "" && s.User == "":
		return o, errors.New("it needs a project or a user")
	case s.Retain == "" && s.Min == "" && s.Mode == "":
		return o, errors.New("it changes nothing: it needs retain, min or mode")
	}
	var err error
	if s.Retain != "" {
		if o.retain, err = parsePeriod(s.Retain); err != nil {
			return o, fmt.Errorf("retain: %w", err)
		}
	}
	if s.Min != "" {
		if o.min, err = parsePeriod(s.Min); err != nil {
			return o, fmt.Errorf("min: %w", err)
		}
		if s.Retain != "" && o.min > o.retain {
			return o, fmt.Errorf("min: %s is longer than retain, which is %s", s.Min, s.Retain)
		}
	}
	o.mode, err = parseMode(s.Mode)
	return o, err
}

// applies reports whether the override is about this disk. What no event
// explains is nobody's.
func (o *override) applies(f quarantine.Facts) bool {
	d := f.Deletion
	if d == nil || o.Cloud != "" && o.Cloud != f.Cloud {
		return false
	}
	is := func(p quarantine.Principal, who string) bool {
		return who == "" || (p.ID == who || p.Name == who)
	}
	domain := d.Project.Domain
	if o.Project == "" {
		domain = d.User.Domain
	}
	return is(d.Project, o.Project) && is(d.User, o.User) && (o.Domain == "" || o.Domain == domain)
}

// change gives the terms that the override makes of a rule's, and says what it
// did. A least time that a shorter retention does not reach goes down with it.
func (o *override) change(t terms) (terms, string) {
	if o.retain > 0 {
		t.retain = o.retain
	}
	if o.min > 0 {
		t.min = o.min
		t.retain = max(t.retain, t.min)
	}
	t.min = min(t.min, t.retain)
	if o.mode != "" {
		t.mode = o.mode
	}
	what := "keeps it for " + quarantine.FormatDuration(t.retain)
	if o.mode != "" {
		what += " under " + string(o.mode)
	}
	return t, fmt.Sprintf("; %s %s", o.name, what)
}
