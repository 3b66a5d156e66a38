package quarantine_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

func (w *world) rebuild() {
	w.t.Helper()
	rep, err := w.reconciler.Rebuild(w.ctx, "root", w.store)
	if err != nil || rep.Stopped != "" {
		w.t.Fatalf("rebuild: %v %s", err, rep.Stopped)
	}
	w.obs.forget()
}

// A restore takes back the wish to purge a disk early, and a lost catalog does
// not bring the wish back from the record on the image.
func TestEarlyPurgeTakenBackStaysSo(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	if _, err := w.collector.ExpireEarly(w.ctx, "bob", key.DiskID(), "mistake"); err != nil {
		t.Fatal(err)
	}
	w.pass(day)
	if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", true, "needed", nil); err != nil {
		t.Fatal(err)
	}
	w.is(key, quarantine.Quarantined)
	w.reconcile()
	w.store.lose()
	w.obs.forget()
	w.restart()
	w.reconcile()
	w.collect()
	w.nothingRemoved()
}

// A hold whose record could not be written outlives a rebuild of the catalog.
func TestRebuildKeepsAHoldThatIsNotOnTheImage(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.ceph.FailNext("WriteRecord", 1, quarantine.ErrUnavailable)
	w.hold(key, "CASE-1")
	w.rebuild()
	w.pass(retain)
	w.collect()
	w.pass(grace)
	w.collect()
	w.nothingRemoved()
}

// A disk that somebody took out of the trash, used, and deleted again, before
// anybody noticed, is not purged for the time of its first stay.
func TestSecondLifeIsNotPurgedForTheFirst(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	// operator, daemon down
	if err := w.ceph.CloudRestore(key, diskName); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Hour)
	_ = w.ceph.CloudWrite(key, 0, []byte("second life"))
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.remove(key)
	if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, quarantine.ErrBusy) {
		t.Fatalf("adopt: %v", err)
	}
	w.collect() // takes the old seal off
	w.reconcile()
	w.collect()
	w.nothingRemoved()
	w.is(key, quarantine.Quarantined)
	w.intact(key) // with what it held at its second death
}

// An image that somebody takes out of the trash while its purge begins is left
// alone, and has no tombstone.
func TestPurgeOfWhatWasTakenOut(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	_ = w.ceph.CloudSnapshot(vms, diskName, "backup")
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.remove(key)
	w.adopt(key)
	w.pass(retain)
	w.collect()
	w.pass(grace)
	entered, release := w.ceph.Block("Inspect")
	done := make(chan quarantine.Report)
	go func() { done <- w.collector.Run(w.ctx, "cron", quarantine.JobOptions{}) }()
	<-entered
	if err := w.ceph.CloudRestore(key, diskName); err != nil {
		t.Fatal(err)
	}
	release()
	rep := <-done
	d := w.disk(key)
	st, ok := w.ceph.Look(key)
	if !ok || st.InTrash || d.State == quarantine.Purged {
		t.Errorf("the image is %+v, the row %s; the report says %+v", st, d.State, rep.Items)
	}
	if !st.Sealed {
		t.Errorf("the snapshots of a live image are gone")
	}
	w.reconcile()
	w.remove(key)
	w.collect() // takes the old seal off
	w.reconcile()
	w.is(key, quarantine.Quarantined)
}

// The holder of the cloud's key writes a record and a seal of their own on an
// image before deleting it: neither is believed.
func TestForgedRecord(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.User = quarantine.Principal{ID: "a0", Name: "innocent"}
	d := quarantine.Disk{ID: key.DiskID(), Key: key, OriginalName: diskName, State: quarantine.Expiring, EarlyBy: "x", DeletedAt: t0, QuarantinedAt: t0,
		ExpiringAt: t0.Add(-100 * day), RetainUntil: t0.Add(-90 * day), Sealed: true, Deletion: &del}
	b, _ := quarantine.EncodeRecord(d)
	w.ceph.SetMeta(key, quarantine.RecordKey, string(b))
	_ = w.ceph.CloudSnapshot(vms, diskName, quarantine.SealSnapshot)
	w.jump(2 * time.Second)
	_ = w.ceph.CloudWrite(key, 0, []byte("the crime"))
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.remove(key)
	if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, quarantine.ErrBusy) {
		t.Fatalf("adopt: %v", err)
	}
	w.collect() // takes off the seal that is not ours
	w.reconcile()
	got := w.is(key, quarantine.Quarantined)
	st, _ := w.ceph.Look(key)
	if !bytes.Equal(st.SealedContent, w.died[key]) {
		t.Errorf("sealed bytes are not those of the death")
	}
	if got.Deletion.User.ID != "u1" {
		t.Errorf("identity forged: %+v", got.Deletion.User)
	}
	w.collect()
	w.nothingRemoved()
}

// In a pool without a guard, a disk that was given back and is deleted before
// its old seal is off is sealed anew, with what it holds then.
func TestSeizeWithAnOldSeal(t *testing.T) {
	w := newWorld(t)
	key := w.create(unguarded, diskName)
	st, _ := w.ceph.Look(key)
	w.died[key] = st.Content
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.is(key, quarantine.Quarantined)
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back"); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Hour)
	_ = w.ceph.CloudWrite(key, 0, []byte("later"))
	st, _ = w.ceph.Look(key)
	w.died[key] = st.Content
	del := w.deleteOf(quarantine.KindRecoverDelete, "")
	w.record(del)
	w.collect() // takes the old seal off
	w.reconcile()
	w.is(key, quarantine.Quarantined)
	w.intact(key)
}

// Disks that cannot go do not use up the limits of a pass.
func TestBusyDisksKeepNobodyElse(t *testing.T) {
	w := newWorld(t)
	keys := w.due(4)
	slices.SortFunc(keys, func(a, b quarantine.Key) int { return strings.Compare(a.DiskID(), b.DiskID()) })
	for _, k := range keys[:2] {
		if _, err := w.ceph.CloudWatch(k, "qemu"); err != nil {
			t.Fatal(err)
		}
	}
	// make the busy ones sort first: whichever two come first are busy
	w.safety.MaxDisks = 2
	w.restart()
	ds := w.disks(quarantine.Expiring)
	t.Log(len(ds))
	for range 5 {
		w.collect()
		w.pass(day / 2)
	}
	if n := len(w.ceph.Removals()); n != 2 {
		t.Errorf("removed %d, want 2", n)
	}
}

// The seal of a held disk stays, even where somebody took the disk out.
func TestSealUnderAHoldStays(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "CASE-1")
	if err := w.ceph.CloudRestore(key, diskName); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	w.collect()
	if st, _ := w.ceph.Look(key); !st.Sealed {
		t.Errorf("the collector removed the seal of a held disk")
	}
}

// A second daemon with a catalog of its own purges nothing that the first one
// holds: it reads the record on the image.
func TestTwoDaemonsOverOneCeph(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	// the second daemon: own catalog, same ceph
	second := openStore(t)
	first := w.store
	w.store = second
	w.obs.forget()
	w.restart()
	w.reconcile()
	w.is(key, quarantine.Quarantined)
	w.store = first
	w.obs.forget()
	w.restart()
	w.hold(key, "CASE-1")
	w.store = second
	w.obs.forget()
	w.restart()
	w.pass(retain)
	w.collect()
	w.pass(grace)
	w.collect()
	w.nothingRemoved()
}

// An in-place restore whose answer is lost leaves no row that says quarantined
// beside a live image.
func TestInPlaceWhoseAnswerIsLost(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		key := w.quarantined()
		w.restart()
		w.proc.at, w.proc.fault = at, quarantine.ErrUnavailable
		_, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back")
		if err == nil {
			if at < 6 {
				t.Errorf("there were only %d points to fail at", at-1)
			}
			return
		}
		if st, _ := w.ceph.Look(key); !st.InTrash && w.disk(key).State == quarantine.Quarantined {
			t.Errorf("failed at %s: live as %s, and the row says quarantined", w.proc.points[len(w.proc.points)-1], st.Name)
		}
	}
}

// A loose prefix in a hook takes no live image.
func TestLoosePrefixSeizesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.create(unguarded, "volume-aaaa")
	b := w.create(unguarded, "volume-bbbb")
	del := w.deleteOf(quarantine.KindDelete, "")
	del.Disks = []quarantine.DiskRef{{Name: "volume", Prefix: true}}
	w.record(del)
	for _, k := range []quarantine.Key{a, b} {
		if st, _ := w.ceph.Look(k); st.InTrash {
			t.Errorf("%s was seized", k)
		}
	}
}

// With the catalog lost and the clock far ahead nothing is purged at once.
func TestLostCatalogUnderAWrongClock(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	if _, err := w.collector.ExpireEarly(w.ctx, "bob", key.DiskID(), "x"); err != nil {
		t.Fatal(err)
	}
	w.store.lose()
	w.obs.forget()
	w.restart()
	w.jump(400 * day)
	w.reconcile()
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" {
		t.Errorf("the pass was stopped by %q; nothing is shown by that", rep.Stopped)
	}
	w.nothingRemoved()
}

// A later report may say that a disk was somebody else's; the custody log tells
// whose it was before.
func TestIdentityRewritten(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "CASE-1")
	w.pass(5 * day)
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.StartedAt = time.Time{}
	del.User = quarantine.Principal{ID: "a0", Name: "innocent"}
	w.record(del)
	for _, e := range w.custody.entries {
		if e.Act == "join" && e.Detail["user_before"] == "u1" && e.Detail["user"] == "a0" {
			return
		}
	}
	t.Errorf("nothing tells that the owner of a held disk was another: %+v", w.custody.entries)
}

// A generic cloud uses names again: an old report does not explain a disk that
// died weeks later.
func TestOldReportAndAReusedName(t *testing.T) {
	w := newWorld(t)
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.CloudType = quarantine.CloudGeneric
	del.Disks = []quarantine.DiskRef{{Name: "slot1"}}
	w.record(del) // its disk was never caught
	w.pass(60 * day)
	key := w.create(vms, "slot1")
	w.remove(key)
	if d := w.adopt(key); d.Deletion != nil {
		t.Errorf("a disk that died 60 days later belongs to %s", d.Deletion.User.Name)
	}
}

// Under a clock that has jumped nobody's wish to purge early is taken: its
// grace would begin in the past.
func TestEarlyPurgeUnderAWrongClock(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.pass(5 * day)
	w.jump(-3 * day)
	if _, err := w.collector.ExpireEarly(w.ctx, "bob", key.DiskID(), "x"); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("%v", err)
	}
	w.jump(3 * day) // the clock is mended
	w.collect()
	w.nothingRemoved()
}

// A record that nobody can read does not lose the hold: the custody log has it.
func TestUnreadableRecordKeepsTheHold(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "CASE-1")
	w.ceph.SetMeta(key, quarantine.RecordKey, "garbage")
	w.store.lose()
	w.obs.forget()
	w.restart()
	w.reconcile()
	d := w.is(key, quarantine.Quarantined)
	if !d.Held() {
		t.Errorf("the hold is gone; custody has it: %v", w.custody.has(key, "hold done"))
	}
}

// News of a disk that was purged meanwhile is no error.
func TestLateNewsOfAPurgedDisk(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	e := w.entry(key)
	e.Name = key.ReservedName()
	w.collect()
	_, err := w.adopter.Adopt(w.ctx, e, quarantine.CaptureGuard)
	if err != nil && !errors.Is(err, quarantine.ErrBusy) && !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("intake logs ERROR: %v", err)
	}
}

// A rebuild forgets no disk that the trash does not hold: its loss is told.
func TestRebuildKeepsTheLost(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.hold(key, "CASE-1")
	w.ceph.CloudDestroy(key)
	before := len(w.disks())
	w.rebuild()
	if len(w.disks()) < before {
		t.Errorf("%d rows before, %d after: no row says that a held disk is lost", before, len(w.disks()))
	}
}

// A disk that somebody took out before it was sealed does not stay pending.
func TestTakenOutBeforeItsSeal(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	w.remove(key)
	w.ceph.FailNext("Seal", 1, quarantine.ErrUnavailable)
	_, _ = w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard)
	_ = w.ceph.CloudRestore(key, diskName)
	for range 5 {
		w.reconcile()
		w.pass(day)
	}
	if d := w.disk(key); d.State == quarantine.Pending {
		t.Errorf("still pending after 5 days")
	}
}

// A record on the image that keeps the disk longer than the row (another
// daemon's, or that of a catalog which was put back from a backup) is believed:
// nothing is expired or purged before the two agree.
func TestRecordWithALaterDate(t *testing.T) {
	for name, prepare := range map[string]func(*world) quarantine.Key{"expire": (*world).quarantined, "purge": (*world).expiring} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := prepare(w)
			d := w.disk(key)
			d.RetainUntil = d.RetainUntil.Add(1000 * day)
			b, err := quarantine.EncodeRecord(d)
			if err != nil {
				t.Fatal(err)
			}
			w.ceph.SetMeta(key, quarantine.RecordKey, string(b))
			w.pass(retain + 2*grace)
			rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			if rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, "catalog rebuild") {
				t.Errorf("the pass says %+v", rep)
			}
			w.nothingRemoved()
		})
	}
}

// A purge that was cut short is not gone on with on an image that somebody took
// out meanwhile, used, and deleted again.
func TestResumedPurgeSparesASecondLife(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.FailNext("RestoreFromTrash", 1, quarantine.ErrUnavailable)
	w.collect()
	w.is(key, quarantine.Purging)
	if err := w.ceph.CloudRestore(key, diskName); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Hour)
	if err := w.ceph.CloudWrite(key, 0, []byte("second life")); err != nil {
		t.Fatal(err)
	}
	w.remove(key)
	for range 3 {
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
		w.reconciler.Run(w.ctx, "cron", quarantine.JobOptions{})
	}
	w.nothingRemoved()
	w.is(key, quarantine.Quarantined)
	w.intact(key)
}
