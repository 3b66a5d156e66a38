package catalogtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// aReport draws one of the many partial reports of one Deletion: few values a
// field, so that reports agree, differ and lack fields.
func aReport(t *rapid.T, id string) quarantine.Deletion {
	principal := func(label string) quarantine.Principal {
		return quarantine.Principal{ID: word(t, label+" id", "", "a", "b"), Name: word(t, label+" name", "", "x", "y"), Domain: word(t, label+" domain", "", "d", "e")}
	}
	words := rapid.SampledFrom([]string{"", "a", "b"})
	return quarantine.Deletion{
		ID: id, Cloud: "os", Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: "vm",
		ResourceName: word(t, "name", "", "a", "b"), ServerID: word(t, "server", "", "a", "b"), Host: word(t, "host", "", "a", "b"),
		Project: principal("project"), User: principal("user"), Deleter: principal("deleter"), Image: principal("image"),
		CreatedAt: moment(t, "created"), StartedAt: moment(t, "started"), EndedAt: moment(t, "ended"), ReceivedAt: moment(t, "received"),
		Metadata: rapid.MapOfN(words, words, 0, 2).Draw(t, "metadata"),
		Tags:     rapid.SliceOfN(words, 0, 3).Draw(t, "tags"),
		Addresses: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.Address {
			return quarantine.Address{IP: word(t, "ip", "", "192.0.2.1", "192.0.2.2"), MAC: word(t, "mac", "", "m"), Type: word(t, "type", "", "fixed", "floating")}
		}), 0, 2).Draw(t, "addresses"),
		KeyPair: word(t, "key pair", "", "a", "b"),
		Volumes: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.VolumeRef {
			return quarantine.VolumeRef{
				ID: word(t, "volume", "v", "w"), Device: word(t, "device", "", "/dev/vda", "/dev/vdb"),
				Boot: rapid.Bool().Draw(t, "boot"), DeleteOnTermination: rapid.Bool().Draw(t, "delete on termination"),
			}
		}), 0, 3).Draw(t, "volumes"),
		Disks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.DiskRef {
			return quarantine.DiskRef{
				Pool: word(t, "pool", "", "vms"), Name: word(t, "disk", "x", "y"), Role: word(t, "role", "", "root", "swap"),
				Prefix: rapid.Bool().Draw(t, "prefix"), Required: rapid.Bool().Draw(t, "required"),
			}
		}), 0, 3).Draw(t, "disks"),
	}
}

// The store's merge is quarantine.Merge: after any reports in any order it
// says what Merge says, and news is news when Merge finds it so.
func mergeIsMerge(t *testing.T, s Store) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id, turned := fmt.Sprint("del", n), fmt.Sprint("turned", n)
		var want quarantine.Deletion
		reports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.Deletion { return aReport(t, id) }), 1, 5).Draw(t, "reports")
		for i, r := range reports {
			before := want
			if want = r.Normalize(); i > 0 {
				want = quarantine.Merge(before, r).Normalize()
			}
			got, changed := merge(t, s, r)
			if !got.Equal(want) || changed != (i == 0 || !want.Equal(before)) {
				t.Fatalf("report %d: changed %v\ngot  %+v\nwant %+v", i, changed, got, want)
			}
			read, err := s.Deletion(background(), id)
			if err != nil || !read.Equal(want) {
				t.Fatalf("report %d: read %+v, %v\nwant %+v", i, read, err, want)
			}
		}
		for _, i := range rapid.Permutation(seq(len(reports))).Draw(t, "order") {
			r := reports[i]
			r.ID = turned
			merge(t, s, r)
		}
		other, err := s.Deletion(background(), turned)
		if err != nil {
			t.Fatalf("deletion: %v", err)
		}
		if other.ID = id; !other.Equal(want) {
			t.Fatalf("in another order\ngot  %+v\nwant %+v", other, want)
		}
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// The same report again is no news, even where JSON cannot hold it as it is,
// or its times are finer than what is kept.
func mergeRepeated(t *testing.T, s Store) {
	d := fullDeletion("del")
	d.ResourceName, d.Metadata = "bad \xff\xfe", map[string]string{"\xff": "\xfe"}
	d.StartedAt = t0.Add(1999).In(time.FixedZone("east", 3600))
	d.Tags = []string{"b", "a", "b"}
	first, changed := merge(t, s, d)
	if !changed || first.StartedAt != t0.Add(time.Microsecond) || len(first.Tags) != 2 {
		t.Errorf("changed %v: %+v", changed, first)
	}
	for range 2 {
		again, changed := merge(t, s, d)
		if changed || !again.Equal(first) {
			t.Errorf("the same again: changed %v\ngot  %+v\nwant %+v", changed, again, first)
		}
	}
	if len(d.Tags) != 3 {
		t.Errorf("the caller's deletion was changed")
	}
}

func mergeInvalid(t *testing.T, s Store) {
	whole := fullDeletion("del")
	for what, change := range map[string]func(*quarantine.Deletion){
		"id":       func(d *quarantine.Deletion) { d.ID = "" },
		"cloud":    func(d *quarantine.Deletion) { d.Cloud = "" },
		"resource": func(d *quarantine.Deletion) { d.ResourceID = "" },
		"a disk":   func(d *quarantine.Deletion) { d.Disks = []quarantine.DiskRef{{Role: "root"}} },
		"year":     func(d *quarantine.Deletion) { d.EndedAt = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		d := whole
		change(&d)
		_, _, err := s.MergeDeletion(background(), d)
		is(t, "without "+what, err, quarantine.ErrInvalid)
	}
	_, err := s.Deletion(background(), "del")
	is(t, "deletion", err, quarantine.ErrNotFound)
}

// Reports of one Deletion that come at once all leave their part.
func mergeConcurrent(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			d := fullDeletion("del")
			d.Tags = []string{fmt.Sprint("tag", i)}
			d.Disks = []quarantine.DiskRef{{Name: fmt.Sprint("disk", i), Required: true}}
			if _, changed, err := s.MergeDeletion(background(), d); err != nil || !changed {
				t.Errorf("merge: changed %v, %v", changed, err)
			}
		})
	}
	wg.Wait()
	d, err := s.Deletion(background(), "del")
	if err != nil || len(d.Tags) != 32 || len(d.Disks) != 32 {
		t.Errorf("%d tags, %d disks, %v", len(d.Tags), len(d.Disks), err)
	}
	if ds, err := s.DeletionsOf(background(), []string{"disk31"}); err != nil || len(ds) != 1 {
		t.Errorf("deletions of disk31: %d, %v", len(ds), err)
	}
}

func deletionNotFound(t *testing.T, s Store) {
	_, err := s.Deletion(background(), "del")
	is(t, "deletion", err, quarantine.ErrNotFound)
	is(t, "close", s.CloseDeletion(background(), "del"), quarantine.ErrNotFound)
}

// A Deletion explains an image if it names it, or names by prefix one of the
// beginnings of its name. It comes once, whole.
func deletionsOf(t *testing.T, s Store) {
	refs := map[string][]quarantine.DiskRef{
		"a exact":        {{Name: "u_disk"}},
		"b prefix":       {{Name: "u", Prefix: true}},
		"c both":         {{Name: "u_disk", Required: true}, {Name: "u", Prefix: true}, {Name: "u_disk", Prefix: true}},
		"d exact short":  {{Name: "u"}},
		"e other":        {{Name: "v_disk"}, {Name: "v", Prefix: true}},
		"f longer":       {{Name: "u_disk.eph0", Prefix: true}},
		"g of no disk":   nil,
		"h whole prefix": {{Name: "u_disk", Prefix: true}},
	}
	for id, disks := range refs {
		d := fullDeletion(id)
		d.Disks = disks
		merge(t, s, d)
	}
	of := func(keys ...string) []string {
		t.Helper()
		ds, err := s.DeletionsOf(background(), keys)
		if err != nil {
			t.Fatalf("deletions of %v: %v", keys, err)
		}
		var out []string
		for _, d := range ds {
			want := fullDeletion(d.ID)
			want.Disks = refs[d.ID]
			same(t, "deletion "+d.ID, d, want.Normalize())
			out = append(out, d.ID[:1])
		}
		return out
	}
	same(t, "of u_disk", of(quarantine.JoinKeys("u_disk")...), []string{"a", "b", "c", "h"})
	same(t, "of u_disk.eph0", of(quarantine.JoinKeys("u_disk.eph0")...), []string{"b", "c", "f", "h"})
	same(t, "of u", of("u"), []string{"b", "c", "d"})
	same(t, "of w", of("w"), []string(nil))
	same(t, "of nothing", of(), []string(nil))
}

// Open are those that require a disk, oldest first, received before the time.
func openDeletions(t *testing.T, s Store) {
	for i, since := range []time.Duration{3, 1, 2, 1} {
		d := fullDeletion(fmt.Sprint("del", i))
		d.ReceivedAt = t0.Add(since * time.Minute)
		merge(t, s, d)
	}
	harmless := fullDeletion("harmless")
	harmless.ReceivedAt = t0
	harmless.Disks = []quarantine.DiskRef{{Name: "x"}}
	merge(t, s, harmless)
	open := func(before time.Time, limit, offset int) []string {
		t.Helper()
		ds, err := s.OpenDeletions(background(), before, limit, offset)
		if err != nil {
			t.Fatalf("open deletions: %v", err)
		}
		var out []string
		for _, d := range ds {
			out = append(out, d.ID)
		}
		return out
	}
	later := t0.Add(time.Hour)
	same(t, "all", open(later, 0, 0), []string{"del1", "del3", "del2", "del0"})
	same(t, "two", open(later, 2, 0), []string{"del1", "del3"})
	same(t, "many", open(later, 100, 0), []string{"del1", "del3", "del2", "del0"})
	same(t, "the second page", open(later, 3, 3), []string{"del0"})
	same(t, "all but the first", open(later, 0, 1), []string{"del3", "del2", "del0"})
	same(t, "behind the end", open(later, 3, 4), []string(nil))
	same(t, "before, exclusive", open(t0.Add(2*time.Minute), 0, 0), []string{"del1", "del3"})
	same(t, "none", open(t0, 0, 0), []string(nil))
	for _, page := range [][2]int{{-1, 0}, {0, -1}} {
		_, err := s.OpenDeletions(background(), later, page[0], page[1])
		is(t, "a negative page", err, quarantine.ErrInvalid)
	}
}

// A closed Deletion stays closed, whatever else is reported of it, until a
// disk is required that was not before.
func closeDeletion(t *testing.T, s Store) {
	open := func() bool {
		t.Helper()
		ds, err := s.OpenDeletions(background(), t0.Add(time.Hour), 0, 0)
		if err != nil {
			t.Fatalf("open deletions: %v", err)
		}
		return len(ds) > 0
	}
	d := fullDeletion("del")
	d.Disks = []quarantine.DiskRef{{Name: "a", Required: true}, {Name: "b"}}
	for _, step := range []struct {
		what string
		act  func() error
		open bool
	}{
		{"new", func() error { return nil }, true},
		{"closed", func() error { return s.CloseDeletion(background(), "del") }, false},
		{"closed again", func() error { return s.CloseDeletion(background(), "del") }, false},
		{"reported again", func() error { return nil }, false},
		{"more is known", func() error { d.Tags = []string{"new"}; return nil }, false},
		{"its role is known", func() error { d.Disks[0].Role = "root"; return nil }, false},
		{"one more disk", func() error { d.Disks = append(d.Disks, quarantine.DiskRef{Name: "c"}); return nil }, false},
		{"one more required", func() error { d.Disks[1].Required = true; return nil }, true},
		{"closed for good", func() error { return s.CloseDeletion(background(), "del") }, false},
	} {
		if err := step.act(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		merge(t, s, d)
		if got := open(); got != step.open {
			t.Errorf("%s: open is %v", step.what, got)
		}
	}
}
