package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// Each mistake is refused, and the message says what to mend.
func TestMistakesAreNamed(t *testing.T) {
	want := map[string]string{
		"unknown-key":         "retian",
		"duplicate-key":       "default",
		"no-default":          "there is no default",
		"bad-cel":             "flavour",
		"not-bool":            "not true or false",
		"bad-duration":        "fortnight",
		"zero-retain":         "not between",
		"too-long":            "not between",
		"no-name":             "name of its own",
		"same-name":           "has a rule of that name",
		"no-match":            "match is missing",
		"hold-without-case":   "case_id",
		"default-with-match":  "takes no match",
		"bad-unless":          "unless",
		"bad-kind":            "none of [delete",
		"bad-mode":            "neither governance nor compliance",
		"min-over-retain":     "longer than retain",
		"bad-hours":           "no part of a day",
		"bad-days":            "none of mon",
		"bad-until":           "is not after",
		"empty-when":          "needs from, until",
		"bad-bounds":          "less than min",
		"override-of-all":     "a project or a user",
		"override-of-nothing": "changes nothing",
		"bad-lock":            "is not between 7d and 30d",
		"bad-keep-last":       "keep_last",
		"not-yaml":            "conf.not-yaml.yaml",
		"nothing":             "nothing in it",
		"two-documents":       "more than one YAML document",
	}
	files, err := filepath.Glob("testdata/conf.*.yaml")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files for %d mistakes (%v)", len(files), len(want), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "conf."), ".yaml")
		t.Run(name, func(t *testing.T) {
			err := policy.Check(f)
			if !errors.Is(err, quarantine.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), want[name]) {
				t.Errorf("%q does not speak of %q", err, want[name])
			}
		})
	}
}

// Every policy that the project ships loads.
func TestShippedPoliciesLoad(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../policies/*.yaml", "../../policies/examples/*.yaml", "../../integration/demo/policy.yaml"} {
		m, err := filepath.Glob(pattern)
		if err != nil || len(m) == 0 {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		files = append(files, m...)
	}
	for _, f := range files {
		if err := policy.Check(f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// The files of a directory are one list of rules, in the order of their names,
// with one default among them.
func TestADirectoryIsOnePolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "20-b.yaml", "rules:\n  - {name: b, match: \"true\", retain: 2d}\n")
	write(t, dir, "10-a.yaml", "rules:\n  - {name: a, match: 'kind == \"rebuild\"', retain: 1d}\ndefault: {retain: 3d}\n")
	write(t, dir, "notes.txt", "not a policy")
	s, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Decide(quarantine.Facts{}); d.Rule != "b" {
		t.Errorf("rule %q decides, want b", d.Rule)
	}
	if d := s.Decide(quarantine.Facts{Deletion: &quarantine.Deletion{Kind: quarantine.KindRebuild}}); d.Rule != "a" {
		t.Errorf("rule %q decides, want a", d.Rule)
	}
	write(t, dir, "30-c.yaml", "default: {retain: 9d}\n")
	if err := policy.Check(dir); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("two defaults: %v, want ErrInvalid", err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzLoad: whatever stands in a file, loading it ends, and what loads decides.
func FuzzLoad(f *testing.F) {
	seeds, _ := filepath.Glob("../../policies/*.yaml")
	mistakes, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range append(seeds, mistakes...) {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := policy.Load(path)
		if err != nil {
			if !errors.Is(err, quarantine.ErrInvalid) {
				t.Fatalf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if d := s.Decide(quarantine.Facts{}); d.Retain <= 0 || d.Rule == "" {
			t.Fatalf("decision %+v", d)
		}
	})
}
