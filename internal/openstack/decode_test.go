package openstack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// The lab had one user and one project; their ids are in every message.
const (
	userID    = "707854b5c34f47eca9cb08f9df45286e"
	projectID = "66f0ec40578f42989c828028fd1ab76e"
	tinyImage = "5670a48d-75ba-4cdb-bd84-2d235e6997e6"
	okImage   = "5001cfcf-b2cb-4d63-a3c8-da72f17a7968"
)

// describe writes all that a Deletion says in words, for tables that can be
// read. Ids that are the same everywhere are named.
func describe(d quarantine.Deletion) string {
	var b strings.Builder
	say := func(word, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", word, value)
		}
	}
	who := func(p quarantine.Principal) string {
		id := strings.NewReplacer(userID, "U", projectID, "P", tinyImage, "tiny", okImage, "quiet").Replace(p.ID)
		if p.Name != "" {
			return id + "/" + p.Name
		}
		return id
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format("15:04:05.000")
	}
	fmt.Fprintf(&b, "%s %s %s %s", d.Kind, d.ResourceKind, d.ResourceID, d.ResourceName)
	say("server", d.ServerID)
	say("project", who(d.Project))
	say("user", who(d.User))
	say("by", who(d.Deleter))
	say("flavor", d.Flavor)
	say("image", who(d.Image))
	say("host", d.Host)
	say("zone", d.AvailabilityZone)
	for _, k := range slices.Sorted(maps.Keys(d.Metadata)) {
		if d.ResourceKind != quarantine.ResourceImage {
			say("meta."+k, d.Metadata[k])
		}
	}
	say("tags", strings.Join(d.Tags, "+"))
	for _, a := range d.Addresses {
		say("address", strings.Join([]string{a.IP, a.MAC, a.Network, a.PortID}, ","))
	}
	say("request", d.RequestID)
	say("made", at(d.CreatedAt))
	say("from", at(d.StartedAt))
	say("to", at(d.EndedAt))
	for _, r := range d.Disks {
		if r.Required {
			say("required", r.Name)
		}
	}
	return b.String()
}

// TestRecordings proves that each recording of a real cloud leads to exactly
// the Deletions that were made in it.
func TestRecordings(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios(t) {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			want, ok := expected[scenario]
			if !ok {
				t.Fatal("the table does not say what to expect")
			}
			var got []string
			for _, d := range merged(decodeAll(t, recording(t, scenario))) {
				if err := d.Validate(); err != nil {
					t.Error(err)
				}
				got = append(got, describe(d))
			}
			compare(t, got, want)
		})
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("deletion %d:\n got %s\nwant %s", i, g, w)
		}
	}
}
