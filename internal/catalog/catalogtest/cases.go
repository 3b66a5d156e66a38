package catalogtest

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Cases are read back as they were written, in the order in which they were opened,
// and only who knows the present version changes one.
func cases(t *testing.T, s Store) {
	_, err := s.Case(background(), "C 'é'")
	is(t, "no case yet", err, quarantine.ErrNotFound)
	late, early := quarantine.Case{ID: "a", Title: "late", OpenedBy: "ann", OpenedAt: t0.Add(time.Hour)},
		quarantine.Case{ID: "C 'é'", Title: "t", People: []string{"ann", "bob"}, Deadline: t0.AddDate(1, 0, 0), OpenedBy: "ann", OpenedAt: t0}
	for _, c := range []quarantine.Case{late, early} {
		saved, err := s.PutCase(background(), c)
		if err != nil || saved.Version != 1 {
			t.Fatalf("put: %+v, %v", saved, err)
		}
		_, err = s.PutCase(background(), c)
		is(t, "put as new again", err, quarantine.ErrConflict)
	}
	got, err := s.Case(background(), early.ID)
	if err != nil || got.Version != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	same(t, "the case", got, early)
	got.ClosedAt, got.ClosedBy = t0.Add(time.Minute), "bob"
	if got, err = s.PutCase(background(), got); err != nil || got.Version != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	all, err := s.Cases(background())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all", all, []quarantine.Case{got, late})
	_, err = s.PutCase(background(), quarantine.Case{})
	is(t, "no id", err, quarantine.ErrInvalid)
}

// So are standing holds.
func standingHolds(t *testing.T, s Store) {
	if all, err := s.StandingHolds(background()); err != nil || len(all) != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	h := quarantine.StandingHold{ID: "s1", CaseID: "c", Reason: "r", Kind: quarantine.StandingUser, Value: "o'brien", By: "ann", At: t0, Until: t0.AddDate(0, 1, 0)}
	older := h
	older.ID, older.At = "s2", t0.Add(-time.Hour)
	for _, x := range []quarantine.StandingHold{h, older} {
		if saved, err := s.PutStandingHold(background(), x); err != nil || saved.Version != 1 {
			t.Fatalf("put: %+v, %v", saved, err)
		}
	}
	_, err := s.PutStandingHold(background(), h)
	is(t, "put as new again", err, quarantine.ErrConflict)
	h.Version, h.ReleasedAt, h.ReleasedBy = 1, t0.Add(time.Hour), "bob"
	if _, err := s.PutStandingHold(background(), h); err != nil {
		t.Fatal(err)
	}
	all, err := s.StandingHolds(background())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all", all, []quarantine.StandingHold{older, h})
	if all[1].Version != 2 {
		t.Errorf("version %d", all[1].Version)
	}
}

// Disks on which standing holds were not looked for are found.
func findUnchecked(t *testing.T, s Store) {
	put(t, s, newDisk("a"))
	d := newDisk("b")
	d.HoldsUnchecked = true
	d = put(t, s, d)
	finds(t, s, quarantine.DiskFilter{HoldsUnchecked: true}, "b")
	d.HoldsUnchecked = false
	put(t, s, d)
	finds(t, s, quarantine.DiskFilter{HoldsUnchecked: true})
}
