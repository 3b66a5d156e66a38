package quarantine_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// The event and the removal may come in either order, and the event however
// late: the disk has its identity, and the date that goes with it.
func TestAdoptJoinsWhicheverCameFirst(t *testing.T) {
	late := func(d time.Duration) func(*world) quarantine.Key {
		return func(w *world) quarantine.Key {
			key := w.create(vms, diskName)
			del := w.deleteOf(quarantine.KindDelete, "req-1")
			w.jump(2 * time.Second)
			w.remove(key)
			if d := w.adopt(key); d.Deletion != nil || d.Decision.Rule != "unexplained" {
				w.t.Fatalf("explained before the event: %+v", d)
			}
			w.pass(d)
			w.record(del)
			return key
		}
	}
	for name, order := range map[string]func(*world) quarantine.Key{
		"event first": func(w *world) quarantine.Key {
			key := w.create(vms, diskName)
			w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
			w.jump(2 * time.Second)
			w.remove(key)
			w.adopt(key)
			return key
		},
		"event right after": late(time.Second),
		"event a week late": late(7*day - time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := order(w)
			d := w.is(key, quarantine.Quarantined)
			if d.Deletion == nil || d.Deletion.ResourceID != server || d.Deletion.Addresses[0].IP != "192.0.2.7" || d.Role != "root" {
				t.Fatalf("not joined: %+v", d)
			}
			if d.Decision.Rule != "default" {
				t.Errorf("rule %q", d.Decision.Rule)
			}
			w.keptUntil(key, t0.Add(2*time.Second+retain))
			w.intact(key)
			if rec, err := w.recordOn(key); err != nil || rec.DeletionID() != d.DeletionID() || !rec.RetainUntil.Equal(d.RetainUntil) {
				t.Errorf("the record on the image says %+v, %v", rec, err)
			}
		})
	}
}

// recordOn reads the record on the image.
func (w *world) recordOn(key quarantine.Key) (quarantine.Disk, error) {
	img, err := w.ceph.OpenImage(w.ctx, key)
	if err != nil {
		return quarantine.Disk{}, err
	}
	defer img.Close()
	return quarantine.DecodeRecord(key, img.Info().Record)
}

// Deliveries and reports that come again change nothing.
func TestAdoptDuplicatesChangeNothing(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	w.record(del)
	w.remove(key)
	first := w.adopt(key)
	for range 3 {
		w.jump(time.Minute)
		w.record(del, del)
		w.adopt(key)
	}
	if rep := w.reconcile(); len(did(rep, "adopt"))+len(did(rep, "join")) != 0 {
		t.Errorf("reconcile did %+v", rep.Items)
	}
	again := w.disk(key)
	again.UsedBytes, again.Version = first.UsedBytes, first.Version // measured by reconcile
	sameDisk(t, again, first)
	if got := w.custody.of(key); !slices.Equal(got, []string{"adopt done", "seal done"}) {
		t.Errorf("custody: %q", got)
	}
}

// Two disks of one name, dead within a minute: two identities, in whatever
// order they are adopted, and also while the rebuild's own report is missing.
func TestAdoptRebuildThenDelete(t *testing.T) {
	for _, reversed := range []bool{false, true} {
		for _, rebuildKnown := range []bool{true, false} {
			w := newWorld(t)
			rebuild := w.deleteOf(quarantine.KindRebuild, "req-1")
			old := w.create(vms, diskName)
			w.jump(2 * time.Second)
			w.remove(old)
			w.jump(20 * time.Second)
			del := w.deleteOf(quarantine.KindDelete, "")
			young := w.create(vms, diskName)
			w.jump(2 * time.Second)
			w.remove(young)
			if rebuildKnown {
				w.record(rebuild)
			}
			w.record(del)
			keys := []quarantine.Key{old, young}
			if reversed {
				slices.Reverse(keys)
			}
			for _, key := range keys {
				w.adopt(key)
			}
			w.reconcile()
			want := ""
			if rebuildKnown {
				want = rebuild.ID
			}
			if d := w.disk(old); d.DeletionID() != want {
				t.Errorf("reversed %v, rebuild known %v: the rebuilt server's disk has the deletion %+v", reversed, rebuildKnown, d.Deletion)
			}
			if d := w.disk(young); d.DeletionID() != del.ID {
				t.Errorf("reversed %v, rebuild known %v: the deleted server's disk has the deletion %+v", reversed, rebuildKnown, d.Deletion)
			}
		}
	}
}

// A policy can place a hold at capture, and the disk then never expires.
func TestAdoptPolicyHold(t *testing.T) {
	w := newWorld(t)
	w.policy.use(quarantine.Decision{Retain: day, Rule: "suspects", Hold: &quarantine.PolicyHold{CaseID: "CERT-7", Reason: "suspect"}})
	key := w.quarantined()
	d := w.disk(key)
	if !d.Held() || d.Holds[0].CaseID != "CERT-7" || d.Holds[0].By != "policy:suspects" {
		t.Fatalf("holds: %+v", d.Holds)
	}
	w.pass(30 * day)
	w.collect()
	w.is(key, quarantine.Quarantined)
	// Released, it is not placed again when more becomes known of the deletion.
	if _, err := w.holds.Release(w.ctx, "carol", d.ID, "CERT-7", "cleared"); err != nil {
		t.Fatal(err)
	}
	more := *d.Deletion
	more.Host = "node7"
	w.record(more)
	if d := w.disk(key); d.Held() || d.Deletion.Host != "node7" {
		t.Errorf("held %v, deletion %+v", d.Held(), d.Deletion)
	}
}

// The date of a disk never shrinks when its identity becomes known under a
// shorter rule, and grows under a longer one.
func TestAdoptRejoinOnlyLengthens(t *testing.T) {
	for name, c := range map[string]struct{ rule, want time.Duration }{
		"shorter": {day, unexplainedRetain},
		"longer":  {90 * day, 90 * day},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.stray(diskName)
			w.keptUntil(key, t0.Add(unexplainedRetain))
			w.policy.use(quarantine.Decision{Retain: c.rule, Rule: "new"})
			w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
			w.keptUntil(key, t0.Add(c.want))
			if d := w.disk(key); d.Decision.Rule != "new" {
				t.Errorf("rule %q", d.Decision.Rule)
			}
		})
	}
}

// An identity that comes when the disk is already expiring takes it back, if
// it gives a later date.
func TestAdoptIdentityTakesBackFromExpiring(t *testing.T) {
	for name, c := range map[string]struct {
		rule  time.Duration
		state quarantine.State
	}{"later date": {90 * day, quarantine.Quarantined}, "no later date": {day, quarantine.Expiring}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			del := w.deleteOf(quarantine.KindDelete, "req-1")
			key := w.stray(diskName)
			w.pass(unexplainedRetain)
			w.collect()
			w.is(key, quarantine.Expiring)
			w.policy.use(quarantine.Decision{Retain: c.rule, Rule: "new"})
			w.record(del)
			d := w.is(key, c.state)
			if d.Deletion == nil || (d.State == quarantine.Quarantined) != d.ExpiringAt.IsZero() {
				t.Errorf("%+v", d)
			}
		})
	}
}

// What no event explains is kept too, under its own rule.
func TestAdoptUnexplained(t *testing.T) {
	w := newWorld(t)
	key := w.stray("somebodys-image")
	d := w.disk(key)
	if d.Deletion != nil || d.Decision.Rule != "unexplained" || !d.RetainUntil.Equal(t0.Add(unexplainedRetain)) {
		t.Errorf("%+v", d)
	}
	w.intact(key)
}

// An entry that somebody else moved to the trash without a protection gets the
// full one, by way of its reserved name, and keeps its own name in the record.
func TestAdoptProtectsWhatIsShort(t *testing.T) {
	for _, short := range []time.Duration{0, day, protect / 3} {
		w := newWorld(t)
		key := w.create(vms, "volume-1")
		st, _ := w.ceph.Look(key)
		w.died[key] = st.Content
		if err := w.ceph.CloudTrash(vms, "volume-1", short); err != nil {
			t.Fatal(err)
		}
		d := w.adopt(key)
		w.intact(key)
		if e := w.entry(key); e.Name != key.ReservedName() || !e.ProtectedUntil.Equal(d.ProtectedUntil) {
			t.Errorf("entry %+v, disk protected until %s", e, d.ProtectedUntil)
		}
		if d.OriginalName != "volume-1" {
			t.Errorf("original name %q", d.OriginalName)
		}
	}
}

// A disk that was restored in place and deleted again waits for the collector
// to take the old seal off, and is then sealed as it is now.
func TestAdoptDeletedAgainAfterRestore(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back"); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Hour)
	if err := w.ceph.CloudWrite(key, 0, []byte("written after the restore")); err != nil {
		t.Fatal(err)
	}
	w.remove(key)
	if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, quarantine.ErrBusy) {
		t.Fatalf("adopted under its old seal: %v", err)
	}
	w.is(key, quarantine.Restored)
	w.collect()
	w.reconcile()
	d := w.is(key, quarantine.Quarantined)
	w.intact(key) // with the later bytes
	if !d.RestoredAt.IsZero() || !d.DeletedAt.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v", d)
	}
}

// A late message about a disk that was purged meanwhile changes nothing: the
// image is not there.
func TestAdoptRefusesAPurgedID(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.collect()
	d := w.is(key, quarantine.Purged)
	_, err := w.adopter.Adopt(w.ctx, quarantine.TrashEntry{Key: key, Name: diskName, DeletedAt: w.now(), ProtectedUntil: w.now().Add(protect)}, quarantine.CaptureGuard)
	if !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("%v", err)
	}
	sameDisk(t, w.disk(key), d)
}

// librbd copies an image's metadata to its clones. The record of the parent is
// not the clone's own.
func TestAdoptCloneIsADiskOfItsOwn(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), quarantine.PoolRef{}, "copy", false, "a look", nil); err != nil {
		t.Fatal(err)
	}
	clone, _ := w.ceph.LookLive(vms, "copy")
	w.remove(clone)
	w.reconcile()
	d := w.is(clone, quarantine.Quarantined)
	if d.OriginalName != "copy" || d.Deletion != nil {
		t.Errorf("%+v", d)
	}
	w.intact(clone)
	w.intact(key)
}

// A record that nobody can read is no reason to leave an image unprotected.
func TestAdoptWithAnUnreadableRecord(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, "vol")
	w.remove(key)
	w.ceph.SetMeta(key, quarantine.RecordKey, "{")
	w.adopt(key)
	w.intact(key)
	if len(w.log.errors()) != 1 {
		t.Errorf("the log's errors: %q", w.log.errors())
	}
}

// The canary is no disk of a cloud.
func TestCanaryIsNotAdopted(t *testing.T) {
	w := newWorld(t)
	rep := w.guard.Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Failed() != 0 {
		t.Fatalf("%+v", rep.Items)
	}
	w.reconcile()
	if ds := w.disks(); len(ds) != 0 {
		t.Errorf("adopted %+v", ds)
	}
}

// A disk that was given back and is deleted again by somebody whom no event
// names does not bear the identity of its first death.
func TestSecondDeathIsNotTheFirstOnes(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.pass(time.Minute)
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back"); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Minute)
	w.collect()
	w.remove(key)
	w.adopt(key)
	if d := w.is(key, quarantine.Quarantined); d.Deletion != nil {
		t.Errorf("it belongs to the %s of %s at %s", d.Deletion.Kind, d.Deletion.ResourceID, d.Deletion.StartedAt)
	}
	again := w.deleteOf(quarantine.KindRecoverDelete, "req-2")
	again.StartedAt = w.now()
	w.record(again)
	if d := w.disk(key); d.Deletion == nil || d.Deletion.Kind != quarantine.KindRecoverDelete {
		t.Errorf("its own event does not explain it: %+v", d.Deletion)
	}
}

// A daemon that dies while Ceph takes the seal can leave one that is listed and
// that nobody can open. The next one takes a second, and does not count the first.
func TestAdoptMendsASealThatCannotBeOpened(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.remove(key)
	died := errors.New("killed")
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb != "Seal" {
			return nil
		}
		return died
	})
	if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, died) {
		t.Fatalf("the seal: %v", err)
	}
	w.ceph.After(nil)
	w.ceph.BreakSeal(key)
	w.adopt(key)
	w.is(key, quarantine.Quarantined)
	if info, err := w.ceph.LookAt(w.ctx, key); err != nil || info.SealBroken || len(info.SealIDs) != 2 {
		t.Errorf("%+v, %v", info, err)
	}
}
