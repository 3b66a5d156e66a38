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

// T1: early purge taken back by a restore; the image's record still says expiring.
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
	d := w.is(key, quarantine.Quarantined)
	t.Logf("row: early %q stale %v", d.EarlyBy, d.RecordStale)
	w.reconcile()
	w.store.lose()
	w.obs.forget()
	w.restart()
	w.reconcile()
	w.collect()
	w.nothingRemoved()
}

// T2: a hold whose record was not written, then rebuild.
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

// T3: restored by hand and deleted again before a reconcile.
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

// T4: restored by hand between the listing and the purge.
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
	t.Logf("row %s; image exists %v live %v sealed %v; report %+v", d.State, ok, !st.InTrash, st.Sealed, rep.Items)
	if d.State == quarantine.Purged {
		t.Errorf("tombstone of a live image")
	}
	if !st.Sealed {
		t.Errorf("the snapshots of a live image are gone")
	}
	w.remove(key)
	_, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard)
	t.Logf("deleted again: %v", err)
}

// T5: forged record on a new image.
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

// T6: seize after in-place restore uses the old seal.
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

// T8: disks that cannot go block those behind them.
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

// T9: the collector takes the seal off a held disk that somebody took out.
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

// T10: two services over one Ceph.
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

// T11: in-place restore whose answer was lost.
func TestInPlaceWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.proc.mu.Lock()
	w.proc.points = nil
	w.proc.mu.Unlock()
	// find the point number by failing after RestoreFromTrash
	n := 0
	for i := 1; i < 40; i++ {
		x := newWorld(t)
		k := x.quarantined()
		x.restart()
		x.proc.at, x.proc.fault = i, quarantine.ErrUnavailable
		_, err := x.restorer.InPlace(x.ctx, "carol", k.DiskID(), "r")
		if err == nil {
			break
		}
		st, _ := x.ceph.Look(k)
		d := x.disk(k)
		if !st.InTrash && d.State == quarantine.Quarantined {
			n++
			t.Logf("point %d (%s): live as %s, row %s: %v", i, x.proc.points[len(x.proc.points)-1], st.Name, d.State, err)
		}
	}
	if n > 0 {
		t.Errorf("%d points leave a live image with a row that says quarantined", n)
	}
	_ = key
}

// T12: prefix in a hook seizes everything.
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

// T13: lost catalog and wrong clock.
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
	t.Logf("%q", rep.Stopped)
	w.nothingRemoved()
}

// T14: identity rewritten by a later report.
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

// T15: a reused name, weeks later, gets the old identity.
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

// T16: ExpireEarly under a wrong clock skips the grace.
func TestEarlyPurgeUnderAWrongClock(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.pass(5 * day)
	w.jump(-3 * day)
	if _, err := w.collector.ExpireEarly(w.ctx, "bob", key.DiskID(), "x"); err != nil {
		t.Logf("refused: %v", err)
		return
	}
	w.jump(3 * day) // the clock is mended
	w.collect()
	w.nothingRemoved()
}

// T17: a purge makes the intake complain.
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
	_ = strings.TrimSpace
	_ = errors.Is
}

// T18: a collect while a purge finished, seen by the intake.
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

// T19: a pool whose trash is empty, and rebuild.
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

// T20: taken out before sealed.
func TestTakenOutBeforeItsSeal(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	w.remove(key)
	w.ceph.FailNext("Seal", 1, quarantine.ErrUnavailable)
	_, _ = w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard)
	_ = w.ceph.CloudRestore(key, diskName)
	for range 5 {
		rep := w.reconcile()
		w.pass(day)
		if rep.Failed() > 0 {
			t.Logf("%+v", rep.Items)
		}
	}
	if d := w.disk(key); d.State == quarantine.Pending {
		t.Errorf("still pending after 5 days")
	}
}
