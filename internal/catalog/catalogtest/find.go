package catalogtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// Whatever the filter, the store finds what the filter's words mean, in its
// order, page by page; and counts as many.
func findAny(t *testing.T, s Store) {
	rapid.Check(t, func(t *rapid.T) {
		forgetAll(t, s)
		var all []quarantine.Disk
		for i := range rapid.IntRange(1, 25).Draw(t, "disks") {
			all = append(all, put(t, s, anyDisk(t, fmt.Sprint("d", i))))
		}
		for range 20 {
			f := anyFilter(t)
			var want []quarantine.Disk
			for _, d := range all {
				if selects(f, d) {
					want = append(want, d)
				}
			}
			if n, err := s.CountDisks(background(), f, 0); err != nil || n != int64(len(want)) {
				t.Fatalf("count of %+v: %d, %v; want %d", f, n, err, len(want))
			}
			want = ordered(f, want)
			got := find(t, s, f)
			if !slices.Equal(ids(got), ids(want)) {
				t.Fatalf("filter %+v\nfinds %v\nwant  %v", f, ids(got), ids(want))
			}
			for i := range got {
				sameDisk(t, "found", got[i], want[i])
			}
		}
	})
}

// An address is found however it is written, in the event and in the question.
func findAddress(t *testing.T, s Store) {
	forms := [][]string{
		{"192.0.2.7", "::ffff:192.0.2.7", " 192.0.2.7 "},
		{"2001:db8::1", "2001:DB8:0:0::1", "2001:0db8:0000:0000:0000:0000:0000:0001"},
		{"fe80::1", "fe80::1%eth0", "FE80:0::1"},
		{"fa:16:3e:00:00:01", "FA-16-3E-00-00-01", "fa16.3e00.0001"},
		{"odd address", "Odd Address"},
	}
	for i, same := range forms {
		for j, written := range same {
			d := newDisk(fmt.Sprintf("d%d%d", i, j))
			d.DeletedAt = t0.Add(time.Duration(j) * time.Second)
			d.Deletion = &quarantine.Deletion{ID: "x", Addresses: []quarantine.Address{{IP: written}}}
			if i == 3 {
				d.Deletion.Addresses = []quarantine.Address{{MAC: written}}
			}
			put(t, s, d)
		}
	}
	for i, same := range forms {
		var want []string
		for j := range same {
			want = append(want, fmt.Sprintf("d%d%d", i, j))
		}
		for _, asked := range same {
			finds(t, s, quarantine.DiskFilter{Address: asked}, want...)
		}
	}
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.70"})
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2"})
	finds(t, s, quarantine.DiskFilter{Address: "%"})
	// What is kept is what the event said.
	if a := get(t, s, "d12").Deletion.Addresses[0].IP; a != forms[1][2] {
		t.Errorf("the address became %s", a)
	}
}

// A prefix ends before one of "_.-@" or is the whole name; nothing in it is a
// pattern.
func findNamePrefix(t *testing.T, s Store) {
	names := []string{"ab", "ab_disk", "ab.deleted", "ab-0", "ab@snap", "abc", "ab/x", "ab0", "abA", "ab`", "ab^", "ab,", "AB_disk", "a", "a%", "ab_é", "ab-\U0010FFFF"}
	for i, name := range names {
		d := newDisk(fmt.Sprintf("d%02d", i))
		d.OriginalName = name
		put(t, s, d)
	}
	for _, prefix := range append([]string{"a_", "%", "_", "ab_", "b"}, names...) {
		var want []string
		ref := quarantine.DiskRef{Name: prefix, Prefix: true}
		for i, name := range names {
			if ref.Matches(quarantine.PoolRef{}, name) {
				want = append(want, fmt.Sprintf("d%02d", i))
			}
		}
		finds(t, s, quarantine.DiskFilter{NamePrefix: prefix}, want...)
	}
	finds(t, s, quarantine.DiskFilter{OriginalNames: []string{"ab", "a%", "none", "ab"}}, "d00", "d14")
}

// Projects, users and VMs are found by id and by name; a deletion's user is
// its owner or its deleter; a volume's VM is the server it was attached to.
func findPeople(t *testing.T, s Store) {
	vm, volume := full("vm"), full("volume")
	volume.Deletion.ResourceKind, volume.Deletion.ResourceID, volume.Deletion.ResourceName = quarantine.ResourceVolume, "vol-id", "data"
	volume.Deletion.ServerID = "vm-id"
	put(t, s, vm)
	put(t, s, volume)
	put(t, s, newDisk("other"))
	both := []string{"vm", "volume"}
	for _, f := range []quarantine.DiskFilter{
		{Project: "p1"}, {Project: "physics"}, {User: "u1"}, {User: "ann"}, {User: "u2"}, {User: "bob"}, {VM: "vm-id"}, {Cloud: "prod"},
		{VM: "vm-id", User: "bob", Project: "p1", CaseID: "c1", Address: "192.0.2.7"},
	} {
		finds(t, s, f, both...)
	}
	finds(t, s, quarantine.DiskFilter{VM: "web-1"}, "vm")
	finds(t, s, quarantine.DiskFilter{VM: "vol-id"})
	finds(t, s, quarantine.DiskFilter{VM: "ann"})
	finds(t, s, quarantine.DiskFilter{User: "Ann"})
	finds(t, s, quarantine.DiskFilter{Project: "ann"})
	finds(t, s, quarantine.DiskFilter{User: "u1", Project: "p2"})
}

// The moments of a filter are compared as the filter says, to the nanosecond
// in the question and the microsecond in what is kept; a date that is not set
// is never before anything.
func findMoments(t *testing.T, s Store) {
	d := newDisk("d")
	d.DeletedAt, d.RetainUntil, d.ExpiringAt = t0, t0, t0
	put(t, s, d)
	old := newDisk("old")
	old.DeletedAt, old.RetainUntil = time.Date(1965, 1, 2, 3, 4, 5, 6000, time.UTC), time.Time{}
	put(t, s, old)
	put(t, s, quarantine.Disk{ID: "never"})
	ns, us := time.Nanosecond, time.Microsecond
	for _, c := range []struct {
		f    quarantine.DiskFilter
		want []string
	}{
		{quarantine.DiskFilter{DeletedFrom: t0}, []string{"d"}},
		{quarantine.DiskFilter{DeletedFrom: t0.Add(ns)}, nil},
		{quarantine.DiskFilter{DeletedFrom: t0.Add(-ns)}, []string{"d"}},
		{quarantine.DiskFilter{DeletedFrom: t0, DeletedTo: t0}, nil},
		{quarantine.DiskFilter{DeletedFrom: t0, DeletedTo: t0.Add(ns)}, []string{"d"}},
		{quarantine.DiskFilter{DeletedFrom: old.DeletedAt, DeletedTo: t0}, []string{"old"}},
		{quarantine.DiskFilter{DeletedFrom: old.DeletedAt.Add(ns), DeletedTo: t0}, nil},
		{quarantine.DiskFilter{DeletedFrom: old.DeletedAt, DeletedTo: old.DeletedAt.Add(ns)}, []string{"old"}},
		{quarantine.DiskFilter{DeletedTo: old.DeletedAt}, []string{"never"}},
		{quarantine.DiskFilter{DeletedFrom: time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), DeletedTo: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"old", "d"}},
		{quarantine.DiskFilter{RetainBefore: t0}, []string{"d"}},
		{quarantine.DiskFilter{RetainBefore: t0.Add(-ns)}, nil},
		{quarantine.DiskFilter{ExpiringBefore: t0}, []string{"d"}},
		{quarantine.DiskFilter{ExpiringBefore: t0.Add(-us)}, nil},
		{quarantine.DiskFilter{ExpiringBefore: t0.In(time.FixedZone("east", 3600))}, []string{"d"}},
	} {
		finds(t, s, c.f, c.want...)
	}
}

// What has no meaning is refused.
func findInvalid(t *testing.T, s Store) {
	for _, f := range []quarantine.DiskFilter{{Sort: "id; DROP TABLE disks"}, {Sort: "DELETED_AT"}, {Limit: -1}, {Offset: -1}} {
		_, err := s.FindDisks(background(), f)
		is(t, fmt.Sprintf("%+v", f), err, quarantine.ErrInvalid)
	}
}

// Pages of disks that are all equal in the order show each disk once, up and
// down, also of several states.
func findPagesOfTies(t *testing.T, s Store) {
	var all []string
	for i := range 23 {
		d := newDisk(fmt.Sprintf("d%02d", i))
		d.State = quarantine.States()[i%3]
		put(t, s, d)
		all = append(all, d.ID)
	}
	for _, sort := range []string{"", "quarantined_at", "retain_until", "size_bytes", "resource_name", "project", "user"} {
		for _, desc := range []bool{false, true} {
			for _, states := range [][]quarantine.State{nil, quarantine.States()[:3], {quarantine.Expiring, quarantine.Pending, quarantine.Quarantined, quarantine.Pending}} {
				var seen []string
				for len(seen) < len(all) {
					page := find(t, s, quarantine.DiskFilter{Sort: sort, Desc: desc, States: states, Limit: 5, Offset: len(seen)})
					if len(page) == 0 {
						break
					}
					seen = append(seen, ids(page)...)
				}
				if desc {
					slices.Reverse(seen)
				}
				if !slices.Equal(seen, all) {
					t.Errorf("sorted by %q, desc %v, states %v: %v", sort, desc, states, seen)
				}
			}
		}
	}
}

// A long list comes in pages, however deep: no page is longer than asked, none
// overlaps another, and together they are the list.
func findTenThousand(t *testing.T, s Store) {
	const n, writers, page = 10_000, 64, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				d := newDisk(fmt.Sprintf("d%05d", i))
				d.DeletedAt = t0.Add(time.Duration(i/7) * time.Second)
				d.State = quarantine.States()[i%2+1]
				if _, err := s.PutDisk(background(), d); err != nil {
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, states := range [][]quarantine.State{nil, {quarantine.Quarantined, quarantine.Expiring}} {
		next := 0
		for offset := 0; ; offset += page {
			ds := find(t, s, quarantine.DiskFilter{States: states, Limit: page, Offset: offset})
			if len(ds) > page {
				t.Fatalf("a page of %d", len(ds))
			}
			if len(ds) == 0 {
				break
			}
			for _, d := range ds {
				if want := fmt.Sprintf("d%05d", next); d.ID != want {
					t.Fatalf("disk %d of the list is %s, want %s", next, d.ID, want)
				}
				next++
			}
		}
		if count, err := s.CountDisks(background(), quarantine.DiskFilter{States: states, Limit: page}, 0); err != nil || next != n || count != n {
			t.Errorf("%d disks in pages, %d counted, %v", next, count, err)
		}
	}
}

// forgetAll empties the store of disks.
func forgetAll(t *rapid.T, s Store) {
	disks, err := s.FindDisks(background(), quarantine.DiskFilter{})
	if err != nil {
		t.Fatalf("find all: %v", err)
	}
	var ids []string
	for _, d := range disks {
		ids = append(ids, d.ID)
	}
	if err := s.ForgetDisks(background(), ids); err != nil {
		t.Fatalf("forget: %v", err)
	}
}
