package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A disk is read back whole: every field, its version, and whether its record
// on the image is old. What PutDisk returns is what is read.
func putRoundTrip(t *testing.T, s Store) {
	for _, d := range []quarantine.Disk{newDisk("small"), full("full"), {ID: "empty"}} {
		want := d
		for version := int64(1); version <= 3; version++ {
			saved := put(t, s, d)
			want.Version = version
			if d.ID == "full" { // it holds a nanosecond, which is cut
				want.QuarantinedAt = want.QuarantinedAt.Truncate(time.Microsecond)
			}
			sameDisk(t, "returned", saved, want)
			sameDisk(t, "read", get(t, s, d.ID), want)
			found := find(t, s, quarantine.DiskFilter{IDPrefix: d.ID})
			if len(found) != 1 {
				t.Fatalf("found %d disks", len(found))
			}
			sameDisk(t, "found", found[0], want)
			d = saved
			d.RecordStale = !d.RecordStale
			d.Intent += "."
			want.RecordStale, want.Intent = d.RecordStale, d.Intent
		}
	}
}

// Times are kept in UTC and whole microseconds, cut, not rounded; in the
// deletion and the holds as well. The caller's disk stays as it was.
func putTimes(t *testing.T, s Store) {
	east := time.FixedZone("east", 7200)
	odd := t0.Add(1999 * time.Nanosecond)
	want := t0.Add(1 * time.Microsecond)
	d := newDisk("d")
	del := fullDeletion("del")
	del.StartedAt, del.EndedAt, del.CreatedAt, del.ReceivedAt = odd.In(east), odd.In(east), odd.In(east), odd.In(east)
	d.Deletion = &del
	d.Holds = []quarantine.Hold{{CaseID: "c", PlacedAt: odd.In(east), Released: odd.In(east)}}
	d.DeletedAt, d.QuarantinedAt, d.ProtectedUntil, d.RetainUntil = odd.In(east), odd.In(east), odd.In(east), odd.In(east)
	d.ExpiringAt, d.PurgedAt, d.RestoredAt = odd.In(east), odd.In(east), odd.In(east)
	put(t, s, d)
	got := get(t, s, "d")
	for what, at := range map[string]time.Time{
		"deleted": got.DeletedAt, "quarantined": got.QuarantinedAt, "protected": got.ProtectedUntil, "retain": got.RetainUntil,
		"expiring": got.ExpiringAt, "purged": got.PurgedAt, "restored": got.RestoredAt,
		"placed": got.Holds[0].PlacedAt, "released": got.Holds[0].Released,
		"created": got.Deletion.CreatedAt, "started": got.Deletion.StartedAt, "ended": got.Deletion.EndedAt, "received": got.Deletion.ReceivedAt,
	} {
		if at != want {
			t.Errorf("%s is %v, want %v", what, at, want)
		}
	}
	if !d.DeletedAt.Equal(odd) || !d.Holds[0].PlacedAt.Equal(odd) || !del.StartedAt.Equal(odd) {
		t.Errorf("the caller's disk was changed: %+v", d)
	}
	never := quarantine.Disk{ID: "never"}
	put(t, s, never)
	if got := get(t, s, "never"); !got.DeletedAt.IsZero() || !got.RetainUntil.IsZero() || !got.ExpiringAt.IsZero() {
		t.Errorf("zero times became %+v", got)
	}
}

// What cannot be a row is refused.
func putInvalid(t *testing.T, s Store) {
	negative := newDisk("d")
	negative.Version = -1
	far := newDisk("d")
	far.RetainUntil = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, d := range map[string]quarantine.Disk{"no id": newDisk(""), "negative version": negative, "a year beyond four digits": far} {
		_, err := s.PutDisk(background(), d)
		is(t, what, err, quarantine.ErrInvalid)
	}
	finds(t, s, quarantine.DiskFilter{})
}

// Only who has read the newest version writes. The loser's change leaves no
// trace.
func putConflict(t *testing.T, s Store) {
	d := put(t, s, full("d"))
	d = put(t, s, d) // version 2
	for _, version := range []int64{0, 1, 3} {
		loser := full("d")
		loser.Version, loser.OriginalName = version, "loser"
		loser.Deletion.Addresses[0].IP = "203.0.113.1"
		_, err := s.PutDisk(background(), loser)
		is(t, fmt.Sprint("version ", version), err, quarantine.ErrConflict)
	}
	ghost := newDisk("ghost")
	ghost.Version = 1
	_, err := s.PutDisk(background(), ghost)
	is(t, "a row that is not there", err, quarantine.ErrConflict)
	sameDisk(t, "read", get(t, s, "d"), d)
	finds(t, s, quarantine.DiskFilter{Address: "203.0.113.1"})
	finds(t, s, quarantine.DiskFilter{}, "d")
}

// Of many that change the same version at once one wins, and the others know.
func putRace(t *testing.T, s Store) {
	d := put(t, s, newDisk("d"))
	var wins, conflicts atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			mine := d
			mine.Intent = fmt.Sprint(i)
			switch _, err := s.PutDisk(background(), mine); {
			case err == nil:
				wins.Add(1)
			case errors.Is(err, quarantine.ErrConflict):
				conflicts.Add(1)
			default:
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 || conflicts.Load() != 31 {
		t.Errorf("%d won, %d lost", wins.Load(), conflicts.Load())
	}
	if v := get(t, s, "d").Version; v != 2 {
		t.Errorf("version %d", v)
	}
}

// A disk is found by what it says now, and no longer by what it said before.
func putTerms(t *testing.T, s Store) {
	d := put(t, s, full("d"))
	finds(t, s, quarantine.DiskFilter{CaseID: "c1"}, "d")
	finds(t, s, quarantine.DiskFilter{CaseID: "c2"}) // released
	finds(t, s, quarantine.DiskFilter{CaseID: "c0"}) // asked for, not placed
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.7"}, "d")

	d.Holds[0].Released = t0
	del := *d.Deletion
	del.Addresses = []quarantine.Address{{IP: "192.0.2.8"}}
	del.Project, del.ResourceName = quarantine.Principal{ID: "p9"}, "db-1"
	d.Deletion = &del
	d = put(t, s, d)
	finds(t, s, quarantine.DiskFilter{CaseID: "c1"})
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.7"})
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.8"}, "d")
	finds(t, s, quarantine.DiskFilter{Project: "physics"})
	finds(t, s, quarantine.DiskFilter{Project: "p9"}, "d")
	finds(t, s, quarantine.DiskFilter{VM: "web-1"})
	finds(t, s, quarantine.DiskFilter{VM: "db-1"}, "d")

	d.Deletion = nil
	put(t, s, d)
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.8"})
	finds(t, s, quarantine.DiskFilter{Cloud: "prod"})
	finds(t, s, quarantine.DiskFilter{Unexplained: true}, "d")
}

func diskNotFound(t *testing.T, s Store) {
	put(t, s, newDisk("d"))
	_, err := s.Disk(background(), "D")
	is(t, "disk", err, quarantine.ErrNotFound)
	_, err = s.Disk(background(), "")
	is(t, "disk without an id", err, quarantine.ErrNotFound)
}

// DropLost takes away lost disks only, and all of what they were found by; the
// id is free again.
func dropLost(t *testing.T, s Store) {
	lost := full("lost")
	lost.State = quarantine.Lost
	put(t, s, lost)
	for _, state := range quarantine.States() {
		if state == quarantine.Lost {
			continue
		}
		d := newDisk("d-" + string(state))
		d.State = state
		put(t, s, d)
		is(t, "drop a disk that is "+string(state), s.DropLost(background(), d.ID), quarantine.ErrConflict)
		get(t, s, d.ID)
	}
	if err := s.DropLost(background(), "lost"); err != nil {
		t.Errorf("drop: %v", err)
	}
	_, err := s.Disk(background(), "lost")
	is(t, "the dropped disk", err, quarantine.ErrNotFound)
	is(t, "drop again", s.DropLost(background(), "lost"), quarantine.ErrNotFound)
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.7"})
	again := newDisk("lost")
	put(t, s, again)
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.7"})
}

// Disks that are forgotten are gone, with what they were looked up by; the
// others, deletions, marks, and what was seen of clouds and pools stay. One
// that is not there is no error.
func forgetDisks(t *testing.T, s Store) {
	put(t, s, full("a"))
	put(t, s, newDisk("b"))
	merge(t, s, fullDeletion("del"))
	see(t, s, sightingOf("vm", t0))
	seeImages(t, s, vmsPool, []quarantine.SeenImage{{ImageID: "a", Name: "a_disk", SeenAt: t0}})
	if err := errors.Join(s.Asked(background(), fullDeletion("del")), s.SetMark(background(), "m", []byte("v")), s.ForgetDisks(background(), []string{"a", "none"}), s.ForgetDisks(background(), nil)); err != nil {
		t.Fatalf("forget: %v", err)
	}
	finds(t, s, quarantine.DiskFilter{}, "b")
	finds(t, s, quarantine.DiskFilter{Address: "192.0.2.7"})
	if _, changed := merge(t, s, fullDeletion("del")); changed {
		t.Errorf("the deletion was forgotten")
	}
	if v, err := s.Mark(background(), "m"); err != nil || string(v) != "v" {
		t.Errorf("mark %q, %v", v, err)
	}
	sighting(t, s, "vm", sightingOf("vm", t0))
	vanishes(t, s, t0.Add(time.Hour), 0, "vm")
	remembers(t, s, vmsPool, quarantine.SeenImage{ImageID: "a", Name: "a_disk", SeenAt: t0})
	unasked(t, s, time.Time{}, 0)
	put(t, s, full("a")) // at version 0: it is new
}

// An ended context stops everything, with its own error and ErrUnavailable:
// nothing may be concluded from it. Nothing is written.
func endedContext(t *testing.T, s Store) {
	d := put(t, s, full("d"))
	merge(t, s, fullDeletion("del"))
	ended, cancel := context.WithCancel(background())
	cancel()
	change := d
	change.Intent = "changed"
	other := fullDeletion("del")
	other.Tags = []string{"new"}
	for what, act := range map[string]func() error{
		"Disk":           func() error { _, err := s.Disk(ended, "d"); return err },
		"FindDisks":      func() error { _, err := s.FindDisks(ended, quarantine.DiskFilter{}); return err },
		"CountDisks":     func() error { _, err := s.CountDisks(ended, quarantine.DiskFilter{}, 0); return err },
		"PutDisk":        func() error { _, err := s.PutDisk(ended, change); return err },
		"DropLost":       func() error { return s.DropLost(ended, "d") },
		"Totals":         func() error { _, err := s.Totals(ended); return err },
		"OldestPending":  func() error { _, err := s.OldestPending(ended); return err },
		"Deletion":       func() error { _, err := s.Deletion(ended, "del"); return err },
		"MergeDeletion":  func() error { _, _, err := s.MergeDeletion(ended, other); return err },
		"DeletionsOf":    func() error { _, err := s.DeletionsOf(ended, []string{"uuid"}); return err },
		"OpenDeletions":  func() error { _, err := s.OpenDeletions(ended, t0, 0, 0); return err },
		"CloseDeletion":  func() error { return s.CloseDeletion(ended, "del") },
		"Mark":           func() error { _, err := s.Mark(ended, "m"); return err },
		"SetMark":        func() error { return s.SetMark(ended, "m", nil) },
		"ForgetDisks":    func() error { return s.ForgetDisks(ended, []string{"d"}) },
		"PutDisk of new": func() error { _, err := s.PutDisk(ended, newDisk("new")); return err },
	} {
		err := act()
		is(t, what, err, context.Canceled)
		is(t, what, err, quarantine.ErrUnavailable)
	}
	sameDisk(t, "the disk", get(t, s, "d"), d)
	finds(t, s, quarantine.DiskFilter{}, "d")
	if m, changed := merge(t, s, fullDeletion("del")); changed || len(m.Tags) != 2 {
		t.Errorf("the deletion was changed: %+v", m)
	}
	open, err := s.OpenDeletions(background(), t0.Add(time.Hour), 0, 0)
	if err != nil || len(open) != 1 {
		t.Errorf("open deletions %v, %v", open, err)
	}
}

// Many goroutines write and read at once; every acknowledged change is there,
// and every version was used once.
func concurrency(t *testing.T, s Store) {
	const writers, each = 16, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			d := full(fmt.Sprintf("d%02d", w))
			for n := range each {
				d.Intent = fmt.Sprint(n)
				var err error
				if d, err = s.PutDisk(background(), d); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if got, err := s.Disk(background(), d.ID); err != nil || got.Version != int64(n+1) || got.Intent != d.Intent {
					t.Errorf("read after write: %+v, %v", got, err)
				}
				if _, err := s.FindDisks(background(), quarantine.DiskFilter{Address: "192.0.2.7", Limit: 5}); err != nil {
					t.Errorf("find: %v", err)
				}
				if err := s.SetMark(background(), fmt.Sprint("m", w), fmt.Append(nil, n)); err != nil {
					t.Errorf("mark: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := s.CountDisks(background(), quarantine.DiskFilter{Address: "192.0.2.7"}, 0); err != nil || n != writers {
		t.Errorf("%d disks, %v", n, err)
	}
}
