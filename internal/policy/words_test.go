package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// expressions ask for each variable, some of which fail for some facts.
var expressions = []string{
	`cloud == "prod"`, `cloud_type == "openstack"`, `cluster == "a"`, `pool == "vms"`, `kind == "delete"`, `resource_kind == "vm"`,
	`resource_id == "x"`, `server_id == ""`, `flavor == "m1"`, `host == "h"`, `availability_zone == "nova"`, `role == "root"`, `original_name == "x"`, `capture == "guard"`,
	`project.name == "x"`, `user.id == "x"`, `deleter.name == "x"`, `"10.0.0.1" in addresses`, `"m" in macs`, `size_bytes > 1*GiB`,
	`has_lifetime && lifetime < duration("1h")`, `explained`, `deleted_at > timestamp("2026-01-01T00:00:00Z")`, `addresses[0] == "10.0.0.1"`,
	`resource_name == "x"`, `image.name == "x"`, `image.id == "x"`, `metadata["role"] == "x"`, `"x" in metadata`, `"x" in tags`, `tags[0] == "x"`, `networks[0] == "x"`, `"x" in networks`,
}

// Where no rule that was asked has looked at a tenant's word, the rules say the
// same without the words, so that they need not be asked again.
func TestRulesThatLookAtNoWordNeedNotBeAskedTwice(t *testing.T) {
	spared := 0
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		text.WriteString("rules:\n")
		for i, e := range rapid.SliceOfNDistinct(rapid.SampledFrom(expressions), 1, 4, rapid.ID).Draw(rt, "rules") {
			text.WriteString("  - {name: r" + string(rune('0'+i)) + ", match: '" + e + "', retain: 1d}\n")
		}
		text.WriteString("default: {retain: 14d}\n")
		s, err := Parse("x", []File{{Name: "p.yaml", Text: text.String()}})
		if err != nil {
			rt.Fatal(err)
		}
		word := rapid.SampledFrom([]string{"", "x", "y"})
		draw := func(what string) string { return word.Draw(rt, what) }
		list := func(what string) []string { return rapid.SliceOfN(word, 0, 2).Draw(rt, what) }
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		f := quarantine.Facts{OriginalName: draw("name"), Role: "root", SizeBytes: 1, DeletedAt: at}
		if rapid.Bool().Draw(rt, "explained") {
			d := quarantine.Deletion{ResourceName: draw("resource name"), Tags: list("tags"), KeyPair: draw("key"), CreatedAt: at.Add(-time.Hour),
				Image: quarantine.Principal{ID: draw("image"), Name: draw("image name")}, Project: quarantine.Principal{Name: draw("project")}}
			for _, n := range list("networks") {
				d.Addresses = append(d.Addresses, quarantine.Address{IP: "10.0.0.1", Network: n})
			}
			if k := draw("key of metadata"); k != "" {
				d.Metadata = map[string]string{k: "x", "role": "x"}
			}
			f.Deletion = &d
		}
		given := s.evaluate(f, nil, true)
		bareFacts, any := withoutTenantsWords(f)
		if given.words || !any {
			return
		}
		spared++
		if bare := s.evaluate(bareFacts, append([]*rule{}, given.failed...), true); bare.decider != given.decider || !reflect.DeepEqual(bare.trace, given.trace) {
			rt.Fatalf("of %+v the rules\n%s say %+v, and without the words %+v", f, &text, given.trace, bare.trace)
		}
	})
	if spared == 0 {
		t.Error("no case was looked at")
	}
}
