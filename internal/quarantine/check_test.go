package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

const checkSettle = time.Hour

// checker makes one over the world as it is.
func (w *world) checker(trash quarantine.CheckTrash) *quarantine.Checker {
	return quarantine.NewChecker(w.ledger, w.store, trash, w.ceph, w.ceph, w.ceph,
		quarantine.CheckConfig{Workers: 4, Settle: checkSettle, Patience: time.Millisecond})
}

// check returns what a check finds.
func (w *world) check() []quarantine.CheckFinding {
	w.t.Helper()
	var found []quarantine.CheckFinding
	res, err := w.checker(w.ceph).Run(w.ctx, func(f quarantine.CheckFinding) error {
		found = append(found, f)
		return nil
	}, nil)
	if err != nil || res.Busy != 0 || int(res.Faults+res.Warns) != len(found) {
		w.t.Fatalf("the check ended with %+v, %v", res, err)
	}
	return found
}

// sound fails the test if a check finds anything.
func (w *world) sound(when string) {
	w.t.Helper()
	if found := w.check(); len(found) > 0 {
		w.t.Fatalf("%s a check finds %+v", when, found)
	}
}

// alter changes a row behind the service's back.
func (w *world) alter(key quarantine.Key, edit func(d *quarantine.Disk)) {
	w.t.Helper()
	d := w.disk(key)
	edit(&d)
	if _, err := w.store.PutDisk(w.ctx, d); err != nil {
		w.t.Fatalf("alter: %v", err)
	}
}

// forgeRecord puts a record on the image that says something else than the row.
func (w *world) forgeRecord(key quarantine.Key, edit func(d *quarantine.Disk)) {
	w.t.Helper()
	d := w.disk(key)
	edit(&d)
	b, err := quarantine.EncodeRecord(d)
	if err != nil {
		w.t.Fatalf("encode: %v", err)
	}
	w.ceph.SetMeta(key, quarantine.RecordKey, string(b))
}

func (w *world) done(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("provoke: %v", err)
	}
}

// Each kind of disagreement is found, at the image that it is about, and nothing
// else; before, nothing is found.
func TestCheckFinds(t *testing.T) {
	out := func(w *world, key quarantine.Key, name string) { w.done(w.ceph.CloudRestore(key, name)) }
	tests := []struct {
		name string
		// provoke does the damage to a disk in quarantine, and returns the image
		// that the finding is about.
		provoke func(w *world, key quarantine.Key) quarantine.Key
		want    quarantine.CheckKind
	}{
		{"its image was destroyed", func(w *world, key quarantine.Key) quarantine.Key { w.ceph.CloudDestroy(key); return key }, quarantine.CheckNoImage},
		{"it was taken out", func(w *world, key quarantine.Key) quarantine.Key { out(w, key, "mine"); return key }, quarantine.CheckNotInTrash},
		{"it is left under its reserved name", func(w *world, key quarantine.Key) quarantine.Key { out(w, key, key.ReservedName()); return key }, quarantine.CheckNotInTrash},
		{"it was taken out and deleted again", func(w *world, key quarantine.Key) quarantine.Key {
			out(w, key, "mine")
			w.pass(day)
			w.done(w.ceph.CloudRemove(key.PoolRef(), "mine"))
			w.pass(checkSettle)
			return key
		}, quarantine.CheckOtherDeath},
		{"its protection is short", func(w *world, key quarantine.Key) quarantine.Key {
			out(w, key, key.ReservedName())
			w.done(w.ceph.CloudTrash(key.PoolRef(), key.ReservedName(), time.Hour))
			return key
		}, quarantine.CheckUnprotected},
		{"its seal was removed", func(w *world, key quarantine.Key) quarantine.Key { w.ceph.CloudUnseal(key); return key }, quarantine.CheckNoSeal},
		{"its seal cannot be opened", func(w *world, key quarantine.Key) quarantine.Key { w.ceph.BreakSeal(key); return key }, quarantine.CheckBrokenSeal},
		{"its row says unsealed", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.Sealed = false })
			return key
		}, quarantine.CheckNoSeal},
		{"its seal was replaced", func(w *world, key quarantine.Key) quarantine.Key {
			w.ceph.CloudUnseal(key)
			img, err := w.ceph.OpenImage(w.ctx, key)
			w.done(err)
			w.done(img.Seal(w.ctx))
			w.done(img.Close())
			return key
		}, quarantine.CheckOtherSeal},
		{"a snapshot was taken", func(w *world, key quarantine.Key) quarantine.Key {
			out(w, key, key.ReservedName())
			w.done(w.ceph.CloudSnapshot(key.PoolRef(), key.ReservedName(), "stray"))
			w.done(w.ceph.CloudTrash(key.PoolRef(), key.ReservedName(), protect))
			return key
		}, quarantine.CheckStraySnapshot},
		{"its size is another", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.SizeBytes *= 2 })
			w.forgeRecord(key, func(*quarantine.Disk) {})
			return key
		}, quarantine.CheckSize},
		{"its record does not parse", func(w *world, key quarantine.Key) quarantine.Key {
			w.ceph.SetMeta(key, quarantine.RecordKey, "{")
			return key
		}, quarantine.CheckRecord},
		{"its record says another name", func(w *world, key quarantine.Key) quarantine.Key {
			w.forgeRecord(key, func(d *quarantine.Disk) { d.OriginalName = "another" })
			return key
		}, quarantine.CheckRecord},
		{"its row lost days, and its record too", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.RetainUntil = d.RetainUntil.Add(-day) })
			w.forgeRecord(key, func(*quarantine.Disk) {})
			return key
		}, quarantine.CheckPromise},
		{"its row lost a hold", func(w *world, key quarantine.Key) quarantine.Key {
			w.hold(key, "case-1")
			w.alter(key, func(d *quarantine.Disk) { d.Holds, d.RecordStale = nil, true })
			return key
		}, quarantine.CheckPromise},
		{"what was purged is there", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Purged })
			return key
		}, quarantine.CheckStillThere},
		{"what is lost is there", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Lost })
			return key
		}, quarantine.CheckStillThere},
		{"what was given back is in the trash", func(w *world, key quarantine.Key) quarantine.Key {
			_, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back")
			w.done(err)
			w.remove(key)
			w.sound("just after it died again")
			w.pass(checkSettle)
			return key
		}, quarantine.CheckNotAdopted},
		{"an entry has no row", func(w *world, _ quarantine.Key) quarantine.Key {
			key := w.create(vols, "other")
			w.remove(key)
			w.sound("just after a death")
			w.pass(checkSettle)
			return key
		}, quarantine.CheckNotAdopted},
		{"a stranger's removal was cut short", func(w *world, _ quarantine.Key) quarantine.Key {
			return w.hollow("other", true)
		}, quarantine.CheckHollowEntry},
		{"an entry lost its image's header", func(w *world, _ quarantine.Key) quarantine.Key {
			return w.hollow("other", false)
		}, quarantine.CheckHollowEntry},
		{"a restore's name in the trash has no restore", func(w *world, _ quarantine.Key) quarantine.Key {
			return w.hollow(quarantine.RestorePrefix+"0123.1", true)
		}, quarantine.CheckHollowEntry},
		{"a reserved name has no row", func(w *world, _ quarantine.Key) quarantine.Key {
			return w.create(vols, quarantine.ReservedPrefix+"x")
		}, quarantine.CheckReservedName},
		{"a restore's name has no restore", func(w *world, _ quarantine.Key) quarantine.Key {
			return w.create(vols, quarantine.RestorePrefix+"x")
		}, quarantine.CheckReservedName},
		{"a copy has no original", func(w *world, _ quarantine.Key) quarantine.Key {
			w.evidencePool()
			return w.create(evidence, quarantine.CopyPrefix+"0123456789abcdef")
		}, quarantine.CheckReservedName},
		{"a copy is not whole", func(w *world, key quarantine.Key) quarantine.Key {
			w.evidencePool()
			w.alter(key, func(d *quarantine.Disk) { d.IsolateBy = "carol" })
			w.forgeRecord(key, func(*quarantine.Disk) {})
			return w.create(evidence, quarantine.CopyPrefix+key.DiskID())
		}, quarantine.CheckUnfinished},
		{"a purge was cut short", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Purging })
			return key
		}, quarantine.CheckUnfinished},
		{"what is purged is live", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Purging })
			out(w, key, "mine")
			return key
		}, quarantine.CheckNotInTrash},
		{"an adoption was cut short", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Pending })
			w.sound("while it may be under way")
			w.pass(checkSettle)
			return key
		}, quarantine.CheckUnfinished},
		{"a restore lost its image", func(w *world, key quarantine.Key) quarantine.Key {
			w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Restoring })
			w.ceph.CloudDestroy(key)
			return key
		}, quarantine.CheckNoImage},
		{"its pool is in nobody's care", func(w *world, _ quarantine.Key) quarantine.Key {
			key := quarantine.PoolRef{FSID: "fsid-1", Pool: "elsewhere"}.Key("0123")
			_, err := w.store.PutDisk(w.ctx, quarantine.Disk{ID: key.DiskID(), Key: key, OriginalName: "far", State: quarantine.Quarantined, DeletedAt: w.now()})
			w.done(err)
			return key
		}, quarantine.CheckUnreadable},
		{"its image does not open", func(w *world, key quarantine.Key) quarantine.Key {
			w.ceph.FailNext("LookAt", 2, errors.New("input/output error"))
			return key
		}, quarantine.CheckUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.quarantined()
			w.sound("before the damage")
			about := tt.provoke(w, key)
			found := w.check()
			if len(found) != 1 || found[0].Kind != tt.want || found[0].ImageID != about.ImageID || found[0].Pool != about.PoolRef().String() || found[0].What == "" || found[0].Next == "" {
				t.Fatalf("found %+v, want %s of %s", found, tt.want, about)
			}
		})
	}
}

// A custody log that cannot be read is told of once, not for every disk.
func TestCheckFindsABrokenLog(t *testing.T) {
	w := newWorld(t)
	w.quarantined()
	second := w.create(vols, "second")
	w.remove(second)
	w.adopt(second)
	w.custody.unreadable = errors.New("the chain does not hold")
	if found := w.check(); len(found) != 1 || found[0].Kind != quarantine.CheckLog || found[0].Disk != "" {
		t.Fatalf("found %+v", found)
	}
}

// hollow is an entry of the trash without an image, long after its death.
func (w *world) hollow(name string, removing bool) quarantine.Key {
	w.t.Helper()
	key := w.create(vols, name)
	w.remove(key)
	w.ceph.CloudHollow(key, removing)
	w.pass(checkSettle)
	return key
}

// What to do about an entry without an image is told by what Ceph has begun: to end
// the removal of what lost its header by hand would take the last trace of its data.
func TestCheckOfHollowEntries(t *testing.T) {
	for removing, want := range map[bool]string{true: "rbd trash rm --force volumes/", false: "look for objects rbd_data."} {
		w := newWorld(t)
		key := w.hollow("other", removing)
		found := w.check()
		if len(found) != 1 || !strings.Contains(found[0].Next, want) || !strings.Contains(found[0].Next, key.ImageID) {
			t.Errorf("removing %t: %+v", removing, found)
		}
	}
}

// removing says of every entry that Ceph has begun to remove it.
type removing struct{ *fakeceph.Ceph }

func (r removing) FindInTrash(ctx context.Context, key quarantine.Key) (quarantine.TrashEntry, error) {
	e, err := r.Ceph.FindInTrash(ctx, key)
	e.Removing = true
	return e, err
}

// What Ceph has begun to remove is found.
func TestCheckFindsHalfRemoved(t *testing.T) {
	w := newWorld(t)
	w.quarantined()
	var kinds []quarantine.CheckKind
	_, err := w.checker(removing{w.ceph}).Run(w.ctx, func(f quarantine.CheckFinding) error {
		kinds = append(kinds, f.Kind)
		return nil
	}, nil)
	if err != nil || !slices.Equal(kinds, []quarantine.CheckKind{quarantine.CheckHalfRemoved}) {
		t.Fatalf("found %q, %v", kinds, err)
	}
}

// What looks wrong because an act on it is under way is not accused: here a
// restore, stopped between the trash and the clone.
func TestCheckWaitsForActs(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	at, on := make(chan struct{}), make(chan struct{})
	w.proc.onPoint = func(name string) {
		if name == "restore.clone.before" {
			close(at)
			<-on
		}
	}
	done := make(chan error)
	go func() {
		_, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), quarantine.PoolRef{}, "copy", false, "a look", nil)
		done <- err
	}()
	<-at
	w.is(key, quarantine.Restoring)
	res, err := w.checker(w.ceph).Run(w.ctx, func(f quarantine.CheckFinding) error {
		t.Errorf("accused: %+v", f)
		return nil
	}, nil)
	if err != nil || res.Busy > 1 {
		t.Errorf("%+v, %v", res, err)
	}
	close(on)
	w.done(<-done)
	w.sound("after the restore")
}

// A check over many pages sees every row and entry, tells how far it is, changes
// nothing, and ends with whom it tells or its context.
func TestCheckGoesThroughAll(t *testing.T) {
	w := newWorld(t)
	const n = 1203
	for i := range n {
		key := w.create(vols, fmt.Sprint("v", i))
		w.remove(key)
		w.adopt(key)
	}
	var acts []string
	w.proc.onPoint = func(name string) {
		for _, looks := range []string{"EachTrash", "FindInTrash", "LookAt", "HasImage", "LiveImages"} {
			if name == "ceph."+looks+".before" || name == "ceph."+looks+".after" {
				return
			}
		}
		acts = append(acts, name)
	}
	var told []uint64
	res, err := w.checker(w.ceph).Run(w.ctx, func(f quarantine.CheckFinding) error { return fmt.Errorf("found %+v", f) },
		func(done, total uint64) {
			if total != n {
				t.Errorf("%d of %d", done, total)
			}
			told = append(told, done)
		})
	if err != nil || res.Rows != n || res.Entries != n || !slices.Equal(told, []uint64{500, 1000, n}) {
		t.Errorf("%+v, %v, told %v", res, err, told)
	}
	if len(acts) > 0 {
		t.Errorf("it did %q", acts)
	}
	for _, d := range w.disks()[:3] {
		w.ceph.CloudUnseal(d.Key)
	}
	enough, said := errors.New("enough"), 0
	if _, err := w.checker(w.ceph).Run(w.ctx, func(quarantine.CheckFinding) error { said++; return enough }, nil); !errors.Is(err, enough) || said != 1 {
		t.Errorf("told %d times: %v", said, err)
	}
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.checker(w.ceph).Run(ended, func(f quarantine.CheckFinding) error { t.Errorf("found %+v", f); return nil }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
