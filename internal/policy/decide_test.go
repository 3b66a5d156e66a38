package policy_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

const day = 24 * time.Hour

func vm(edit func(*quarantine.Deletion)) quarantine.Facts {
	d := quarantine.Deletion{
		ID: "x", Cloud: "openstack", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM,
		ResourceID: "4f4d0436", Project: quarantine.Principal{ID: "p1", Name: "physics"}, User: quarantine.Principal{ID: "u1", Name: "alice"},
		CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), StartedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Addresses: []quarantine.Address{{IP: "10.1.2.3", MAC: "fa:16:3e:00:00:01", Network: "private"}},
	}
	if edit != nil {
		edit(&d)
	}
	return quarantine.Facts{Deletion: &d, Cloud: d.Cloud, OriginalName: "4f4d0436_disk", SizeBytes: 10 << 30, DeletedAt: d.StartedAt}
}

// The shipped policies say what their comments say.
func TestShippedPoliciesDecide(t *testing.T) {
	cases := []struct {
		file   string
		facts  quarantine.Facts
		rule   string
		retain time.Duration
	}{
		{"default.yaml", vm(nil), "default", 14 * day},
		{"default.yaml", quarantine.Facts{OriginalName: "junk"}, "unexplained", 30 * day},
		{"default.yaml", vm(func(d *quarantine.Deletion) { d.CreatedAt = d.StartedAt.Add(-time.Minute) }), "short-lived", 3 * day},
		{"default.yaml", vm(func(d *quarantine.Deletion) { d.CreatedAt = time.Time{} }), "default", 14 * day},
		{"default.yaml", vm(func(d *quarantine.Deletion) { d.ResourceKind = quarantine.ResourceVolume }), "volumes", 30 * day},
		{"examples/watched-networks.yaml", vm(func(d *quarantine.Deletion) { d.Addresses[0].IP = "192.0.2.7" }), "watched-network", 90 * day},
		{"examples/watched-networks.yaml", vm(func(d *quarantine.Deletion) { d.Addresses[0].IP = "not an address" }), "default", 14 * day},
		{"examples/watched-networks.yaml", vm(func(d *quarantine.Deletion) { d.Deleter = quarantine.Principal{ID: "u9", Name: "eve"} }), "watched-person", 90 * day},
		{"examples/watched-networks.yaml", vm(func(d *quarantine.Deletion) { d.Deleter = quarantine.Principal{ID: "u2"} }), "deleted-by-another", 60 * day},
		{"examples/batch-and-ci.yaml", vm(func(d *quarantine.Deletion) { d.Project.Name = "ci-atlas" }), "ci-runners", 2 * day},
		{"examples/batch-and-ci.yaml", vm(nil), "default", 30 * day},
		{"examples/regulated.yaml", vm(func(d *quarantine.Deletion) { d.Metadata = map[string]string{"retention-class": "archive"} }), "archive", 3 * 365 * day},
		{"examples/regulated.yaml", vm(nil), "default", 30 * day},
		{"examples/regulated.yaml", vm(func(d *quarantine.Deletion) { d.Project.Name = "clinical-12" }), "clinical", 180 * day},
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.Project.Name = "records-7" }), "records", 365 * day},
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.Tags = []string{"keep"} }), "asked-for", 90 * day},
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.StartedAt = time.Date(2027, 1, 6, 12, 0, 0, 0, time.UTC) }), "end-of-year", 60 * day},
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.StartedAt = time.Date(2026, 3, 3, 2, 0, 0, 0, time.UTC) }), "nights", 30 * day},
		{"examples/compliance-and-overrides.yaml", vm(nil), "weekends", 30 * day}, // 2026-03-01 is a Sunday
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.Project.Name = "ci-atlas" }), "weekends", 2 * day},
		{"examples/compliance-and-overrides.yaml", vm(func(d *quarantine.Deletion) { d.StartedAt = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC) }), "default", 14 * day},
	}
	for _, c := range cases {
		s, err := policy.Load(filepath.Join("../../policies", c.file))
		if err != nil {
			t.Fatal(err)
		}
		d := s.Decide(c.facts)
		if d.Rule != c.rule || d.Retain != c.retain {
			t.Errorf("%s: rule %q keeps %s (%s); want %q, %s", c.file, d.Rule, d.Retain, d.Reason, c.rule, c.retain)
		}
	}
}

func load(t testing.TB, content string) *policy.Set {
	t.Helper()
	dir := t.TempDir()
	p := filepath.Join(dir, "p.yaml")
	if tt, ok := t.(*testing.T); ok {
		write(tt, dir, "p.yaml", content)
	}
	s, err := policy.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A rule that cannot be evaluated never shortens a retention, nor drops a hold.
func TestAFailingRuleNeverShortens(t *testing.T) {
	s := load(t, `
rules:
  - {name: broken, match: 'metadata["class"] == "archive"', retain: 100d, hold: {case_id: C1, reason: law}}
  - {name: short, match: 'kind == "delete"', retain: 1d}
default: {retain: 14d}
`)
	d, trace := s.Explain(vm(nil))
	if d.Rule != "short" || d.Retain != 100*day || d.Hold == nil {
		t.Errorf("decision %+v: want the rule short with the 100 days and the hold of the broken one", d)
	}
	if !strings.Contains(d.Reason, "broken") {
		t.Errorf("the reason %q hides the failure", d.Reason)
	}
	if trace[0].Outcome != policy.Failed || trace[1].Outcome != policy.Matched || trace[2].Outcome != policy.NotTried {
		t.Errorf("trace %+v", trace)
	}
}

// An expression that would run for ever ends, as a failure.
func TestACostlyRuleEnds(t *testing.T) {
	s := load(t, `
rules:
  - name: costly
    match: tags.all(a, tags.all(b, tags.all(c, tags.all(d, a + b + c + d != "x"))))
    retain: 9d
default: {retain: 1d}
`)
	tags := make([]string, 300)
	for i := range tags {
		tags[i] = strings.Repeat("t", 50)
	}
	d := s.Decide(vm(func(d *quarantine.Deletion) { d.Tags = tags }))
	if d.Retain != 9*day || d.Rule != "default" {
		t.Errorf("decision %+v, want the default with the costly rule's 9 days", d)
	}
}

// Whatever the facts are: exactly one rule decides, always the same, and it
// keeps the disk for some time.
func TestDecideIsTotalAndDeterministic(t *testing.T) {
	s, err := policy.Load("../../policies/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := vm(func(d *quarantine.Deletion) {
			d.Kind = quarantine.Kind(rapid.SampledFrom([]string{"delete", "rebuild", "volume-delete", "odd"}).Draw(rt, "kind"))
			d.ResourceKind = quarantine.ResourceKind(rapid.SampledFrom([]string{"vm", "volume", "image"}).Draw(rt, "rk"))
			d.CreatedAt = d.StartedAt.Add(-time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(rt, "age")))
			d.Metadata = rapid.MapOf(rapid.String(), rapid.String()).Draw(rt, "meta")
			d.Tags = rapid.SliceOf(rapid.String()).Draw(rt, "tags")
		})
		if rapid.Bool().Draw(rt, "unexplained") {
			f.Deletion = nil
		}
		f.OriginalName = rapid.String().Draw(rt, "name")
		f.SizeBytes = rapid.Int64().Draw(rt, "size")
		a, trace := s.Explain(f)
		if b := s.Decide(f); a.Rule != b.Rule || a.Retain != b.Retain {
			rt.Fatalf("%+v, then %+v", a, b)
		}
		deciding := 0
		for _, tr := range trace {
			if tr.Outcome == policy.Matched {
				deciding++
			}
		}
		if deciding != 1 || a.Retain <= 0 || len(a.PolicyHash) != 64 {
			rt.Fatalf("%d deciding rules, decision %+v", deciding, a)
		}
	})
}

// A policy that does not load keeps the old one in force and says so until a
// good one is there; so does one that was deleted.
func TestReloadKeepsTheOldPolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "p.yaml", "default: {retain: 7d}\n")
	s, err := policy.NewStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"default: {retain: }\n", "nonsense: 1\n"} {
		write(t, dir, "p.yaml", bad)
		if s.Reload(context.Background()) == nil || s.Ready() == nil {
			t.Errorf("%q was taken for a policy", bad)
		}
		if d := s.Decide(quarantine.Facts{}); d.Retain != 7*day {
			t.Errorf("%s, want the old 7 days", d.Retain)
		}
	}
	write(t, dir, "p.yaml", "default: {retain: 8d}\n")
	if err := s.Reload(context.Background()); err != nil || s.Ready() != nil {
		t.Errorf("a good policy: %v, %v", err, s.Ready())
	}
	if d := s.Decide(quarantine.Facts{}); d.Retain != 8*day {
		t.Errorf("%s, want the new 8 days", d.Retain)
	}
	if _, err := policy.NewStore(t.Context(), filepath.Join(dir, "absent")); err == nil {
		t.Error("a store without a policy")
	}
}
