package openstack

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// TestEitherFormat proves that a site may send one of Nova's formats or both:
// the same Deletions come of it, but for what the unversioned format does not
// tell (addresses, tags, whose a volume was, the name of who deleted it) and
// some milliseconds.
func TestEitherFormat(t *testing.T) {
	t.Parallel()
	plain := func(ds []quarantine.Deletion) []string {
		var out []string
		for _, d := range merged(ds) {
			d.Addresses, d.Tags, d.ServerID = nil, nil, ""
			if d.ResourceKind == quarantine.ResourceVolume {
				d.Deleter = quarantine.Principal{ID: d.Deleter.ID}
			}
			text := describe(d)
			from, to := strings.Index(text, " from="), strings.Index(text, " required=")
			if to < 0 {
				to = len(text)
			}
			if from >= 0 {
				text = text[:from] + text[to:]
			}
			out = append(out, d.ID+" "+text)
		}
		slices.Sort(out)
		return out
	}
	for _, scenario := range scenarios(t) {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			all := recording(t, scenario)
			only := func(versioned bool) []recorded {
				return slices.DeleteFunc(slices.Clone(all), func(r recorded) bool {
					return r.Exchange == "nova" && r.versioned() != versioned
				})
			}
			want := plain(decodeAll(t, all))
			t.Run("unversioned", func(t *testing.T) { compare(t, plain(decodeAll(t, only(false))), want) })
			t.Run("versioned", func(t *testing.T) { compare(t, plain(decodeAll(t, only(true))), want) })
		})
	}
}

// TestAnyOrder proves that reordered, repeated and mixed deliveries lead to
// the same Deletions as the recorded order.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios(t) {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			all := decodeAll(t, recording(t, scenario))
			if len(all) == 0 {
				return
			}
			want := merged(all)
			check := func(t rapid.TB, ds []quarantine.Deletion) {
				t.Helper()
				if got := merged(ds); !slices.EqualFunc(got, want, quarantine.Deletion.Equal) {
					t.Errorf("got %+v\nwant %+v", got, want)
				}
			}
			reversed := slices.Clone(all)
			slices.Reverse(reversed)
			check(t, reversed)
			check(t, slices.Concat(all, reversed, all))
			rapid.Check(t, func(t *rapid.T) {
				again := rapid.SliceOfN(rapid.SampledFrom(all), 0, 20).Draw(t, "again")
				check(t, slices.Concat(again, rapid.Permutation(all).Draw(t, "order")))
			})
		})
	}
}

// TestFirstReportIsEnough proves that every single report of a server's or
// volume's deletion can be recorded and joined alone: whatever is lost of the
// rest, the disk is explained.
func TestFirstReportIsEnough(t *testing.T) {
	t.Parallel()
	pool := quarantine.PoolRef{Pool: "vms"}
	for _, scenario := range scenarios(t) {
		for _, d := range decodeAll(t, recording(t, scenario)) {
			if err := d.Validate(); err != nil {
				t.Errorf("%s: %v", scenario, err)
			}
			names := map[quarantine.Kind][]string{
				quarantine.KindVolumeDelete: {"volume-" + d.ResourceID, "volume-" + d.ResourceID + ".deleted"},
				quarantine.KindImageDelete:  {d.ResourceID},
				quarantine.KindResize:       {d.ResourceID + "_disk.config"},
			}[d.Kind]
			if d.ResourceKind == quarantine.ResourceVM && d.Kind != quarantine.KindResize {
				for _, suffix := range []string{"", ".config", ".eph0", ".swap", ".rescue", ".eph1"} {
					names = append(names, d.ResourceID+"_disk"+suffix)
				}
			}
			if d.Kind == quarantine.KindVolumeDelete && d.StartedAt.IsZero() && d.EndedAt.IsZero() {
				names = nil // says only whose the volume was
			}
			for _, name := range names {
				if !slices.ContainsFunc(d.Disks, func(r quarantine.DiskRef) bool { return r.Matches(pool, name) }) {
					t.Errorf("%s: the %s of %s does not explain %s", scenario, d.Kind, d.ResourceID, name)
				}
			}
		}
	}
}
