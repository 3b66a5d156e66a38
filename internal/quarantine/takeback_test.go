package quarantine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A purge that is cut short may have removed some of the data, though the image is as
// large as it was. A person's hold, or a catalog that is lost, has what is left
// sealed, and it is told from evidence that is whole; also when the row is lost, and
// the record with it. While the seal stood nothing was gone.
func TestWhatAPurgeMayHaveTouchedIsMarked(t *testing.T) {
	held := func(w *world, key quarantine.Key) { w.hold(key, "case-1") }
	lost := func(w *world, key quarantine.Key) { w.lose() }
	for name, tc := range map[string]struct {
		verb  string // that fails in the middle
		next  func(*world, quarantine.Key)
		state quarantine.State
		doubt bool
	}{
		"sealed, held":  {"Strip", held, quarantine.Quarantined, false},
		"sealed, lost":  {"Strip", lost, quarantine.Expiring, false},
		"removed, held": {"Remove", held, quarantine.Quarantined, true},
		"removed, lost": {"Remove", lost, quarantine.Quarantined, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			w.pass(grace)
			w.ceph.FailNext(tc.verb, 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
			w.collect()
			w.is(key, quarantine.Purging)
			tc.next(w, key)
			if d := w.is(key, tc.state); !d.Sealed || d.SealBrokenAt.IsZero() == tc.doubt {
				t.Errorf("sealed %t, broken at %s", d.Sealed, d.SealBrokenAt)
			}
			w.intact(key)
			if !tc.doubt {
				return
			}
			// Whoever has the cloud's key takes the mark off the record; the log has it.
			w.reconcile()
			w.forgeRecord(key, func(d *quarantine.Disk) { d.SealBrokenAt = time.Time{} })
			w.lose()
			if d := w.disk(key); d.SealBrokenAt.IsZero() {
				t.Errorf("the doubt is forgotten: %+v", d)
			}
		})
	}
}

// Whatever fails while a lost catalog is read from the images, that a seal was off is
// noted in the end, also when only the record tells of it.
func TestDoubtOutlastsAFailedImport(t *testing.T) {
	for at, reached := 1, true; reached; at++ {
		w := newWorld(t)
		key := w.expiring()
		w.pass(grace)
		w.ceph.FailNext("Remove", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
		w.collect()
		w.is(key, quarantine.Purging)
		w.store.lose()
		w.custody.entries = nil
		w.restart()
		w.proc.points, w.proc.at, w.proc.fault = nil, at, errors.New("disk full")
		w.reconciler.Run(w.ctx, "cron", quarantine.JobOptions{})
		reached = len(w.proc.points) >= at
		w.restart()
		w.reconcile()
		if d := w.disk(key); !d.Sealed || d.SealBrokenAt.IsZero() {
			t.Errorf("point %d: sealed %t, broken at %s", at, d.Sealed, d.SealBrokenAt)
		}
	}
}

// The seal of a purge that was taken back is the disk's own from then on, also when the
// catalog is lost: nobody has tampered with it.
func TestSealOfATakenBackPurgeIsKnown(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.FailNext("Remove", 1, quarantine.ErrBusy)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.lose()
	w.reconcile()
	if d := w.disk(key); d.SealID == 0 || !d.SealBrokenAt.IsZero() || w.custody.has(key, "seal-lost done") {
		t.Errorf("%+v; custody %q", d, w.custody.of(key))
	}
}

// What somebody took out of the trash while its purge was cut short is his, also while
// his VM runs: a pass says so, and does not wait for the VM's end.
func TestResumedPurgeOfWhatRunsAgain(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.FailNext("RestoreFromTrash", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	w.collect()
	w.is(key, quarantine.Purging)
	w.done(w.ceph.CloudRestore(key, diskName))
	leave, err := w.ceph.CloudWatch(key, "qemu")
	w.done(err)
	defer leave()
	plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	ran := w.collect()
	for _, rep := range []quarantine.Report{plan, ran} {
		if it := did(rep, "finish"); len(it) != 1 || it[0].Error != did(ran, "finish")[0].Error || it[0].Error == "" {
			t.Errorf("dry %t: %+v", rep.DryRun, it)
		}
	}
	w.reconcile()
	w.is(key, quarantine.Restored)
	w.nothingRemoved()
}

// An entry that Ceph has begun to remove at somebody else's word is marked for
// nothing and not purged: Ceph would give it to nobody, and the disk would be
// purging for ever, and beyond any hold. A plan says so too.
func TestWhatSomebodyBeganToRemoveCanBeHeld(t *testing.T) {
	for name, make := range map[string]func(*world) quarantine.Key{"expiring": (*world).expiring, "quarantined": (*world).quarantined} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := make(w)
			was := w.disk(key).State
			w.ceph.CloudBeginRemoval(key)
			w.pass(retain + grace)
			act := map[quarantine.State]string{quarantine.Expiring: "purge", quarantine.Quarantined: "expire"}[was]
			for _, dry := range []bool{true, false} {
				rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: dry})
				if it := did(rep, act); len(it) != 1 || it[0].Error == "" {
					t.Errorf("dry %t: %+v", dry, it)
				}
			}
			w.is(key, was)
			w.hold(key, "case-1")
			w.is(key, quarantine.Quarantined)
			w.nothingRemoved()
		})
	}
}

// What nobody has looked at whether a standing hold is for it a plan does not say will be
// marked, as it is not.
func TestPlanOfMarksLooksAtTheRow(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.alter(key, func(d *quarantine.Disk) { d.HoldsUnchecked = true })
	w.pass(retain)
	plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	ran := w.collect()
	p, r := did(plan, "expire"), did(ran, "expire")
	if len(p) != 1 || len(r) != 1 || p[0] != r[0] || p[0].Error == "" {
		t.Errorf("planned %+v, done %+v", p, r)
	}
	w.is(key, quarantine.Quarantined)
}

// A plan writes nothing, also of a disk that is to be purged and whose record cannot be
// read; the pass has it written anew.
func TestPlanOfPurgesWritesNothing(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.SetMeta(key, quarantine.RecordKey, "?")
	before := w.disk(key)
	plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	if after := w.disk(key); after.Version != before.Version {
		t.Errorf("the plan has written the row: %+v", after)
	}
	ran := w.collect()
	p, r := did(plan, "purge"), did(ran, "purge")
	if len(p) != 1 || len(r) != 1 || p[0] != r[0] || p[0].Error == "" {
		t.Errorf("planned %+v, done %+v", p, r)
	}
	if d := w.is(key, quarantine.Expiring); !d.RecordStale {
		t.Errorf("%+v", d)
	}
	w.nothingRemoved()
}

// A record that promises more than the row keeps its disk from being evicted, and so
// another makes the room.
func TestWhatItsRecordKeepsMakesNoRoom(t *testing.T) {
	w := newWorld(t)
	w.tight(2, 2)
	keys := w.of("a", 3)
	w.forgeRecord(keys[0], func(d *quarantine.Disk) { d.RetainUntil = d.RetainUntil.Add(day) })
	w.pass(quarantine.DefaultMinAge)
	plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	ran := w.collect()
	if p, r := did(plan, "evict"), did(ran, "evict"); len(p) != len(r) {
		t.Errorf("planned %+v, done %+v", p, r)
	}
	if got := w.states(keys); got != "qeq" {
		t.Errorf("states %s", got)
	}
}

// Two people's early purge of a disk that was marked to make room is not taken back when
// there is room again, and its grace begins anew.
func TestEarlyPurgeOfWhatMakesRoom(t *testing.T) {
	w := newWorld(t)
	w.tight(1, 1)
	keys := w.of("a", 2)
	w.pass(quarantine.DefaultMinAge)
	w.collect()
	if got := w.states(keys); got != "eq" {
		t.Fatalf("states %s", got)
	}
	w.pass(grace / 2)
	r := w.wish(quarantine.RequestPurgeEarly, keys[0], time.Time{})
	_, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
	w.done(err)
	if d := w.disk(keys[0]); d.EarlyBy != "ann" || !d.ExpiringAt.Equal(w.now()) {
		t.Errorf("by %q, expiring at %s", d.EarlyBy, d.ExpiringAt)
	}
	w.tight(9, 9)
	w.pass(grace / 2)
	w.collect()
	w.is(keys[0], quarantine.Expiring)
	w.pass(grace)
	w.collect()
	w.removedOnce(keys[0])
}

// A pool that was renamed has every disk under another name, and the catalog none of
// them. They are not adopted as new: that would write over the records, which alone
// know of the holds by then. The rows of the old name are not called lost, and the disk
// can be held; when the pool has its name back, all is as it was.
func TestRenamedPool(t *testing.T) {
	other := vms
	other.Pool = "renamed"
	rename := func(w *world, key quarantine.Key) { // as what is known of it now is of the other name
		w.forgeRecord(key, func(d *quarantine.Disk) {
			d.Key.Pool = other.Pool
			d.ID = d.Key.DiskID()
		})
		for i := range w.custody.entries {
			if e := &w.custody.entries[i]; e.Disk == key.DiskID() {
				e.Disk = other.Key(key.ImageID).DiskID()
			}
		}
		w.store.lose()
		w.restart()
	}
	t.Run("is not adopted anew", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		rename(w, key)
		before := w.recordOf(key)
		w.reconcile()
		if _, err := w.store.Disk(w.ctx, key.DiskID()); !errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("adopted: %v", err)
		}
		if got := w.recordOf(key); got != before {
			t.Errorf("the record was written over: %s", got)
		}
	})
	t.Run("an unsealed one is sealed", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		rename(w, key)
		w.ceph.CloudUnseal(key)
		w.reconcile()
		w.intact(key)
	})
	t.Run("what only the cloud's key says is not believed", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		rename(w, key)
		w.custody.entries = nil
		w.reconcile()
		w.is(key, quarantine.Quarantined)
	})
	t.Run("what was given back there is adopted when it dies", func(t *testing.T) {
		b, err := quarantine.EncodeRecord(quarantine.Disk{ID: other.Key("1").DiskID(), Key: other.Key("1"), State: quarantine.Restored})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := quarantine.DecodeRecord(vms.Key("1"), b); !errors.Is(err, quarantine.ErrNoRecord) || errors.Is(err, quarantine.ErrConflict) {
			t.Errorf("%v", err)
		}
	})
	t.Run("its rows are not lost", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		moved := w.disk(key)
		moved.Key.Pool, moved.Version = other.Pool, 0
		moved.ID = moved.Key.DiskID()
		if _, err := w.store.PutDisk(w.ctx, moved); err != nil {
			t.Fatal(err)
		}
		rep := w.reconcile()
		if it := did(rep, "check"); len(it) != 1 || it[0].Disk != moved.ID || it[0].Error == "" {
			t.Errorf("%+v", rep.Items)
		}
		w.is(moved.Key, quarantine.Quarantined)
		if _, err := w.restorer.InPlace(w.ctx, "carol", moved.ID, "needed"); !errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("restored: %v", err)
		}
		w.is(moved.Key, quarantine.Quarantined)
		w.hold(moved.Key, "case-1")
		if d := w.is(moved.Key, quarantine.Quarantined); !d.Held() {
			t.Errorf("%+v", d)
		}
	})
}

// Of a cluster that left the configuration nothing is called lost, and no restore is begun
// there, which would wait in the row for ever.
func TestRowsOfAForgottenCluster(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	far := w.disk(key)
	far.Key.FSID, far.Version = "elsewhere", 0
	far.ID = far.Key.DiskID()
	if _, err := w.store.PutDisk(w.ctx, far); err != nil {
		t.Fatal(err)
	}
	rep := w.reconcile()
	if it := did(rep, "check"); len(it) != 1 || it[0].Disk != far.ID || it[0].Error == "" {
		t.Errorf("%+v", rep.Items)
	}
	if _, err := w.restorer.InPlace(w.ctx, "carol", far.ID, "needed"); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("restored: %v", err)
	}
	w.is(far.Key, quarantine.Quarantined)
}

// A disk whose record cannot be read yields to a pool that is too full like any other,
// once its record was written anew.
func TestSpoiledRecordDoesNotSpareFromEviction(t *testing.T) {
	w := newWorld(t)
	w.tight(1, 1)
	keys := w.of("a", 2)
	w.pass(quarantine.DefaultMinAge)
	for _, k := range keys {
		w.ceph.SetMeta(k, quarantine.RecordKey, "?")
	}
	w.collect()
	w.reconcile()
	w.collect()
	if got := w.states(keys); got != "eq" {
		t.Errorf("states %s", got)
	}
}
