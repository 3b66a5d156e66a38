package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// loadFile loads a policy of one file.
func loadFile(t interface{ Fatal(...any) }, dir, content string) (*policy.Set, error) {
	p := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return policy.Load(p)
}

// Each rule says for itself when its disks are flattened; the default's word is
// not that of rules that say nothing. Never is what nothing means.
func TestFlattenIsPerRule(t *testing.T) {
	s, err := loadFile(t, t.TempDir(), `
rules:
  - {name: a, match: original_name == "a", retain: 1d, flatten: on-hold}
  - {name: b, match: original_name == "b", retain: 1d, flatten: when-parent-blocked}
  - {name: c, match: original_name == "c", retain: 1d, flatten: never}
  - {name: d, match: original_name == "d", retain: 1d}
default: {retain: 1d, flatten: always}
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]quarantine.FlattenRule{
		"a": quarantine.FlattenOnHold, "b": quarantine.FlattenWhenBlocked, "c": "", "d": "", "e": quarantine.FlattenAlways,
	} {
		if d := s.Decide(quarantine.Facts{OriginalName: name}); d.Flatten != want {
			t.Errorf("%s: flatten %q, want %q", name, d.Flatten, want)
		}
	}
}

// A word that is no rule does not load.
func TestFlattenIsChecked(t *testing.T) {
	for _, word := range []string{"sometimes", "Always", "on_hold", "true"} {
		_, err := loadFile(t, t.TempDir(), "default: {retain: 1d, flatten: "+word+"}")
		if !errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), "flatten") {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// Whatever flatten says, in any rule, also where others fail: everything else of
// the decision is as if it said nothing.
func TestFlattenNeverChangesRetain(t *testing.T) {
	dir := t.TempDir()
	matches := []string{`size_bytes > 5`, `metadata["k"] == "v"`, `original_name == "x"`, `true`, `!explained`}
	rapid.Check(t, func(t *rapid.T) {
		var with, without strings.Builder
		fmt.Fprintln(&with, "rules:")
		fmt.Fprintln(&without, "rules:")
		rule := func(where string, days int) (string, string) {
			f := rapid.SampledFrom(append(quarantine.FlattenRules(), "")).Draw(t, where)
			plain := fmt.Sprintf("retain: %dd", days)
			if f == "" {
				return plain, plain
			}
			return plain + ", flatten: " + string(f), plain
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
			m := rapid.SampledFrom(matches).Draw(t, "match")
			a, b := rule("flatten", rapid.IntRange(1, 90).Draw(t, "days"))
			fmt.Fprintf(&with, "  - {name: r%d, match: '%s', %s}\n", i, m, a)
			fmt.Fprintf(&without, "  - {name: r%d, match: '%s', %s}\n", i, m, b)
		}
		a, b := rule("default", 7)
		fmt.Fprintf(&with, "default: {%s}\n", a)
		fmt.Fprintf(&without, "default: {%s}\n", b)
		facts := quarantine.Facts{OriginalName: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"), SizeBytes: rapid.Int64Range(0, 10).Draw(t, "size")}
		if rapid.Bool().Draw(t, "explained") {
			facts.Deletion = &quarantine.Deletion{Metadata: map[string]string{}}
		}
		var got [2]quarantine.Decision
		for i, text := range []string{with.String(), without.String()} {
			s, err := loadFile(t, dir, text)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = s.Decide(facts)
			got[i].Flatten, got[i].PolicyHash = "", ""
		}
		if got[0] != got[1] {
			t.Fatalf("%s gives %+v, and without flatten %+v", with.String(), got[0], got[1])
		}
	})
}
