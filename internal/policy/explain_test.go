package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// expressions match, do not match, look at a tenant's words, and fail.
var expressions = []string{
	"true", "false", "explained", "!explained", `pool == "vms"`, `metadata["keep"] == "long"`, `"keep" in metadata`, `tags.exists(t, t == "x")`,
	`metadata["absent"] == "y"`, `resource_name.startsWith("web")`, `addresses[0] == "192.0.2.1"`, "size_bytes > 10 * GiB", `in_cidr("192.0.2.1", "nonsense")`,
}

// Of any policy and any disk, exactly one rule of the trace has decided, and it is
// the one that the decision names; the disk is kept no shorter than that rule says,
// nor than any that matched nothing but could not be evaluated.
func TestOneRuleDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		retain := map[string]time.Duration{}
		text.WriteString("rules:\n")
		for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
			days := rapid.IntRange(1, 100).Draw(t, fmt.Sprint("days", i))
			name := fmt.Sprint("r", i)
			retain[name] = time.Duration(days) * 24 * time.Hour
			fmt.Fprintf(&text, "  - {name: %s, match: '%s', retain: %dd}\n", name, rapid.SampledFrom(expressions).Draw(t, fmt.Sprint("match", i)), days)
		}
		if len(retain) == 0 {
			text.Reset()
		}
		days := rapid.IntRange(1, 100).Draw(t, "default")
		retain[policy.DefaultRule] = time.Duration(days) * 24 * time.Hour
		fmt.Fprintf(&text, "default: {retain: %dd}\n", days)
		set, err := policy.Parse("p", []policy.File{{Name: "p.yaml", Text: text.String()}})
		if err != nil {
			t.Fatal(err)
		}
		f := quarantine.Facts{Pool: quarantine.PoolRef{Pool: rapid.SampledFrom([]string{"vms", "volumes"}).Draw(t, "pool")}, SizeBytes: rapid.Int64Range(0, 20<<30).Draw(t, "size")}
		if rapid.Bool().Draw(t, "explained") {
			f.Deletion = &quarantine.Deletion{ID: "d", ResourceName: rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "name"), Tags: rapid.SliceOf(rapid.SampledFrom([]string{"x", "y"})).Draw(t, "tags")}
			if rapid.Bool().Draw(t, "keep") {
				f.Deletion.Metadata = map[string]string{"keep": "long"}
			}
		}
		d, trace := set.Explain(f)
		if again := set.Decide(f); again.Rule != d.Rule || again.Retain != d.Retain {
			t.Fatalf("it decides %+v and explains %+v", again, d)
		}
		var decided []string
		for _, r := range trace {
			if r.Outcome == policy.Matched {
				decided = append(decided, r.Rule)
			}
			if r.Outcome == policy.Failed && d.Retain < retain[r.Rule] {
				t.Fatalf("%s could not be evaluated and says %s; it is kept for %s", r.Rule, retain[r.Rule], d.Retain)
			}
		}
		if len(decided) != 1 || decided[0] != d.Rule || d.Retain < retain[d.Rule] || len(trace) != len(retain) {
			t.Fatalf("the decision is %+v; decided have %v in %+v", d, decided, trace)
		}
	})
}
