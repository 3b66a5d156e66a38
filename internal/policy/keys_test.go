package policy_test

import (
	"strings"
	"testing"
	"time"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// The short forms and unless all say what a rule applies to; a rule that gives
// more than one needs all of them.
func TestWhatARuleAppliesTo(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		yes  []func(*quarantine.Deletion)
		no   []func(*quarantine.Deletion)
	}{
		"kinds": {`kinds: [delete, rebuild]`,
			[]func(*quarantine.Deletion){nil, func(d *quarantine.Deletion) { d.Kind = quarantine.KindRebuild }},
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.Kind = quarantine.KindResize }}},
		"tags": {`tags: [pet, "two words"]`,
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.Tags = []string{"x", "two words"} }},
			[]func(*quarantine.Deletion){nil, func(d *quarantine.Deletion) { d.Tags = []string{"two"} }}},
		"metadata": {`metadata: {class: archive, 'a"b': "1"}`,
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) {
				d.Metadata = map[string]string{"class": "archive", `a"b`: "1"}
			}},
			[]func(*quarantine.Deletion){nil, func(d *quarantine.Deletion) { d.Metadata = map[string]string{"class": "archive"} }}},
		"unless": {`match: 'project.name == "physics"', unless: '"scratch" in tags || size_bytes > 1*TiB'`,
			[]func(*quarantine.Deletion){nil},
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.Project.Name = "x" }}},
		"unless alone": {`unless: 'project.name == "physics"'`,
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.Project.Name = "x" }},
			[]func(*quarantine.Deletion){nil}},
		"all": {`kinds: [delete], match: 'project.name == "physics" || true', tags: [pet], unless: 'user.name == "bob"'`,
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.Tags = []string{"pet"} }},
			[]func(*quarantine.Deletion){nil, func(d *quarantine.Deletion) { d.Tags, d.User.Name = []string{"pet"}, "bob" }, func(d *quarantine.Deletion) { d.Tags, d.Kind = []string{"pet"}, "x" }}},
		"dates": {`when: {from: 2026-03-01, until: 2026-03-02}`,
			[]func(*quarantine.Deletion){nil},
			[]func(*quarantine.Deletion){func(d *quarantine.Deletion) { d.StartedAt = d.StartedAt.Add(day) }, func(d *quarantine.Deletion) { d.StartedAt = d.StartedAt.Add(-time.Second) }}},
	} {
		// Longer than the default: a tenant's word can match.
		s := load(t, "rules:\n  - {name: r, retain: 90d, "+c.rule+"}\ndefault: {retain: 10d}\n")
		for i, edits := range [][]func(*quarantine.Deletion){c.no, c.yes} {
			for j, edit := range edits {
				if d, trace := s.Explain(vm(edit)); (d.Rule == "r") != (i == 1) {
					t.Errorf("%s: case %d of %d: rule %s decides: %+v", name, j, i, d.Rule, trace)
				}
			}
		}
	}
}

// A weekly window is of UTC, and belongs to the day that it begins on.
func TestWindows(t *testing.T) {
	const layout = "2006-01-02T15:04Z07:00"
	for when, c := range map[string]struct{ in, out []string }{
		`{days: [sat, sun]}`:                    {[]string{"2026-03-07T00:00Z", "2026-03-08T23:59Z", "2026-03-09T01:00+02:00"}, []string{"2026-03-06T23:59Z", "2026-03-09T00:00Z"}},
		`{hours: 20-06}`:                        {[]string{"2026-03-07T20:00Z", "2026-03-07T05:59Z", "2026-03-07T00:00Z"}, []string{"2026-03-07T06:00Z", "2026-03-07T19:59Z"}},
		`{days: [fri], hours: 20:30-06}`:        {[]string{"2026-03-06T20:30Z", "2026-03-07T05:59Z"}, []string{"2026-03-06T05:00Z", "2026-03-06T20:29Z", "2026-03-07T21:00Z"}},
		`{hours: 09:00-17:30}`:                  {[]string{"2026-03-07T09:00Z", "2026-03-07T17:29Z"}, []string{"2026-03-07T17:30Z", "2026-03-07T08:59Z"}},
		`{hours: 18-24}`:                        {[]string{"2026-03-07T23:59Z"}, []string{"2026-03-07T00:00Z"}},
		`{from: 2026-03-07T12:00:00Z}`:          {[]string{"2026-03-07T12:00Z", "2029-01-01T00:00Z"}, []string{"2026-03-07T11:59Z"}},
		`{from: "2026-03-07T12:00:00+02:00"}`:   {[]string{"2026-03-07T10:00Z"}, []string{"2026-03-07T09:59Z"}},
		`{until: 2026-03-07, days: [thu, fri]}`: {[]string{"2026-03-05T12:00Z"}, []string{"2026-03-12T12:00Z", "2026-03-04T12:00Z"}},
	} {
		s := load(t, "rules:\n  - {name: r, when: "+when+", retain: 1d}\ndefault: {retain: 10d}\n")
		for i, times := range [][]string{c.out, c.in} {
			for _, text := range times {
				at, err := time.Parse(layout, text)
				if err != nil {
					t.Fatal(err)
				}
				if d := s.Decide(quarantine.Facts{DeletedAt: at}); (d.Rule == "r") != (i == 1) {
					t.Errorf("%s: at %s rule %s decides", when, text, d.Rule)
				}
			}
		}
		// A time that is not known does not shorten.
		if d := s.Decide(quarantine.Facts{}); d.Retain != 10*day {
			t.Errorf("%s: without a time it is kept for %s", when, d.Retain)
		}
	}
}

// An override changes what the deciding rule gives, in its own words in reason and
// trace; the rule goes on having decided.
func TestOverrides(t *testing.T) {
	s := load(t, `
bounds: {min: 2d, max: 60d}
rules:
  - {name: clinic, match: 'project.name.startsWith("clinic")', retain: 40d, min: 20d, mode: compliance}
  - {name: broken, match: 'size_bytes == 7 && addresses[9] == "x"', retain: 50d}
overrides:
  - {project: p-short, retain: 1d}
  - {project: physics, user: alice, retain: 5d}
  - {project: physics, domain: other, retain: 4d}
  - {project: physics, domain: default, cloud: openstack, min: 30d, mode: compliance}
  - {user: u9, retain: 100d}
  - {project: clinic-test, retain: 10d, mode: governance}
default: {retain: 14d}
`)
	for name, c := range map[string]struct {
		edit        func(*quarantine.Deletion)
		rule        string
		retain, min int
		mode        quarantine.RetentionMode
		says        string
	}{
		"none":             {func(d *quarantine.Deletion) { d.Project = quarantine.Principal{} }, "default", 14, 0, "", ""},
		"by id, clamped":   {func(d *quarantine.Deletion) { d.Project.ID = "p-short" }, "default", 2, 0, "", "no less than 2d"},
		"project and user": {nil, "default", 5, 0, "", "project physics, user alice"},
		"domain":           {func(d *quarantine.Deletion) { d.User.Name, d.Project.Domain = "bob", "default" }, "default", 30, 30, quarantine.Compliance, "under compliance"},
		"no domain":        {func(d *quarantine.Deletion) { d.User.Name = "bob" }, "default", 14, 0, "", ""},
		"by user, clamped": {func(d *quarantine.Deletion) { d.Project.Name, d.User.ID = "x", "u9" }, "default", 60, 0, "", "no more than 60d"},
		"over a rule":      {func(d *quarantine.Deletion) { d.Project.Name = "clinic-test" }, "clinic", 10, 10, quarantine.Governance, "clinic-test"},
		"another rule":     {func(d *quarantine.Deletion) { d.Project.Name = "clinic-1" }, "clinic", 40, 20, quarantine.Compliance, ""},
	} {
		d, trace := s.Explain(vm(c.edit))
		if d.Rule != c.rule || d.Retain != time.Duration(c.retain)*day || d.Min != time.Duration(c.min)*day || d.Mode != c.mode {
			t.Errorf("%s: %+v", name, d)
		}
		for _, r := range trace {
			if r.Outcome != policy.Matched {
				continue
			}
			if (r.Override != "") != (c.says != "") || !strings.Contains(r.Override, c.says) || !strings.Contains(d.Reason, c.says) {
				t.Errorf("%s: the trace says %q, the reason %q", name, r.Override, d.Reason)
			}
		}
	}
	// A rule that fails gives what it would have given with the override.
	f := vm(nil)
	f.SizeBytes = 7
	if d := s.Decide(f); d.Retain != 5*day {
		t.Errorf("%+v", d)
	}
	f.Deletion.Project.Name = "x"
	if d := s.Decide(f); d.Retain != 50*day {
		t.Errorf("%+v", d)
	}
	// Nobody's disk has no override.
	if d := s.Decide(quarantine.Facts{}); d.Retain != 14*day || strings.Contains(d.Reason, "override") {
		t.Errorf("%+v", d)
	}
}

// A tenant's word takes away neither the mode, nor the least time, nor the last of a
// kind that the disk has without it.
func TestWordKeepsMode(t *testing.T) {
	s := load(t, `rules:
  - {name: asked, tags: [keep], retain: 30d}
  - {name: law, match: 'project.id != ""', retain: 14d, min: 7d, mode: compliance, keep_last: {n: 2, by: vm}}
default: {retain: 10d}
`)
	d := s.Decide(vm(func(d *quarantine.Deletion) { d.Tags = []string{"keep"} }))
	if d.Rule != "asked" || d.Retain != 30*day || d.Mode != quarantine.Compliance || d.Min != 7*day || d.KeepLast.N != 2 {
		t.Errorf("%+v", d)
	}
}

// The mode and the least time of a rule that fails apply: it may have matched.
func TestAFailingRuleKeepsItsMode(t *testing.T) {
	s := load(t, `rules:
  - {name: broken, match: 'addresses[7] == ""', retain: 12d, min: 7d, mode: compliance, keep_last: {n: 2, by: project}}
default: {retain: 20d}
`)
	if d := s.Decide(vm(nil)); d.Rule != "default" || d.Retain != 20*day || d.Mode != quarantine.Compliance || d.Min != 7*day || d.KeepLast.N != 2 {
		t.Errorf("%+v", d)
	}
}
