package quarantine_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// aReport draws one of the many partial reports of one Deletion: few values a
// field, so that reports agree, differ and lack fields.
func aReport(t *rapid.T) quarantine.Deletion {
	word := rapid.SampledFrom([]string{"", "a", "b", "c"})
	principal := func(label string) quarantine.Principal {
		return quarantine.Principal{ID: word.Draw(t, label+" id"), Name: word.Draw(t, label+" name")}
	}
	when := func(label string) time.Time {
		n := rapid.IntRange(0, 3).Draw(t, label)
		if n == 0 {
			return time.Time{}
		}
		return t0.Add(time.Duration(n) * time.Second)
	}
	return quarantine.Deletion{
		ID: "one", Cloud: "os", Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: "vm",
		ResourceName: word.Draw(t, "name"), ServerID: word.Draw(t, "server"), Host: word.Draw(t, "host"),
		Project: principal("project"), User: principal("user"), Deleter: principal("deleter"), Image: principal("image"),
		CreatedAt: when("created"), StartedAt: when("started"), EndedAt: when("ended"), ReceivedAt: when("received"),
		Metadata: rapid.MapOfN(rapid.SampledFrom([]string{"k", "l"}), word, 0, 2).Draw(t, "metadata"),
		Tags:     rapid.SliceOfN(word, 0, 3).Draw(t, "tags"),
		Addresses: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.Address {
			return quarantine.Address{IP: word.Draw(t, "ip"), MAC: word.Draw(t, "mac")}
		}), 0, 2).Draw(t, "addresses"),
		Disks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.DiskRef {
			return quarantine.DiskRef{
				Pool: word.Draw(t, "pool"), Name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "disk"),
				Prefix: rapid.Bool().Draw(t, "prefix"), Role: word.Draw(t, "role"), Required: rapid.Bool().Draw(t, "required"),
			}
		}), 0, 3).Draw(t, "disks"),
	}.Normalize()
}

// The order and the number of deliveries of one Deletion's reports do not
// matter.
func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := aReport(t), aReport(t), aReport(t)
		same := func(law string, x, y quarantine.Deletion) {
			t.Helper()
			if !x.Equal(y) {
				t.Fatalf("not %s:\n%+v\n%+v", law, x, y)
			}
		}
		same("commutative", quarantine.Merge(a, b), quarantine.Merge(b, a))
		same("associative", quarantine.Merge(quarantine.Merge(a, b), c), quarantine.Merge(a, quarantine.Merge(b, c)))
		same("idempotent", quarantine.Merge(a, a), a)
		ab := quarantine.Merge(a, b)
		same("absorbing", quarantine.Merge(ab, b), ab)
	})
}

// What one report lacks, the other gives.
func TestMergeLosesNothingThatOneReportAloneKnows(t *testing.T) {
	start := quarantine.Deletion{ID: "one", ResourceName: "web", StartedAt: t0, User: quarantine.Principal{ID: "u1"},
		Disks: []quarantine.DiskRef{{Name: "vm_disk", Required: true}}}
	end := quarantine.Deletion{ID: "one", EndedAt: t0.Add(2 * time.Second), User: quarantine.Principal{ID: "u1", Name: "ann"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7"}}, Disks: []quarantine.DiskRef{{Name: "vm_disk", Role: "root"}}}
	m := quarantine.Merge(end, start)
	want := quarantine.Deletion{ID: "one", ResourceName: "web", StartedAt: t0, EndedAt: t0.Add(2 * time.Second),
		User: quarantine.Principal{ID: "u1", Name: "ann"}, Addresses: []quarantine.Address{{IP: "192.0.2.7"}},
		Disks: []quarantine.DiskRef{{Name: "vm_disk", Role: "root", Required: true}}}
	if !m.Equal(want) {
		t.Errorf("got %+v\nwant %+v", m, want)
	}
}

// A name of one user never appears beside the id of another.
func TestMergeNeverMixesTwoPeople(t *testing.T) {
	ann, bob := quarantine.Principal{ID: "1", Name: "zoe"}, quarantine.Principal{ID: "2", Name: "bob"}
	m := quarantine.Merge(quarantine.Deletion{User: bob}, quarantine.Deletion{User: ann})
	if m.User != ann {
		t.Errorf("user is %+v", m.User)
	}
}
