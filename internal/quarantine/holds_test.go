package quarantine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A held disk never expires and is never purged, however far time goes; when
// its last hold is released it goes the usual way.
func TestHoldStopsExpiry(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "case-1")
	w.hold(key, "case-2")
	w.hold(key, "case-2") // again: nothing changes
	if n := len(w.disk(key).Holds); n != 2 {
		t.Fatalf("%d holds", n)
	}
	for range 20 {
		w.pass(10 * day)
		w.reconcile()
		w.collect()
		w.is(key, quarantine.Quarantined)
	}
	release := func(caseID string) error {
		_, err := w.holds.Release(w.ctx, "carol", key.DiskID(), caseID, "closed")
		return err
	}
	if err := release("case-1"); err != nil {
		t.Fatal(err)
	}
	w.collect()
	w.is(key, quarantine.Quarantined)
	if err := release("case-2"); err != nil {
		t.Fatal(err)
	}
	w.nothingRemoved()
	w.intact(key)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.pass(grace)
	w.collect()
	w.is(key, quarantine.Purged)
}

// A hold, and an extension, take an expiring disk back.
func TestHoldAndExtendTakeBack(t *testing.T) {
	for name, act := range map[string]func(*world, quarantine.Key) error{
		"hold": func(w *world, key quarantine.Key) error {
			_, err := w.holds.Hold(w.ctx, "carol", key.DiskID(), "case-1", "a reason")
			return err
		},
		"extend": func(w *world, key quarantine.Key) error {
			_, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), w.now().Add(30*day), "a reason")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			w.pass(grace) // the next pass would purge it
			if err := act(w, key); err != nil {
				t.Fatal(err)
			}
			d := w.is(key, quarantine.Quarantined)
			if !d.ExpiringAt.IsZero() {
				t.Errorf("expiring since %s", d.ExpiringAt)
			}
			w.collect()
			w.pass(2 * day)
			w.collect()
			w.is(key, quarantine.Quarantined)
			w.nothingRemoved()
			if rec, err := w.recordOn(key); err != nil || said(t, rec) != said(t, w.disk(key)) {
				t.Errorf("the record on the image is %s, %v", said(t, rec), err)
			}
		})
	}
}

// A hold of a case is released once.
func TestReleaseTwice(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "case-1")
	for i, want := range []error{nil, quarantine.ErrNotFound} {
		if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "case-1", "closed"); !errors.Is(err, want) {
			t.Errorf("release %d: %v", i+1, err)
		}
	}
	if !w.custody.has(key, "release refused") {
		t.Errorf("custody: %q", w.custody.of(key))
	}
}

// Retention grows only, and not into the past.
func TestExtend(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	for _, c := range []struct {
		until time.Time
		want  error
	}{
		{t0.Add(-time.Hour), quarantine.ErrInvalid},
		{t0, quarantine.ErrInvalid},
		{t0.Add(retain - time.Second), quarantine.ErrRefused},
		{t0.Add(retain), nil}, // no change
	} {
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), c.until, "a reason"); !errors.Is(err, c.want) {
			t.Errorf("until %s: %v, want %v", c.until, err, c.want)
		}
		w.keptUntil(key, t0.Add(retain))
	}
	if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(30*day), "a reason"); err != nil {
		t.Fatal(err)
	}
	w.keptUntil(key, t0.Add(30*day))
}

// Who, which case and why are not left out, and a disk must exist.
func TestHoldBadInput(t *testing.T) {
	w := newWorld(t)
	id := w.quarantined().DiskID()
	for name, c := range map[string]struct {
		actor, id, caseID, reason string
		want                      error
	}{
		"nobody":    {"", id, "case", "why", quarantine.ErrInvalid},
		"no case":   {"carol", id, " ", "why", quarantine.ErrInvalid},
		"no reason": {"carol", id, "case", "", quarantine.ErrInvalid},
		"no disk":   {"carol", "beef", "case", "why", quarantine.ErrNotFound},
	} {
		if _, err := w.holds.Hold(w.ctx, c.actor, c.id, c.caseID, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := w.disks()[0]; d.Held() {
		t.Errorf("held: %+v", d.Holds)
	}
}

// A hold takes back a purge that was cut short, as long as the image is there.
func TestHoldTakesAPurgeBack(t *testing.T) {
	for _, verb := range []string{"RestoreFromTrash", "Strip", "MoveToTrash", "Remove"} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			w.pass(grace)
			// Ceph does not answer in the middle: the row stays purging.
			w.ceph.FailNext(verb, 1, fmt.Errorf("timed out: %w", quarantine.ErrUnavailable))
			w.collect()
			w.is(key, quarantine.Purging)
			if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "case", "why"); !errors.Is(err, quarantine.ErrRefused) {
				t.Errorf("release: %v", err)
			}
			w.hold(key, "case")
			w.is(key, quarantine.Quarantined)
			w.intact(key)
			w.pass(2 * grace)
			w.collect()
			w.nothingRemoved()
		})
	}
}

// What is gone is not held any more: that is said, not pretended.
func TestHoldRefusedOncePurged(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	hold := func() {
		t.Helper()
		if _, err := w.holds.Hold(w.ctx, "carol", key.DiskID(), "case", "why"); !errors.Is(err, quarantine.ErrRefused) {
			t.Errorf("%v", err)
		}
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), w.now().Add(day), "why"); !errors.Is(err, quarantine.ErrRefused) {
			t.Errorf("%v", err)
		}
	}
	// Removed, and the answer is lost: the row still says purging.
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "Remove" {
			return quarantine.ErrUnavailable
		}
		return nil
	})
	w.collect()
	w.ceph.After(nil)
	w.is(key, quarantine.Purging)
	hold()
	w.collect()
	w.is(key, quarantine.Purged)
	w.removedOnce(key)
	hold()
	if !w.custody.has(key, "hold refused") {
		t.Errorf("custody: %q", w.custody.of(key))
	}
	// The log says that the purge, which was cut short, was done after all.
	if !w.custody.has(key, "purge done") {
		t.Errorf("custody: %q", w.custody.of(key))
	}
}

// A hold outlives a stay: a held disk that somebody took out by hand and
// deleted again is still held.
func TestHoldOutlivesATheft(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "case-1")
	if err := w.ceph.CloudRestore(key, "mine"); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	d := w.is(key, quarantine.Restored)
	if d.OriginalName != diskName || d.RestoredTo != "mine" {
		t.Errorf("original name %q, restored to %q", d.OriginalName, d.RestoredTo)
	}
	w.collect()
	w.remove(key)
	w.reconcile()
	if d := w.is(key, quarantine.Quarantined); !d.Held() {
		t.Error("the hold is forgotten")
	}
	w.pass(60 * day)
	w.collect()
	w.is(key, quarantine.Quarantined)
}
