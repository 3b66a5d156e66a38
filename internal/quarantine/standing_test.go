package quarantine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// stand places a standing hold by carol.
func (w *world) stand(kind quarantine.StandingKind, value string) quarantine.StandingHold {
	w.t.Helper()
	s, err := w.cases.PlaceStanding(w.ctx, "carol", quarantine.StandingHold{CaseID: "case-9", Reason: "watched", Kind: kind, Value: value})
	if err != nil {
		w.t.Fatalf("stand: %v", err)
	}
	return s
}

// heldBy checks which standing hold holds the disk; "": none.
func (w *world) heldBy(key quarantine.Key, id string) {
	w.t.Helper()
	d := w.disk(key)
	switch {
	case id == "" && !d.Held():
	case id != "" && len(d.OpenHolds()) == 1 && d.OpenHolds()[0].Standing == id && d.OpenHolds()[0].CaseID == "case-9" && d.OpenHolds()[0].By == "carol":
	default:
		w.t.Fatalf("%s: held by %+v, want the standing hold %q", d.OriginalName, d.Holds, id)
	}
}

// All that a standing hold selects is held from its adoption on, by each kind of
// selector; what died before, and what it does not select, is not.
func TestStandingHolds(t *testing.T) {
	for _, c := range []struct {
		kind   quarantine.StandingKind
		yes    string
		no     string
		mature string // another way to write it
	}{
		{quarantine.StandingUser, "ann", "bob", "u1"},
		{quarantine.StandingUser, "mallory", "bob", "u9"},
		{quarantine.StandingDeleter, "mallory", "ann", "u9"},
		{quarantine.StandingProject, "physics", "chemistry", "p1"},
		{quarantine.StandingVM, "web", "web2", server},
		{quarantine.StandingAddress, "192.0.2.7", "192.0.2.8", "::ffff:192.0.2.7"},
		{quarantine.StandingCloud, "os", "other", "os"},
	} {
		for _, value := range []string{c.yes, c.mature, c.no} {
			t.Run(string(c.kind)+" "+value, func(t *testing.T) {
				w := newWorld(t)
				before := w.stray("earlier")
				w.pass(quarantine.ClockSkew + time.Second)
				s := w.stand(c.kind, value)
				key := w.create(vms, diskName)
				del := w.deleteOf(quarantine.KindDelete, "req-1")
				del.Deleter = quarantine.Principal{ID: "u9", Name: "mallory"}
				w.record(del)
				w.remove(key)
				// Before it is quarantined: the record that is sealed has it.
				w.ceph.FailNext("Seal", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
				if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, quarantine.ErrUnavailable) {
					t.Fatal(err)
				}
				want := s.ID
				if value == c.no {
					want = ""
				}
				w.heldBy(key, want)
				w.adopt(key)
				w.heldBy(key, want)
				w.heldBy(before, "")
				w.pass(2 * retain)
				w.collect()
				if state := w.disk(key).State; (state == quarantine.Quarantined) != (want != "") {
					t.Errorf("it is %s", state)
				}
				if w.custody.has(key, "hold done") != (want != "") {
					t.Errorf("custody: %q", w.custody.of(key))
				}
			})
		}
	}
}

// A disk whose identity comes late is held then, also one that expires already.
func TestStandingHoldsLate(t *testing.T) {
	for _, expiring := range []bool{false, true} {
		w := newWorld(t)
		s := w.stand(quarantine.StandingUser, "ann")
		del := w.deleteOf(quarantine.KindDelete, "req-1")
		key := w.stray(diskName)
		w.heldBy(key, "")
		if expiring {
			w.pass(unexplainedRetain)
			w.collect()
			w.is(key, quarantine.Expiring)
		}
		w.record(del)
		w.heldBy(key, s.ID)
		w.is(key, quarantine.Quarantined)
	}
}

// What was released by a person is not held again by the same standing hold; what
// dies after its release, or its end, is not held, and what it has held stays so.
func TestStandingHoldsEnd(t *testing.T) {
	w := newWorld(t)
	s := w.stand(quarantine.StandingCloud, "os")
	if again := w.stand(quarantine.StandingCloud, "os"); again.ID != s.ID {
		t.Errorf("placed twice: %+v", again)
	}
	one, two := w.stray("one"), w.stray("two")
	if _, err := w.holds.Release(w.ctx, "dave", one.DiskID(), "case-9", "not this one"); err != nil {
		t.Fatal(err)
	}
	if err := w.standing.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.heldBy(one, "")
	if _, err := w.standing.Release(w.ctx, "dave", s.ID, " "); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := w.standing.Release(w.ctx, "dave", s.ID, "over"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.standing.Release(w.ctx, "dave", s.ID, "over"); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	w.heldBy(w.stray("three"), "")
	w.heldBy(two, s.ID)
	for name, x := range map[string]quarantine.StandingHold{
		"no kind":    {CaseID: "c", Reason: "r", Kind: "x", Value: "v"},
		"no value":   {CaseID: "c", Reason: "r", Kind: quarantine.StandingUser},
		"no case":    {Reason: "r", Kind: quarantine.StandingUser, Value: "v"},
		"no reason":  {CaseID: "c", Kind: quarantine.StandingUser, Value: "v"},
		"no address": {CaseID: "c", Reason: "r", Kind: quarantine.StandingAddress, Value: "web"},
		"over":       {CaseID: "c", Reason: "r", Kind: quarantine.StandingUser, Value: "v", Until: t0},
	} {
		if _, err := w.cases.PlaceStanding(w.ctx, "carol", x); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// While standing holds cannot be read disks are captured all the same, and nothing
// of them expires or is purged early until somebody could look.
func TestStandingHoldsUnreadable(t *testing.T) {
	w := newWorld(t)
	s := w.stand(quarantine.StandingUser, "ann")
	w.pass(time.Hour)
	w.store.standingErr = fmt.Errorf("damaged: %w", quarantine.ErrUnavailable)
	key, other := w.quarantined(), w.stray("other")
	w.intact(key)
	w.heldBy(key, "")
	_, err := w.collector.ExpireEarly(w.ctx, "dave", key.DiskID(), "enough")
	w.refused("an early purge", err)
	w.pass(2 * retain)
	w.collect()
	w.is(key, quarantine.Quarantined)
	w.is(other, quarantine.Quarantined)
	if err := w.standing.Sweep(w.ctx); err == nil {
		t.Error("nothing is wrong")
	}
	w.store.standingErr = nil
	if err := w.standing.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.heldBy(key, s.ID)
	w.reconcile()
	w.collect()
	w.is(key, quarantine.Quarantined)
	w.is(other, quarantine.Expiring)
}

// A disk that was adopted while the hold was being placed is held by the sweep.
func TestStandingHoldsMissed(t *testing.T) {
	w := newWorld(t)
	w.store.standingErr = nil
	key := w.quarantined() // reads that there are none
	// Another daemon's: this one does not know yet.
	s := quarantine.StandingHold{ID: "theirs", CaseID: "case-9", Reason: "watched", Kind: quarantine.StandingProject, Value: "physics", By: "carol", At: w.now()}
	if _, err := w.store.PutStandingHold(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.heldBy(key, "")
	w.pass(3 * time.Second)
	if err := w.standing.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.heldBy(key, s.ID)
}

// With the catalog the standing holds and the cases are lost, and come back from the
// custody log before anything is adopted; what was released stays so.
func TestStandingHoldsRestored(t *testing.T) {
	w := newWorld(t)
	if _, err := w.cases.OpenCase(w.ctx, "carol", quarantine.Case{ID: "case-9", Title: "a theft", People: []string{"ann", "bob"}, Deadline: t0.Add(30 * day)}); err != nil {
		t.Fatal(err)
	}
	s, over := w.stand(quarantine.StandingUser, "ann"), w.stand(quarantine.StandingCloud, "os")
	held := w.quarantined()
	if _, err := w.standing.Release(w.ctx, "dave", over.ID, "over"); err != nil {
		t.Fatal(err)
	}
	c, err := w.cases.ShowCase(w.ctx, "case-9")
	if err != nil || c.Disks != 1 || len(c.Standing) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	w.store.lose()
	w.restart()
	for range 2 {
		if err := errors.Join(w.standing.Restore(w.ctx), w.cases.Restore(w.ctx)); err != nil {
			t.Fatal(err)
		}
	}
	w.reconcile()
	w.heldBy(w.stray("theirs"), "")
	if d := w.disk(held); !d.Held() {
		t.Error("the hold is lost")
	}
	all, err := w.standing.All(w.ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, x := range all {
		if x.ID == s.ID && (x.Value != "ann" || !x.Open(w.now())) || x.ID == over.ID && x.Open(w.now()) {
			t.Errorf("%+v", x)
		}
	}
	again, err := w.cases.ShowCase(w.ctx, "case-9")
	if err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
		t.Errorf("%+v, %v; want %+v", again, err, c)
	}
}
