package quarantine_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

var (
	t0   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	vms  = quarantine.PoolRef{FSID: "fsid-1", Pool: "vms"}
	vols = quarantine.PoolRef{FSID: "fsid-1", Pool: "volumes"}
)

func anyCloud(quarantine.PoolRef) string { return "" }
func osCloud(quarantine.PoolRef) string  { return "os" }

// at is t0 plus so many seconds; negative is never.
func at(seconds int) time.Time {
	if seconds < 0 {
		return time.Time{}
	}
	return t0.Add(time.Duration(seconds) * time.Second)
}

func deadDisk(id, name string, died int) quarantine.Disk {
	return quarantine.Disk{ID: id, Key: vms.Key(id), OriginalName: name, DeletedAt: at(died), State: quarantine.Quarantined}
}

func report(id string, kind quarantine.Kind, started, ended int, disks ...quarantine.DiskRef) quarantine.Deletion {
	return quarantine.Deletion{ID: id, Cloud: "os", Kind: kind, ResourceID: "vm-1", StartedAt: at(started), EndedAt: at(ended),
		ReceivedAt: t0.Add(time.Hour), Disks: disks}
}

func named(name string) quarantine.DiskRef { return quarantine.DiskRef{Name: name} }

// explained says the result as disk → deletion id.
func explained(m map[string]*quarantine.Deletion) map[string]string {
	out := map[string]string{}
	for disk, d := range m {
		if d != nil {
			out[disk] = d.ID
		}
	}
	return out
}

func permutations[T any](in []T) [][]T {
	if len(in) <= 1 {
		return [][]T{slices.Clone(in)}
	}
	var all [][]T
	for i := range in {
		rest := slices.Concat(in[:i:i], in[i+1:])
		for _, p := range permutations(rest) {
			all = append(all, append([]T{in[i]}, p...))
		}
	}
	return all
}

// joinIs checks the join in every order of disks and deletions.
func joinIs(t *testing.T, disks []quarantine.Disk, dels []quarantine.Deletion, cloud func(quarantine.PoolRef) string, want map[string]string) {
	t.Helper()
	for _, ds := range permutations(disks) {
		for _, es := range permutations(dels) {
			if got := explained(quarantine.Join(ds, es, cloud)); !maps.Equal(got, want) {
				t.Fatalf("disks %v, deletions %v: got %v, want %v", ids(ds), delIDs(es), got, want)
			}
		}
	}
}

func ids(ds []quarantine.Disk) (out []string) {
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%s@%s", d.ID, d.DeletedAt.Sub(t0)))
	}
	return out
}

func delIDs(ds []quarantine.Deletion) (out []string) {
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

// A rebuild and then the delete of one server within a minute destroy two
// disks of one name: two disks, two identities, in whatever order they came.
func TestJoinRebuildThenDeleteWithinAMinute(t *testing.T) {
	for _, gap := range []int{5, 20, 55} {
		t.Run(fmt.Sprintf("%ds", gap), func(t *testing.T) {
			disks := []quarantine.Disk{deadDisk("old", "u_disk", 2), deadDisk("new", "u_disk", gap+2)}
			dels := []quarantine.Deletion{
				report("rebuild", quarantine.KindRebuild, 0, 3, named("u_disk")),
				report("delete", quarantine.KindDelete, gap, gap+3, named("u_disk")),
			}
			joinIs(t, disks, dels, osCloud, map[string]string{"old": "rebuild", "new": "delete"})
		})
	}
}

// Four rebuilds and a delete, a few seconds apart: five identities.
func TestJoinManyRebuilds(t *testing.T) {
	var disks []quarantine.Disk
	var dels []quarantine.Deletion
	want := map[string]string{}
	for i := range 4 {
		d, e := fmt.Sprintf("disk%d", i), fmt.Sprintf("act%d", i)
		kind := quarantine.KindRebuild
		if i == 3 {
			kind = quarantine.KindDelete
		}
		disks = append(disks, deadDisk(d, "u_disk", 10*i+2))
		dels = append(dels, report(e, kind, 10*i, 10*i+3, named("u_disk")))
		want[d] = e
	}
	joinIs(t, disks, dels, osCloud, want)
}

// End events alone are enough to tell a rebuild's disk from the delete's.
func TestJoinWithEndEventsOnly(t *testing.T) {
	disks := []quarantine.Disk{deadDisk("old", "u_disk", 2), deadDisk("new", "u_disk", 42)}
	dels := []quarantine.Deletion{
		report("rebuild", quarantine.KindRebuild, -1, 3, named("u_disk")),
		report("delete", quarantine.KindDelete, -1, 43, named("u_disk")),
	}
	joinIs(t, disks, dels, osCloud, map[string]string{"old": "rebuild", "new": "delete"})
}

// A report without any time explains a death that came before it, and one that
// came after: a script may call the hook first and then remove.
func TestJoinReportWithoutTimes(t *testing.T) {
	for _, died := range []int{2, 2 * 3600} {
		joinIs(t, []quarantine.Disk{deadDisk("d", "u_disk", died)},
			[]quarantine.Deletion{report("delete", quarantine.KindDelete, -1, -1, named("u_disk"))}, osCloud, map[string]string{"d": "delete"})
	}
}

// A cause does not come after its effect.
func TestJoinNotByALaterDeletion(t *testing.T) {
	joinIs(t, []quarantine.Disk{deadDisk("d", "u_disk", 0)},
		[]quarantine.Deletion{report("delete", quarantine.KindDelete, 3600, 3603, named("u_disk"))}, osCloud, map[string]string{})
}

// A server that lives on after a rebuild dies later of another cause, though
// nothing tells which; one that was deleted may lose its disk long after (its
// compute host was down).
func TestJoinLateDeath(t *testing.T) {
	late := []quarantine.Disk{deadDisk("d", "u_disk", 7200)}
	joinIs(t, late, []quarantine.Deletion{report("rebuild", quarantine.KindRebuild, 0, 3, named("u_disk"))}, osCloud, map[string]string{})
	joinIs(t, late, []quarantine.Deletion{report("delete", quarantine.KindDelete, 0, 3, named("u_disk"))}, osCloud, map[string]string{"d": "delete"})
}

// The deletion of another cloud never explains a disk of this one's pool.
func TestJoinNotAcrossClouds(t *testing.T) {
	d := []quarantine.Disk{deadDisk("d", "one-5-7-0", 2)}
	e := []quarantine.Deletion{report("delete", quarantine.KindDelete, 0, 3, named("one-5-7-0"))}
	joinIs(t, d, e, func(quarantine.PoolRef) string { return "one" }, map[string]string{})
	joinIs(t, d, e, anyCloud, map[string]string{"d": "delete"})
}

// A reference by prefix means the names that go on after a separator, and no
// others; one with a pool means that pool.
func TestJoinByPrefixAndPool(t *testing.T) {
	prefix := quarantine.DiskRef{Name: "u", Prefix: true}
	e := []quarantine.Deletion{report("delete", quarantine.KindDelete, 0, 3, prefix)}
	for name, want := range map[string]map[string]string{
		"u_disk": {"d": "delete"}, "u.config": {"d": "delete"}, "u": {"d": "delete"}, "u-1": {"d": "delete"},
		"u2_disk": {}, "v_disk": {}, "": {},
	} {
		joinIs(t, []quarantine.Disk{deadDisk("d", name, 2)}, e, osCloud, want)
	}
	elsewhere := report("delete", quarantine.KindDelete, 0, 3, quarantine.DiskRef{Pool: "volumes", Name: "u_disk"})
	joinIs(t, []quarantine.Disk{deadDisk("d", "u_disk", 2)}, []quarantine.Deletion{elsewhere}, osCloud, map[string]string{})
}

// Every key under which a deletion can name an image finds the images that it
// matches.
func TestJoinKeysFindWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab][ab_.\-@]{0,8}`).Draw(t, "name")
		ref := quarantine.DiskRef{Name: rapid.StringMatching(`[ab][ab_.\-@]{0,8}`).Draw(t, "ref"), Prefix: rapid.Bool().Draw(t, "prefix")}
		if ref.Matches(vms, name) && !slices.Contains(quarantine.JoinKeys(name), ref.Name) {
			t.Fatalf("%+v matches %q, but is not among its keys %q", ref, name, quarantine.JoinKeys(name))
		}
	})
}

// A disk that left quarantine keeps its deletion, which then explains no
// other.
func TestJoinTombstonesKeepTheirDeletion(t *testing.T) {
	del := report("delete", quarantine.KindDelete, 0, 3, named("u_disk"))
	gone := deadDisk("gone", "u_disk", 2)
	gone.State, gone.Deletion = quarantine.Purged, &del
	joinIs(t, []quarantine.Disk{gone, deadDisk("late", "u_disk", 3)}, []quarantine.Deletion{del}, osCloud, map[string]string{"gone": "delete"})
}

// The record of a lost disk is only the absence of one: it must not keep the
// disk's arrival from being joined. The record names the pool where the
// deletion did.
func TestJoinLostRecordDoesNotUseUpTheDeletion(t *testing.T) {
	del := report("delete", quarantine.KindDelete, 0, 3, quarantine.DiskRef{Pool: "vms", Name: "u_disk", Required: true})
	lost := quarantine.Disk{ID: "lost", Key: quarantine.Key{Pool: "vms"}, OriginalName: "u_disk", State: quarantine.Lost, DeletedAt: at(0), Deletion: &del}
	for _, ds := range permutations([]quarantine.Disk{lost, deadDisk("late", "u_disk", 2)}) {
		if got := explained(quarantine.Join(ds, []quarantine.Deletion{del}, osCloud))["late"]; got != "delete" {
			t.Errorf("%v: the late disk is explained by %q", ids(ds), got)
		}
	}
}

// Whatever is joined: the result does not depend on the order of the input,
// each deletion explains at most one disk of the name in a pool, and a disk is
// explained only by what names it.
func TestJoinProperties(t *testing.T) {
	kinds := []quarantine.Kind{quarantine.KindDelete, quarantine.KindRebuild, quarantine.KindResize, quarantine.KindSoftDelete}
	states := []quarantine.State{quarantine.Quarantined, quarantine.Pending, quarantine.Expiring, quarantine.Purged, quarantine.Restored}
	rapid.Check(t, func(t *rapid.T) {
		var dels []quarantine.Deletion
		for i := range rapid.IntRange(0, 5).Draw(t, "deletions") {
			ref := named("u_disk")
			if rapid.Bool().Draw(t, "prefix") {
				ref = quarantine.DiskRef{Name: "u", Prefix: true}
			}
			ref.Pool = rapid.SampledFrom([]string{"", "vms", "volumes"}).Draw(t, "pool")
			dels = append(dels, report(fmt.Sprintf("act%d", i), rapid.SampledFrom(kinds).Draw(t, "kind"),
				rapid.IntRange(-1, 150).Draw(t, "start"), rapid.IntRange(-1, 150).Draw(t, "end"), ref))
		}
		var disks []quarantine.Disk
		for i := range rapid.IntRange(0, 5).Draw(t, "disks") {
			d := deadDisk(fmt.Sprintf("disk%d", i), "u_disk", rapid.IntRange(0, 150).Draw(t, "died"))
			d.Key = rapid.SampledFrom([]quarantine.PoolRef{vms, vols}).Draw(t, "pool").Key(d.ID)
			d.State = rapid.SampledFrom(states).Draw(t, "state")
			disks = append(disks, d)
		}
		first := quarantine.Join(disks, dels, osCloud)
		again := explained(quarantine.Join(rapid.Permutation(disks).Draw(t, "order"), rapid.Permutation(dels).Draw(t, "order"), osCloud))
		if !maps.Equal(explained(first), again) {
			t.Fatalf("depends on the order: %v, %v", explained(first), again)
		}
		used := map[string]string{}
		for _, d := range disks {
			del := first[d.ID]
			if del == nil {
				continue
			}
			u := del.ID + " in " + d.Key.Pool
			if other := used[u]; other != "" {
				t.Fatalf("%s explains both %s and %s", u, other, d.ID)
			}
			used[u] = d.ID
			if !slices.ContainsFunc(del.Disks, func(r quarantine.DiskRef) bool { return r.Matches(d.Key.PoolRef(), d.OriginalName) }) {
				t.Fatalf("%s explains %s, which it does not name", del.ID, d.ID)
			}
		}
	})
}

// A soft delete destroys nothing by itself: where another report fits, it is
// the one, however near the soft delete is.
func TestJoinSoftDeleteIsTheLastResort(t *testing.T) {
	soft := report("soft", quarantine.KindSoftDelete, 100, 101, named("u_disk"))
	disks := []quarantine.Disk{deadDisk("d", "u_disk", 101)}
	joinIs(t, disks, []quarantine.Deletion{soft, report("delete", quarantine.KindDelete, 98, 110, named("u_disk"))}, osCloud, map[string]string{"d": "delete"})
	joinIs(t, disks, []quarantine.Deletion{soft}, osCloud, map[string]string{"d": "soft"})
}
