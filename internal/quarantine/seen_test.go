package quarantine_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// given is a disk that was given back in place, and is the cloud's again.
func (w *world) given() quarantine.Key {
	w.t.Helper()
	key := w.quarantined()
	w.jump(10 * time.Minute)
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "asked for"); err != nil {
		w.t.Fatalf("restore: %v", err)
	}
	if err := w.collector.Unseal(w.ctx, "carol", key.DiskID(), "given back"); err != nil {
		w.t.Fatalf("unseal: %v", err)
	}
	return key
}

// onlyLost looks until all deletions are due, and checks that this image, and no
// other disk, is lost, once.
func (w *world) onlyLost(key quarantine.Key) quarantine.Disk {
	w.t.Helper()
	w.look()
	w.pass(2 * w.lost)
	w.look()
	lost := w.disks(quarantine.Lost)
	if len(lost) != 1 || lost[0].Key != key || lost[0].ID != key.DiskID() {
		w.t.Fatalf("lost: %+v", lost)
	}
	if n := strings.Count(strings.Join(w.log.errors(), ""), "disk lost"); n != 1 {
		w.t.Errorf("%d errors of a loss in the log", n)
	}
	return lost[0]
}

// A disk that was given back in place and is destroyed later, where no guard
// stops it, is missed by the coverage and then lost by its id, whether it was
// seen live meanwhile or not, for ever after and from the first moment on. The
// deletion that it came into quarantine by has its disk all the same.
func TestRestoredAndDestroyed(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*world){
		"unseen":             func(*world) {},
		"seen":               func(w *world) { w.jump(time.Minute); w.look() },
		"seen for long":      func(w *world) { w.pass(3 * time.Hour); w.look(); w.pass(30 * day); w.look() },
		"under another name": func(w *world) { _ = w.ceph.CloudRename(vms, diskName, "renamed"); w.look() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.given()
			promised := w.disk(key)
			meanwhile(w)
			st, _ := w.ceph.Look(key)
			w.jump(time.Hour)
			w.ceph.CloudDestroy(key)
			w.jump(time.Minute)
			if c := w.cover(); c.Missed != 1 || c.Lost != 0 || verdicts(c)[st.Name] != quarantine.VerdictMissed {
				t.Errorf("coverage: %+v", c)
			}
			d := w.onlyLost(key)
			if d.OriginalName != st.Name || d.Deletion != nil || d.Sealed || !d.AliveSince.Equal(promised.RestoredAt) || !d.RetainUntil.Equal(promised.RetainUntil) {
				t.Errorf("%+v", d)
			}
			if c := w.cover(); c.Missed != 0 || c.Lost != 1 {
				t.Errorf("coverage later: %+v", c)
			}
			if got := w.custody.of(key); got[len(got)-1] != "lost done" {
				t.Errorf("custody: %q", got)
			}
		})
	}
}

// A dry run tells of it and changes nothing, and where Ceph does not answer
// nothing is concluded.
func TestRestoredAndDestroyedIsNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.given()
	w.ceph.CloudDestroy(key)
	if got := acts(w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{DryRun: true}), "lost"); !slices.Equal(got, []string{diskName}) {
		t.Errorf("dry run: %q", got)
	}
	w.is(key, quarantine.Restored)
	w.ceph.FailNext("HasImage", 1, quarantine.ErrUnavailable)
	if rep := w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{}); len(acts(rep, "lost")) > 0 || rep.Failed() != 1 {
		t.Errorf("Ceph does not answer: %+v", rep)
	}
	w.is(key, quarantine.Restored)
	w.onlyLost(key)
}

// The loss is explained by what was reported of the new life, never by the
// deletion that ended the one before.
func TestRestoredAndDestroyedIsExplained(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} {
		w := newWorld(t)
		key := w.given()
		w.jump(30 * time.Minute)
		w.look()
		again := w.deleteOf(quarantine.KindRebuild, "req-2")
		w.ceph.CloudDestroy(key)
		w.jump(time.Minute)
		if early {
			w.record(again)
		}
		w.look()
		if !early {
			w.record(again)
		}
		if d := w.onlyLost(key); d.DeletionID() != again.ID {
			t.Errorf("reported early %t: explained by %+v", early, d.Deletion)
		}
	}
}

// moved is a volume's disk that was given back to the cloud itself, not a copy.
func (w *cloudWorld) moved() quarantine.Key {
	w.t.Helper()
	key := w.volumeDisk("22222222-2222-3333-4444-555555555555")
	w.jump(10 * time.Minute)
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true}); err != nil {
		w.t.Fatalf("move: %v", err)
	}
	return key
}

// A volume that was moved to a cloud is another volume there. When its image is
// destroyed it is missed under its new name, and the deletion of the old volume
// has its disk.
func TestMovedAndDestroyed(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.moved()
	name := "volume-" + w.one(quarantine.ResourceVolume).ID
	w.is(key, quarantine.Restored)
	w.ceph.CloudDestroy(key)
	w.jump(time.Minute)
	if c := w.cover(); c.Missed != 1 || verdicts(c)[name] != quarantine.VerdictMissed {
		t.Errorf("coverage: %+v", c)
	}
	if d := w.onlyLost(key); d.OriginalName != name || d.Deletion != nil {
		t.Errorf("%+v", d)
	}
	if c := w.cover(); c.Missed != 0 || c.Lost != 1 {
		t.Errorf("coverage later: %+v", c)
	}
}

// A disk that was given back and deleted again is not lost: not while it lies in
// the trash, not in quarantine, and not when its time was over and it was
// purged. Neither is what its first deletion required, whatever its name is now.
func TestRestoredAndDeletedAgainIsNotLost(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.moved()
	none := func(when string) {
		t.Helper()
		if lost := w.disks(quarantine.Lost); len(lost) > 0 {
			t.Fatalf("%s, lost: %+v", when, lost)
		}
		if c := w.cover(); c.Percent() != 100 {
			t.Fatalf("%s: %+v", when, c)
		}
	}
	w.reconcile()
	none("live")
	w.jump(time.Minute)
	w.remove(key)
	w.reconcile() // it bears its old seal, and is not adopted yet
	w.is(key, quarantine.Restored)
	none("in the trash")
	w.collect()
	w.reconcile()
	w.is(key, quarantine.Quarantined)
	none("in quarantine")
	w.pass(2 * w.lost)
	w.reconcile()
	none("in quarantine for long")
	w.pass(unexplainedRetain + retain)
	w.collect()
	w.pass(grace)
	w.collect()
	w.is(key, quarantine.Purged)
	w.reconcile()
	none("purged")
}

// A copy whose removal by a restore came to nothing is a cloud's: seen alive
// later and destroyed, it is lost as any other image.
func TestCopyThatOutlivedItsDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun := []byte(`{"from":"` + w.now().Format(time.RFC3339) + `"}`) // and cut short
	kept, taken := w.image(vols, "volume-kept"), w.image(vols, "volume-taken")
	for _, key := range []quarantine.Key{kept, taken} {
		if err := w.store.SetMark(w.ctx, "discarded-image/"+key.DiskID(), begun); err != nil {
			t.Fatal(err)
		}
	}
	w.look()
	w.ceph.CloudDestroy(taken)
	w.pass(day)
	w.look()
	if lost := w.disks(quarantine.Lost); len(lost) > 0 {
		t.Errorf("taken back, and lost: %+v", lost)
	}
	w.ceph.CloudDestroy(kept)
	w.onlyLost(kept)
}

// A name that a client took, and died before there was an image, is no image that
// could be lost when another is made of that name. The other is missed as any.
func TestNameWithoutAnImageIsNotLost(t *testing.T) {
	t.Parallel()
	for name, pool := range map[string]quarantine.PoolRef{diskName: vms, quarantine.CopyPrefix + "0123456789abcdef": evidence} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.evidencePool()
			if _, err := w.ceph.CloudCreateCut(pool, name); err != nil {
				t.Fatal(err)
			}
			w.look()
			if err := w.ceph.CreateImage(w.ctx, pool, name, 1<<20); err != nil {
				t.Fatal(err)
			}
			w.pass(day)
			w.look()
			if lost := w.disks(quarantine.Lost); len(lost) > 0 {
				t.Fatalf("lost: %+v", lost)
			}
			key, _ := w.ceph.LookLive(pool, name)
			w.ceph.CloudDestroy(key)
			w.onlyLost(key)
		})
	}
}

// Where Ceph does not say of some new image whether it is there, the run says so, and
// remembers the others; the next one remembers it, too.
func TestNewImageIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.safety.Workers = 1 // one after the other
	w.restart()
	const before = 3
	for i := range before + 1 {
		w.image(vms, fmt.Sprint("new-", i))
	}
	var asked atomic.Int64
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "HasImage" && asked.Add(1) == before+1 {
			return quarantine.ErrUnavailable
		}
		return nil
	})
	remembered := func(want int) {
		t.Helper()
		if seen, err := w.store.SeenImages(w.ctx, vms); err != nil || len(seen) != want {
			t.Errorf("%d images are remembered, want %d: %v", len(seen), want, err)
		}
	}
	if rep := w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{}); rep.Failed() != 1 {
		t.Errorf("Ceph does not answer: %+v", rep)
	}
	remembered(before)
	w.look()
	remembered(before + 1)
	if n := asked.Load(); n != before+2 {
		t.Errorf("asked %d times", n)
	}
}
