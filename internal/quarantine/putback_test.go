package quarantine_test

import (
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// putBack writes an old row over the present one: the catalog was put back from a
// backup, and nobody has rebuilt it.
func (w *world) putBack(was quarantine.Disk) {
	w.t.Helper()
	was.Version = w.disk(was.Key).Version
	if _, err := w.store.PutDisk(w.ctx, was); err != nil {
		w.t.Fatalf("put an old row back: %v", err)
	}
}

// A backup of the catalog that was made while a disk was being purged says so for
// ever. What the disk was promised since then stops the purge that goes on: it is
// protected and sealed again, and stays.
func TestOldRowSaysPurging(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.FailNext("Strip", 1, fmt.Errorf("a clone: %w", quarantine.ErrBusy))
	var backup quarantine.Disk
	w.proc.onPoint = func(point string) {
		if point == "ceph.Strip.before" {
			backup = w.disk(key)
		}
	}
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	w.proc.onPoint = nil
	if backup.State != quarantine.Purging {
		t.Fatalf("the backup says %s", backup.State)
	}
	w.is(key, quarantine.Expiring)
	w.hold(key, "case-9")
	w.putBack(backup)
	w.restart()
	for range 3 {
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
		w.pass(grace)
	}
	w.nothingRemoved()
	w.intact(key)
	w.rebuild()
	if d := w.is(key, quarantine.Quarantined); !d.Held() {
		t.Errorf("the hold is forgotten: %+v", d)
	}
}

// Whoever changes a disk whose row is older than its record, because the catalog was
// put back from a backup, does not thereby write the record over: what it promises
// more, and the custody log knows, is taken over first. What only the record says,
// which whoever has the cloud's key can write, is not.
func TestOldRowTakesOverWhatTheLogKnows(t *testing.T) {
	extend := func(w *world, key quarantine.Key) {
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(retain+day), "a day more"); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	for name, change := range map[string]func(w *world, key quarantine.Key){
		"extended": extend,
		"held and released": func(w *world, key quarantine.Key) {
			w.hold(key, "another")
			if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "another", "over"); err != nil {
				w.t.Fatalf("%v", err)
			}
		},
		"shortened": func(w *world, key quarantine.Key) {
			r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
			// Refused, or taken over: not done unseen.
			_, _ = w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
		},
		"reconciled": func(w *world, key quarantine.Key) {
			d := w.disk(key)
			d.RecordStale = true
			w.putBack(d)
			w.reconcile()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantined()
			backup := w.disk(key)
			w.hold(key, "case-9")
			if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(60*day), "needed"); err != nil {
				t.Fatal(err)
			}
			w.putBack(backup)
			change(w, key)
			d := w.disk(key)
			if !d.Held() || d.RetainUntil.Before(t0.Add(60*day)) {
				t.Errorf("held %v, until %s", d.Held(), d.RetainUntil)
			}
			if on, err := w.recordOn(key); err != nil || !on.Held() || on.RetainUntil.Before(t0.Add(60*day)) {
				t.Errorf("the record: held %v, until %s, %v", on.Held(), on.RetainUntil, err)
			}
			for range 70 {
				w.pass(day)
				w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			}
			w.nothingRemoved()
		})
	}
	t.Run("forged", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		forged := w.disk(key)
		forged.Holds = []quarantine.Hold{{CaseID: "mine", Reason: "r", By: "mallory", PlacedAt: t0}}
		forged.RetainUntil = t0.Add(900 * day)
		w.writeRecord(forged)
		extend(w, key)
		if d := w.disk(key); d.Held() || !d.RetainUntil.Equal(t0.Add(retain+day)) {
			t.Errorf("a forged record counts: %+v", d)
		}
		w.pass(retain + day)
		w.collect()
		w.is(key, quarantine.Expiring)
	})
}

// A release and a shortening are later words than the record's: they are not taken
// back by it.
func TestRecordOfBeforeIsWrittenOver(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "case-1")
	w.ceph.FailNext("WriteRecord", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "case-1", "over"); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	on, err := w.recordOn(key)
	if d := w.disk(key); err != nil || on.Held() || d.Held() {
		t.Errorf("the hold is back: %+v, %v", on.Holds, err)
	}
	r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
	if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
		t.Fatal(err)
	}
	w.keptUntil(key, t0.Add(5*day))
	if on, err := w.recordOn(key); err != nil || !on.RetainUntil.Equal(t0.Add(5*day)) {
		t.Errorf("the record says %s, %v", on.RetainUntil, err)
	}
}

// A copy in the evidence pool that the record wants, and the last of a kind, are
// waited for also where the row of a backup knows nothing of them.
func TestOldRowForgetsCopyAndLastOfKind(t *testing.T) {
	for name, say := range map[string]func(on *quarantine.Disk){
		"copy by a person": func(on *quarantine.Disk) { on.IsolateBy = "carol" },
		"copy by policy":   func(on *quarantine.Disk) { on.Decision.Isolate = true },
		"last of its kind": func(on *quarantine.Disk) {
			on.Decision.KeepLast = quarantine.KeepLast{N: 2, By: quarantine.KeepByVM}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			on := w.disk(key)
			say(&on)
			w.writeRecord(on)
			w.pass(grace)
			w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			w.nothingRemoved()
		})
	}
}

// A catalog that was put back from a backup has requests open again that were
// denied, withdrawn, approved or expired since. The custody log knows: none of them
// is approved, and the sweep does none.
func TestOldRequestsAreNotApproved(t *testing.T) {
	for name, end := range map[string]func(w *world, r quarantine.Request){
		"denied": func(w *world, r quarantine.Request) {
			if _, err := w.approvals.Deny(w.ctx, "bob", r.ID, "no"); err != nil {
				w.t.Fatalf("%v", err)
			}
		},
		"withdrawn": func(w *world, r quarantine.Request) {
			if _, err := w.approvals.Withdraw(w.ctx, "ann", r.ID, "a mistake"); err != nil {
				w.t.Fatalf("%v", err)
			}
		},
	} {
		for _, kind := range []string{quarantine.RequestPurgeEarly, quarantine.RequestShorten} {
			t.Run(name+" "+kind, func(t *testing.T) {
				w := newWorld(t)
				key := w.quarantined()
				r := w.wish(kind, key, t0.Add(7*day))
				end(w, r)
				r.Version = w.request(r.ID).Version
				if _, err := w.store.PutRequest(w.ctx, r); err != nil {
					t.Fatal(err)
				}
				_, err := w.approvals.Approve(w.ctx, "carol", r.ID, "agreed")
				w.refused("an old request", err)
				if d := w.is(key, quarantine.Quarantined); !d.RetainUntil.Equal(t0.Add(retain)) {
					t.Errorf("kept until %s", d.RetainUntil)
				}
				w.custody.unreadable = fmt.Errorf("no answer: %w", quarantine.ErrUnavailable)
				r = w.wish(kind, w.stray("other"), t0.Add(2*day))
				if _, err := w.approvals.Approve(w.ctx, "carol", r.ID, "agreed"); err == nil {
					t.Error("approved, although nobody could read whether it was denied")
				}
				if got := w.request(r.ID); got.State != quarantine.RequestOpen {
					t.Errorf("the request is %s", got.State)
				}
			})
		}
	}
	// The clock was set back, too.
	for _, kind := range []string{quarantine.RequestPurgeEarly, quarantine.RequestShorten} {
		t.Run("expired "+kind, func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantined()
			r := w.wish(kind, key, t0.Add(7*day))
			w.pass(3 * day)
			if err := w.approvals.Sweep(w.ctx); err != nil {
				t.Fatal(err)
			}
			r.Version = w.request(r.ID).Version
			if _, err := w.store.PutRequest(w.ctx, r); err != nil {
				t.Fatal(err)
			}
			w.jump(-2 * day)
			_, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
			w.refused("an old request", err)
			if d := w.is(key, quarantine.Quarantined); !d.RetainUntil.Equal(t0.Add(retain)) {
				t.Errorf("kept until %s", d.RetainUntil)
			}
		})
	}
}

// A pause outlives the catalog, whether it was lost or put back from a backup: the
// custody log has the last word. So has a lifting that was done.
func TestPauseOutlivesTheCatalog(t *testing.T) {
	started := func(w *world) {
		w.t.Helper()
		w.restart()
		if err := w.collector.RestorePause(w.ctx); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	const mark = "collect/pause"
	t.Run("lost", func(t *testing.T) {
		w := newWorld(t)
		w.quarantined()
		w.paused(w.now().Add(30 * day))
		w.paused(time.Time{}) // without an end
		w.store.lose()
		started(w)
		w.stops("paused by carol", "an incident")
		w.pass(31 * day)
		started(w)
		w.stops("paused by carol")
		if err := w.collector.Resume(w.ctx, "dora", "it is over"); err != nil {
			t.Fatal(err)
		}
		started(w)
		w.reconcile()
		w.collect()
	})
	t.Run("put back", func(t *testing.T) {
		w := newWorld(t)
		w.due(1)
		w.paused(w.now().Add(day))
		backup, err := w.store.Mark(w.ctx, mark)
		if err != nil {
			t.Fatal(err)
		}
		w.paused(time.Time{})
		if err := w.store.SetMark(w.ctx, mark, backup); err != nil {
			t.Fatal(err)
		}
		started(w)
		w.pass(2 * day)
		w.stops("paused by carol")
		if err := w.collector.Resume(w.ctx, "dora", "it is over"); err != nil {
			t.Fatal(err)
		}
		if err := w.store.SetMark(w.ctx, mark, backup); err != nil {
			t.Fatal(err)
		}
		started(w)
		w.collect()
	})
	t.Run("a damaged log", func(t *testing.T) {
		w := newWorld(t)
		w.due(1)
		w.paused(time.Time{})
		w.custody.unreadable = fmt.Errorf("damaged: %w", quarantine.ErrInvalid)
		started(w)
		w.stops("paused by carol")
	})
	t.Run("over", func(t *testing.T) {
		w := newWorld(t)
		w.paused(w.now().Add(time.Hour))
		w.pass(2 * time.Hour)
		started(w)
		w.collect()
	})
}
