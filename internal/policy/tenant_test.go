package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// loadText makes a policy of the text.
func loadText(t interface {
	Helper()
	Fatal(args ...any)
}, dir, text string) *policy.Set {
	t.Helper()
	path := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := policy.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const wishes = `rules:
  - {name: longer, match: '"keep" in metadata', retain: 90d}
  - {name: by-value, match: 'metadata["class"] == "scratch"', retain: 1d}
  - {name: shorter, match: '"drop" in tags || resource_name.startsWith("tmp") || image.name == "mine"', retain: 1d}
  - {name: held, match: '"evidence" in tags', retain: 2d, hold: {case_id: C1, reason: r}}
  - {name: small, match: 'size_bytes < 1*GiB', retain: 5d}
default: {retain: 10d}
`

// What a tenant writes can lengthen a retention, and can never shorten it,
// whatever it writes and wherever; a rule that is overruled is named.
func TestTenantsWord(t *testing.T) {
	t.Parallel()
	s := loadText(t, t.TempDir(), wishes)
	for name, c := range map[string]struct {
		edit   func(*quarantine.Deletion)
		rule   string
		retain int
		over   string // the overruled rule
	}{
		"nothing":                     {nil, "default", 10, ""},
		"longer":                      {func(d *quarantine.Deletion) { d.Metadata = map[string]string{"keep": "", "class": "x"} }, "longer", 90, ""},
		"shorter by tag":              {func(d *quarantine.Deletion) { d.Tags = []string{"drop"}; d.Metadata = map[string]string{"class": "x"} }, "default", 10, "shorter"},
		"shorter by name":             {func(d *quarantine.Deletion) { d.ResourceName = "tmp1"; d.Metadata = map[string]string{"class": "x"} }, "default", 10, "shorter"},
		"shorter by the image's name": {func(d *quarantine.Deletion) { d.Image.Name = "mine"; d.Metadata = map[string]string{"class": "x"} }, "default", 10, "shorter"},
		"shorter by value":            {func(d *quarantine.Deletion) { d.Metadata = map[string]string{"class": "scratch"} }, "default", 10, "by-value"},
		"a hold stays": {func(d *quarantine.Deletion) {
			d.Tags = []string{"evidence"}
			d.Metadata = map[string]string{"class": "x"}
		}, "default", 10, "held"},
	} {
		d, trace := s.Explain(vm(c.edit))
		if d.Rule != c.rule || int(d.Retain/day) != c.retain {
			t.Errorf("%s: %s for %s: %s", name, d.Rule, d.Retain, d.Reason)
		}
		over, matched := "", 0
		for _, r := range trace {
			switch r.Outcome {
			case policy.Overruled:
				over += r.Rule
			case policy.Matched:
				matched++
			}
		}
		if over != c.over || matched != 1 || c.over != "" && !strings.Contains(d.Reason, "never shorten") {
			t.Errorf("%s: overruled %q, %d rules decide: %s", name, over, matched, d.Reason)
		}
		if (d.Hold != nil) != (name == "a hold stays") {
			t.Errorf("%s: hold %v", name, d.Hold)
		}
	}
}

// The same for any words: with them a disk is never kept shorter than without.
func TestNoWordShortens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := loadText(t, dir, wishes)
	words := []string{"keep", "class", "drop", "evidence", "tmp", "scratch", "mine", "", `"] == "x" || true`, "\x00\n<b>"}
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.SampledFrom(words)
		bare := vm(func(d *quarantine.Deletion) { d.Image.Name, d.ResourceName = "", "" })
		bare.SizeBytes = rapid.Int64Range(0, 4<<30).Draw(rt, "size")
		told := *bare.Deletion
		told.Metadata = rapid.MapOf(word, word).Draw(rt, "metadata")
		told.Tags = rapid.SliceOf(word).Draw(rt, "tags")
		told.ResourceName, told.Image.Name = word.Draw(rt, "name"), word.Draw(rt, "image")
		with := bare
		with.Deletion = &told
		a, b := s.Decide(bare), s.Decide(with)
		// Without the metadata key the rule by-value fails, and counts as if it
		// had matched; its retention is the shortest, so it changes nothing.
		if b.Retain < a.Retain {
			rt.Fatalf("kept for %s without a word, and for %s with %+v", a.Retain, b.Retain, told)
		}
	})
}

// A tenant's word that chooses a longer rule must not drop the hold and the
// isolation that the disk has without it.
func TestWordKeepsHold(t *testing.T) {
	t.Parallel()
	s := loadText(t, t.TempDir(), `rules:
  - {name: asked, match: '"keep" in tags', retain: 30d}
  - {name: infra, match: 'project.id != ""', retain: 14d, isolate: true, hold: {case_id: C1, reason: r}}
default: {retain: 10d}
`)
	bare := s.Decide(vm(func(d *quarantine.Deletion) { d.Project.ID = "p" }))
	with := s.Decide(vm(func(d *quarantine.Deletion) { d.Project.ID = "p"; d.Tags = []string{"keep"} }))
	if bare.Hold == nil || !bare.Isolate {
		t.Fatalf("bare: %+v", bare)
	}
	if with.Hold == nil || !with.Isolate {
		t.Errorf("with the tag: hold %v, isolate %v", with.Hold, with.Isolate)
	}
}

// The name of a network is a tenant's word, too.
func TestNetworkNameIsAWord(t *testing.T) {
	t.Parallel()
	s := loadText(t, t.TempDir(), `rules:
  - {name: scratch, match: '"scratch" in networks', retain: 1d}
default: {retain: 10d}
`)
	if d := s.Decide(vm(func(d *quarantine.Deletion) { d.Addresses[0].Network = "scratch" })); d.Retain != 10*day {
		t.Errorf("kept for %s by %s", d.Retain, d.Rule)
	}
}
