package quarantine_test

import (
	"errors"
	"testing"

	"quarantine/internal/quarantine"
)

// What two people agreed upon is below no least time that the rule gets later.
func TestShortenedBelowALaterLeastTime(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
	if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
		t.Fatal(err)
	}
	w.policy.use(quarantine.Decision{Retain: retain, Min: 10 * day, Rule: "default"})
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.KeyPair = "laptop"
	w.record(del)
	if d := w.disk(key); d.RetainUntil.Before(t0.Add(10 * day)) {
		t.Errorf("kept until %s, and its rule says ten days at least", d.RetainUntil)
	}
}

// released with the first.
func TestPolicysHoldInASecondLife(t *testing.T) {
	w := newWorld(t)
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "watched", Hold: &quarantine.PolicyHold{CaseID: "case-7", Reason: "watched"}})
	key := w.quarantined()
	if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "case-7", "looked at"); err != nil {
		t.Fatal(err)
	}
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.KeyPair = "laptop"
	w.record(del)
	if d := w.disk(key); d.Held() {
		t.Fatalf("the hold is back in the same life: %+v", d.Holds)
	}
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "needed"); err != nil {
		t.Fatal(err)
	}
	w.collect()
	w.pass(day)
	w.remove(key)
	w.adopt(key)
	if d := w.is(key, quarantine.Quarantined); !d.Held() {
		t.Errorf("no hold in the second life: %+v", d.Holds)
	}
}

// unseen.
func TestStandingValueWithSpaces(t *testing.T) {
	w := newWorld(t)
	for _, value := range []string{" alice", "alice\n", "ali\x00ce", "alice\u00a0", "\u200balice"} {
		_, err := w.standing.Place(w.ctx, "carol", quarantine.StandingHold{CaseID: "c", Reason: "r", Kind: quarantine.StandingUser, Value: value})
		if !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if _, err := w.standing.Place(w.ctx, "carol", quarantine.StandingHold{CaseID: "c", Reason: "r", Kind: quarantine.StandingVM, Value: "web 1 (old) – größe"}); err != nil {
		t.Error(err)
	}
}
