package catalogtest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// unasked checks which deletions of the cloud "prod" the page has, in order.
func unasked(t tb, s Store, since time.Time, limit int, want ...string) {
	t.Helper()
	got, err := s.Unasked(background(), "prod", since, limit)
	if err != nil {
		t.Fatalf("unasked since %s: %v", since, err)
	}
	if out := deletionIDs(got); fmt.Sprint(out) != fmt.Sprint(want) {
		t.Errorf("since %s, at most %d: %v are unasked, want %v", since, limit, out, want)
	}
}

// acted checks which deletions of the cloud "prod" took place within the time.
func acted(t tb, s Store, from, to time.Time, want ...string) {
	t.Helper()
	got, err := s.FindDeletions(background(), "prod", from, to)
	if err != nil {
		t.Fatalf("deletions from %s to %s: %v", from, to, err)
	}
	if out := deletionIDs(got); fmt.Sprint(out) != fmt.Sprint(want) {
		t.Errorf("from %s to %s: %v, want %v", from, to, out, want)
	}
}

func deletionIDs(ds []quarantine.Deletion) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

// Unasked are those that were received at the time or later, the oldest first,
// then by id; of one cloud, a page of them. They come whole.
func unaskedPages(t *testing.T, s Store) {
	us := time.Microsecond
	for id, at := range map[string]time.Duration{"c": 0, "a": us, "b": us, "d": 5 * us, "e": time.Hour} {
		d := fullDeletion(id)
		d.ReceivedAt = t0.Add(at)
		merge(t, s, d)
	}
	abroad := fullDeletion("abroad")
	abroad.Cloud = "other"
	never := fullDeletion("never")
	never.ReceivedAt = time.Time{}
	merge(t, s, abroad)
	merge(t, s, never)
	unasked(t, s, time.Time{}, 0, "never", "c", "a", "b", "d", "e")
	unasked(t, s, t0, 0, "c", "a", "b", "d", "e")
	unasked(t, s, t0, 100, "c", "a", "b", "d", "e")
	unasked(t, s, t0, 2, "c", "a")
	unasked(t, s, t0.Add(1), 0, "a", "b", "d", "e") // between what can be kept
	unasked(t, s, t0.Add(us), 0, "a", "b", "d", "e")
	unasked(t, s, t0.Add(us+1), 0, "d", "e")
	unasked(t, s, t0.Add(time.Hour), 0, "e")
	unasked(t, s, t0.Add(time.Hour+us), 0)
	_, err := s.Unasked(background(), "prod", t0, -1)
	is(t, "a negative page", err, quarantine.ErrInvalid)
	if none, err := s.Unasked(background(), "nowhere", t0, 0); err != nil || len(none) != 0 {
		t.Errorf("of a cloud without deletions: %v, %v", none, err)
	}
	whole, err := s.Unasked(background(), "other", time.Time{}, 1)
	if err != nil || len(whole) != 1 {
		t.Fatalf("unasked: %v, %v", whole, err)
	}
	same(t, "the deletion", whole[0], abroad.Normalize())
}

// What was asked is not asked again, whatever more is reported of it, and the
// answer itself is such a report; only an id without its name is asked about
// again, once. Closing has nothing to do with it.
func asked(t *testing.T, s Store) {
	is(t, "ask of nothing", s.Asked(background(), fullDeletion("del")), quarantine.ErrNotFound)
	d := fullDeletion("del")
	merge(t, s, d)
	merge(t, s, fullDeletion("other"))
	if err := s.CloseDeletion(background(), "del"); err != nil {
		t.Fatalf("close: %v", err)
	}
	unasked(t, s, t0, 0, "del", "other")
	for range 2 {
		if err := s.Asked(background(), fullDeletion("del")); err != nil {
			t.Errorf("asked: %v", err)
		}
		unasked(t, s, t0, 0, "other")
	}
	d.Tags, d.Disks = []string{"new"}, []quarantine.DiskRef{{Name: "new", Required: true}}
	if _, changed := merge(t, s, d); !changed {
		t.Errorf("the report was no news")
	}
	unasked(t, s, t0, 0, "other")
	got, err := s.Deletion(background(), "del")
	if err != nil {
		t.Fatalf("deletion: %v", err)
	}
	same(t, "the deletion", got, quarantine.Merge(fullDeletion("del"), d).Normalize())
	open, err := s.OpenDeletions(background(), t0.Add(time.Hour), 0, 0)
	if err != nil || fmt.Sprint(deletionIDs(open)) != "[del other]" {
		t.Errorf("open: %v, %v", deletionIDs(open), err)
	}
}

// A report that brings an id whose name it does not tell has the deletion asked
// about again, also when it comes while the cloud is being asked; one that tells
// the name, or repeats the id, does not.
func askedAgain(t *testing.T, s Store) {
	for i, set := range []func(*quarantine.Deletion, quarantine.Principal){
		func(d *quarantine.Deletion, p quarantine.Principal) { d.Project = p },
		func(d *quarantine.Deletion, p quarantine.Principal) { d.User = p },
		func(d *quarantine.Deletion, p quarantine.Principal) { d.Deleter = p },
		func(d *quarantine.Deletion, p quarantine.Principal) { d.Image = p },
	} {
		for _, named := range []bool{false, true} {
			d := fullDeletion(fmt.Sprint("del", i, named))
			set(&d, quarantine.Principal{})
			merge(t, s, d)
			if err := s.Asked(background(), d); err != nil {
				t.Fatalf("asked: %v", err)
			}
			before := d
			p := quarantine.Principal{ID: "who"}
			if named {
				p.Name = "its name"
			}
			set(&d, p)
			merge(t, s, d)
			if named {
				unasked(t, s, t0, 0)
				continue
			}
			unasked(t, s, t0, 0, d.ID)
			if err := s.Asked(background(), before); err != nil {
				t.Fatalf("asked: %v", err)
			}
			unasked(t, s, t0, 0, d.ID)
			if err := s.Asked(background(), d); err != nil {
				t.Fatalf("asked: %v", err)
			}
			d.Tags = []string{"more"}
			merge(t, s, d)
			unasked(t, s, t0, 0)
		}
	}
}

// An act took place when it ended, else when it began, else when it was
// reported; the interval has its beginning and not its end. A later report
// that tells it better moves it.
func findDeletions(t *testing.T, s Store) {
	hour, us := time.Hour, time.Microsecond
	del := func(id string, ended, started, received time.Time) {
		t.Helper()
		d := fullDeletion(id)
		d.EndedAt, d.StartedAt, d.ReceivedAt = ended, started, received
		merge(t, s, d)
	}
	zero, far := time.Time{}, t0.AddDate(1, 0, 0)
	del("ended", t0, t0.Add(-2*hour), far)
	del("began", zero, t0, far)
	del("heard of", zero, zero, t0)
	del("after", t0.Add(hour), t0, t0)
	del("before", t0.Add(-us), t0.Add(-hour), t0)
	del("never", zero, zero, zero)
	abroad := fullDeletion("abroad")
	abroad.Cloud, abroad.EndedAt = "other", t0
	merge(t, s, abroad)

	at := []string{"began", "ended", "heard of"}
	acted(t, s, t0, t0.Add(us), at...)
	acted(t, s, t0, t0.Add(hour), at...)
	acted(t, s, t0, t0.Add(hour+us), "after", "began", "ended", "heard of")
	acted(t, s, t0, t0.Add(hour+1), "after", "began", "ended", "heard of")
	acted(t, s, t0.Add(-us), t0, "before")
	acted(t, s, t0.Add(-us), t0.Add(1), "before", "began", "ended", "heard of")
	acted(t, s, t0.Add(-1), t0.Add(1), at...)
	acted(t, s, t0.Add(1), t0.Add(hour))
	acted(t, s, t0, t0)
	acted(t, s, t0.Add(hour), t0)
	acted(t, s, zero, far, "after", "before", "began", "ended", "heard of", "never")
	acted(t, s, zero, zero)

	later := fullDeletion("began")
	later.EndedAt, later.StartedAt, later.ReceivedAt = t0.Add(3*hour), zero, zero
	merge(t, s, later)
	acted(t, s, t0, t0.Add(us), "ended", "heard of")
	acted(t, s, t0.Add(3*hour), t0.Add(4*hour), "began")
	got, err := s.FindDeletions(background(), "other", t0, t0.Add(us))
	if err != nil || len(got) != 1 {
		t.Fatalf("deletions of the other cloud: %v, %v", got, err)
	}
	same(t, "the deletion", got[0], abroad.Normalize())
}

// Strange names of clouds and ids mean themselves.
func hostileInquiries(t *testing.T, s Store) {
	for _, name := range hostileNames() {
		d := fullDeletion("del" + name)
		d.Cloud, d.EndedAt = name, t0
		merge(t, s, d)
	}
	for _, name := range hostileNames() {
		open, err := s.Unasked(background(), name, time.Time{}, 0)
		if err != nil || len(open) != 1 {
			t.Fatalf("unasked of %q: %d, %v", name, len(open), err)
		}
		if found, err := s.FindDeletions(background(), name, t0, t0.Add(time.Second)); err != nil || len(found) != 1 || found[0].ID != open[0].ID {
			t.Errorf("deletions of %q: %d, %v", name, len(found), err)
		}
		unkept := open[0]
		unkept.ID = "del" + name
		for _, d := range []quarantine.Deletion{open[0], unkept} {
			if err := s.Asked(background(), d); err != nil {
				t.Errorf("asked of %q: %v", d.ID, err)
			}
		}
		if open, err := s.Unasked(background(), name, time.Time{}, 0); err != nil || len(open) != 0 {
			t.Errorf("unasked of %q, asked: %d, %v", name, len(open), err)
		}
	}
}

// After any reports the deletion is found at the time that their merge tells,
// in the cloud that it tells, until it is marked, and again once a nameless id came.
func inquiriesModel(t *testing.T, s Store) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id, mine := fmt.Sprint("del", n), fmt.Sprint("cloud", n)
		var want quarantine.Deletion
		marked := false
		for i := range rapid.IntRange(1, 4).Draw(t, "reports") {
			r := aReport(t, id)
			r.Cloud = mine + word(t, "cloud", "-a", "-b")
			if want = r.Normalize(); i > 0 {
				before, err := s.Deletion(background(), id)
				if err != nil {
					t.Fatalf("deletion: %v", err)
				}
				want = quarantine.Merge(before, r).Normalize()
				for _, who := range []func(quarantine.Deletion) quarantine.Principal{
					func(d quarantine.Deletion) quarantine.Principal { return d.Project },
					func(d quarantine.Deletion) quarantine.Principal { return d.User },
					func(d quarantine.Deletion) quarantine.Principal { return d.Deleter },
					func(d quarantine.Deletion) quarantine.Principal { return d.Image },
				} {
					marked = marked && (who(want).ID == who(before).ID || who(want).Name != "")
				}
			}
			merge(t, s, r)
			if rapid.Bool().Draw(t, "ask") {
				marked = true
				if err := s.Asked(background(), want); err != nil {
					t.Fatalf("asked: %v", err)
				}
			}
			at := want.ReceivedAt
			if !want.StartedAt.IsZero() {
				at = want.StartedAt
			}
			if !want.EndedAt.IsZero() {
				at = want.EndedAt
			}
			for _, cloud := range []string{mine + "-a", mine + "-b"} {
				from, to, since := moment(t, "from"), moment(t, "to"), moment(t, "since")
				found, ferr := s.FindDeletions(background(), cloud, from, to)
				open, uerr := s.Unasked(background(), cloud, since, 0)
				if ferr != nil || uerr != nil {
					t.Fatalf("find: %v, %v", ferr, uerr)
				}
				here := want.Cloud == cloud
				if (len(found) == 1) != (here && !at.Before(from) && at.Before(to)) {
					t.Fatalf("%+v: of %s from %s to %s: %d", want, cloud, from, to, len(found))
				}
				if (len(open) == 1) != (here && !marked && !want.ReceivedAt.Before(since)) {
					t.Fatalf("%+v, marked %v: of %s since %s: %d are unasked", want, marked, cloud, since, len(open))
				}
			}
		}
	})
}
