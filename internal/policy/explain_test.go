package policy_test

import (
	"fmt"
	"reflect"
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

// applies are other keys that say what a rule applies to.
var applies = []string{"", "", "kinds: [delete]", "tags: [x]", "metadata: {keep: long}", "unless: explained", `unless: 'metadata["absent"] == "y"'`,
	"when: {days: [sat, sun], hours: 20-06}", "when: {until: 2026-02-01}"}

// Of any policy and any disk, exactly one rule of the trace has decided, and it is
// the one that the decision names; the disk is kept no shorter, and no less firmly,
// than that rule says, nor than any that matched nothing but could not be
// evaluated, each with its override; and always within the bounds.
func TestOneRuleDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		rules := map[string]quarantine.Decision{}
		add := func(name string) string {
			d := quarantine.Decision{Retain: time.Duration(rapid.IntRange(1, 100).Draw(t, "days of "+name)) * day}
			keys := fmt.Sprintf("retain: %s", quarantine.FormatDuration(d.Retain))
			if rapid.Bool().Draw(t, "with min") {
				d.Min = time.Duration(rapid.IntRange(1, int(d.Retain/day)).Draw(t, "min of "+name)) * day
				keys += ", min: " + quarantine.FormatDuration(d.Min)
			}
			if d.Mode = rapid.SampledFrom([]quarantine.RetentionMode{"", quarantine.Governance, quarantine.Compliance}).Draw(t, "mode of "+name); d.Mode != "" {
				keys += ", mode: " + string(d.Mode)
			}
			rules[name] = d
			return keys
		}
		low, high := day, policy.MaxRetain
		if rapid.Bool().Draw(t, "bounds") {
			low = time.Duration(rapid.IntRange(1, 50).Draw(t, "low")) * day
			high = low + time.Duration(rapid.IntRange(0, 50).Draw(t, "high"))*day
			fmt.Fprintf(&text, "bounds: {min: %s, max: %s}\n", quarantine.FormatDuration(low), quarantine.FormatDuration(high))
		}
		if n := rapid.IntRange(0, 6).Draw(t, "rules"); n > 0 {
			text.WriteString("rules:\n")
			for i := range n {
				name := fmt.Sprint("r", i)
				fmt.Fprintf(&text, "  - {name: %s, match: '%s', %s", name, rapid.SampledFrom(expressions).Draw(t, fmt.Sprint("match", i)), add(name))
				if more := rapid.SampledFrom(applies).Draw(t, fmt.Sprint("applies", i)); more != "" {
					text.WriteString(", " + more)
				}
				text.WriteString("}\n")
			}
		}
		over := time.Duration(rapid.IntRange(0, 100).Draw(t, "override")) * day
		if over > 0 {
			fmt.Fprintf(&text, "overrides: [{project: p, retain: %s}]\n", quarantine.FormatDuration(over))
		}
		fmt.Fprintf(&text, "default: {%s}\n", add(policy.DefaultRule))
		set, err := policy.Parse("p", []policy.File{{Name: "p.yaml", Text: text.String()}})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text.String())
		}
		f := quarantine.Facts{Pool: quarantine.PoolRef{Pool: rapid.SampledFrom([]string{"vms", "volumes"}).Draw(t, "pool")}, SizeBytes: rapid.Int64Range(0, 20<<30).Draw(t, "size")}
		if rapid.Bool().Draw(t, "dated") {
			f.DeletedAt = time.Date(2026, 1, 28, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 240).Draw(t, "at")) * time.Hour)
		}
		if rapid.Bool().Draw(t, "explained") {
			f.Deletion = &quarantine.Deletion{ID: "d", Kind: rapid.SampledFrom([]quarantine.Kind{"delete", "rebuild"}).Draw(t, "kind"),
				ResourceName: rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "name"), Tags: rapid.SliceOf(rapid.SampledFrom([]string{"x", "y"})).Draw(t, "tags"),
				Project: quarantine.Principal{ID: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "project")}}
			if rapid.Bool().Draw(t, "keep") {
				f.Deletion.Metadata = map[string]string{"keep": "long"}
			}
		}
		d, trace := set.Explain(f)
		if again := set.Decide(f); !reflect.DeepEqual(again, d) {
			t.Fatalf("it decides %+v and explains %+v", again, d)
		}
		if d.Retain < low || d.Retain > high || d.Min > d.Retain {
			t.Fatalf("%+v is not within %s and %s", d, low, high)
		}
		var decided []string
		for _, r := range trace {
			least := rules[r.Rule]
			if over > 0 && f.Deletion != nil && f.Deletion.Project.ID == "p" {
				least.Retain, least.Min = over, min(least.Min, over)
			}
			least.Retain = min(max(least.Retain, low), high)
			least.Min = min(least.Min, least.Retain)
			if r.Outcome == policy.Matched {
				decided = append(decided, r.Rule)
			}
			if r.Outcome != policy.Matched && r.Outcome != policy.Failed {
				continue
			}
			if d.Retain < least.Retain || d.Min < least.Min || least.Mode == quarantine.Compliance && d.Mode != least.Mode {
				t.Fatalf("%s is %s and says %+v; the decision is %+v", r.Rule, r.Outcome, least, d)
			}
		}
		if len(decided) != 1 || decided[0] != d.Rule || len(trace) != len(rules) {
			t.Fatalf("the decision is %+v; decided have %v in %+v", d, decided, trace)
		}
	})
}
