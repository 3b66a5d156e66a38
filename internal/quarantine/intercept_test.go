package quarantine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// drivers are asked about the disk of an OpenNebula VM, which is a clone of
// one-1.
const oneDisk = "one-1-19-0"

// terminated is the deletion of the VM, begun now; it requires nothing.
func (w *world) terminated() quarantine.Deletion {
	return quarantine.Deletion{
		ID: quarantine.DeletionID("os", quarantine.KindDelete, "19", ""), Cloud: "os", CloudType: quarantine.CloudOpenNebula, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "19", ResourceName: "web", StartedAt: w.now(),
		Disks: []quarantine.DiskRef{{Name: oneDisk, Prefix: true, Role: "root"}},
	}
}

func (w *world) interceptor() *quarantine.Interceptor {
	return quarantine.NewInterceptor(w.recorder, w.ceph)
}

// asks is a driver's question about the VM's disk.
func (w *world) asks(d quarantine.Deletion, want quarantine.Instruction) quarantine.Interception {
	w.t.Helper()
	got, err := w.interceptor().Intercept(w.ctx, d, d.Disks)
	if err != nil {
		w.t.Fatalf("intercept: %v", err)
	}
	if got.Act != want {
		w.t.Fatalf("the driver is told %+v, want %s", got, want)
	}
	return got
}

// In a pool with a guard the driver goes on, and what it removes is joined and
// accounted for; a driver that is run again, before the disk is adopted or
// after, is told that all is done.
func TestInterceptWithGuard(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, oneDisk)
	d := w.terminated()
	w.asks(d, quarantine.Proceed)
	if st, _ := w.ceph.Look(key); st.InTrash {
		t.Error("the disk was moved, although the guard keeps it")
	}
	w.remove(key)
	w.asks(d, quarantine.Done)
	w.adopt(key)
	if got := w.asks(d, quarantine.Done); len(got.Disks) != 1 || got.Disks[0] != key.DiskID() {
		t.Errorf("the answer is about %v", got.Disks)
	}
	if disk := w.is(key, quarantine.Quarantined); disk.DeletionID() != d.ID || disk.Role != "root" {
		t.Errorf("the disk is of deletion %q, role %q", disk.DeletionID(), disk.Role)
	}
	w.intact(key)
}

// What a driver was about to remove and is nowhere afterwards is lost, and told.
func TestInterceptedAndNowhere(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, oneDisk)
	w.asks(w.terminated(), quarantine.Proceed)
	w.ceph.CloudDestroy(key)
	w.jump(2 * time.Hour)
	w.reconcile()
	if lost := w.disks(quarantine.Lost); len(lost) != 1 || lost[0].OriginalName != oneDisk {
		t.Errorf("lost are %v", lost)
	}
}

// Without a guard, or with one that is off, the disk is moved and sealed before
// the driver is answered, with what a revert to a snapshot left of it, and
// nothing else: not another VM's, nor the base image.
func TestInterceptSeizes(t *testing.T) {
	for name, pool := range map[string]quarantine.PoolRef{"no guard": unguarded, "guard off": vms} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.ceph.WriteGuard(w.ctx, pool, quarantine.GuardSetting{}); err != nil {
				t.Fatal(err)
			}
			key, reverted := w.create(pool, oneDisk), w.create(pool, oneDisk+"-0:1")
			for _, k := range []quarantine.Key{key, reverted} {
				st, _ := w.ceph.Look(k)
				w.died[k] = st.Content
			}
			others := []quarantine.Key{w.create(pool, "one-1"), w.create(pool, "one-1-19-01"), w.create(pool, "one-1-190-0")}
			d := w.terminated()
			if got := w.asks(d, quarantine.Done); len(got.Disks) != 2 {
				t.Errorf("the answer is about %v", got.Disks)
			}
			for _, k := range []quarantine.Key{key, reverted} {
				if disk := w.is(k, quarantine.Quarantined); disk.Capture != quarantine.CaptureDriver || disk.DeletionID() != d.ID {
					t.Errorf("capture %s, deletion %q", disk.Capture, disk.DeletionID())
				}
				w.intact(k)
			}
			for _, k := range others {
				if st, ok := w.ceph.Look(k); !ok || st.InTrash {
					t.Errorf("%s was taken too", st.Name)
				}
			}
			w.asks(d, quarantine.Done)
			w.nothingRemoved()
		})
	}
}

// An image whose parent's name goes on after its own is seized under a guard
// too: the driver would take the parent, another VM's disk, for a snapshot of
// the image and remove it first.
func TestInterceptWhatClimbs(t *testing.T) {
	w := newWorld(t)
	neighbour := w.create(vms, "one-55-1-0")
	if err := w.ceph.CloudSnapshot(vms, "one-55-1-0", "g"); err != nil {
		t.Fatal(err)
	}
	key, err := w.ceph.CloudClone(vms, "one-55-1-0", "g", vms, "one-5")
	if err != nil {
		t.Fatal(err)
	}
	d := w.terminated()
	d.ID, d.Kind, d.ResourceKind, d.ResourceID = quarantine.DeletionID("os", quarantine.KindImageDelete, "5", ""), quarantine.KindImageDelete, quarantine.ResourceImage, "5"
	d.Disks = []quarantine.DiskRef{{Pool: "vms", Name: "one-5", Role: "image"}}
	w.asks(d, quarantine.Done)
	w.is(key, quarantine.Quarantined)
	if st, ok := w.ceph.Look(neighbour); !ok || st.InTrash {
		t.Error("the neighbour's disk is not live any more")
	}
}

// A disk of an earlier life of the name is not the one that is asked about: the
// driver is not told that all is done when nothing was.
func TestInterceptIsNotAboutAnEarlierLife(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, oneDisk)
	w.asks(w.terminated(), quarantine.Proceed)
	w.remove(key)
	w.adopt(key)
	w.jump(time.Hour)
	again := w.terminated()
	again.Kind, again.ID = quarantine.KindRecreate, quarantine.DeletionID("os", quarantine.KindRecreate, "19", "seq 1")
	if got := w.asks(again, quarantine.Proceed); !strings.Contains(got.Reason, "no image") {
		t.Errorf("the reason is %q", got.Reason)
	}
}

// A disk of the very act is, whatever the clocks of the cloud and of this host
// say: here the cloud's is an hour ahead.
func TestInterceptWithOtherClocks(t *testing.T) {
	w := newWorld(t)
	key := w.create(unguarded, oneDisk)
	d := w.terminated()
	d.StartedAt = w.now().Add(time.Hour)
	w.asks(d, quarantine.Done)
	if disk := w.disk(key); disk.DeletionID() != d.ID {
		t.Errorf("the disk is of deletion %q", disk.DeletionID())
	}
	w.jump(10 * time.Minute) // the driver is run again
	if got := w.asks(d, quarantine.Done); len(got.Disks) != 1 || got.Disks[0] != key.DiskID() {
		t.Errorf("the answer is about %v", got.Disks)
	}
}

// What somebody else changes at the same moment is looked at again; a conflict
// that does not end is told.
func TestInterceptLooksAgain(t *testing.T) {
	for fails, act := range map[int]quarantine.Instruction{2: quarantine.Done, 3: ""} {
		w := newWorld(t)
		w.create(unguarded, oneDisk)
		d := w.terminated()
		w.ceph.FailNext("MoveToTrash", fails, quarantine.ErrConflict)
		if act != "" {
			w.asks(d, act)
		} else if got, err := w.interceptor().Intercept(w.ctx, d, d.Disks); !errors.Is(err, quarantine.ErrConflict) {
			t.Errorf("the driver is told %+v, %v", got, err)
		}
	}
}

// A pool that is not in this service's care, and a call that destroys nothing,
// let the driver go on; the reason says which it was.
func TestInterceptNothingOfOurs(t *testing.T) {
	w := newWorld(t)
	d := w.terminated()
	d.Disks[0].Pool = "elsewhere"
	if got := w.asks(d, quarantine.Proceed); !strings.Contains(got.Reason, "elsewhere is not in this service's care") {
		t.Errorf("the reason is %q", got.Reason)
	}
	if got := w.asks(quarantine.Deletion{Cloud: "os"}, quarantine.Proceed); !strings.Contains(got.Reason, "no disk dies") {
		t.Errorf("the reason is %q", got.Reason)
	}
}

// While Ceph does not answer nothing is said, whatever it was that failed, and
// the disk is as it was or in quarantine; asked again, all is well.
func TestInterceptSaysNothingOfWhatItDoesNotKnow(t *testing.T) {
	for _, verb := range []string{"LiveImages", "MoveToTrash", "OpenImage", "WriteRecord", "Seal"} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			key := w.create(unguarded, oneDisk)
			st, _ := w.ceph.Look(key)
			w.died[key] = st.Content
			d := w.terminated()
			w.ceph.FailNext(verb, 1, quarantine.ErrUnavailable)
			if got, err := w.interceptor().Intercept(w.ctx, d, d.Disks); !errors.Is(err, quarantine.ErrUnavailable) {
				t.Fatalf("answered %+v, %v", got, err)
			}
			w.reconcile()
			w.asks(d, quarantine.Done)
			w.is(key, quarantine.Quarantined)
			w.intact(key)
		})
	}
}

// A disk whose row says that it is in quarantine, and that somebody has taken out
// of the trash and uses, is not said to be kept.
func TestInterceptDoesNotBelieveTheRow(t *testing.T) {
	w := newWorld(t)
	key := w.create(unguarded, oneDisk)
	st, _ := w.ceph.Look(key)
	w.died[key] = st.Content
	d := w.terminated()
	w.asks(d, quarantine.Done)
	if err := w.ceph.CloudRestore(key, oneDisk); err != nil {
		t.Fatal(err)
	}
	if got, err := w.interceptor().Intercept(w.ctx, d, d.Disks); err == nil {
		t.Errorf("the driver is told %+v of a disk that is live", got)
	}
}

// The intent to seize a disk that was destroyed before the move is no disk in
// quarantine.
func TestInterceptDoesNotBelieveAnIntent(t *testing.T) {
	w := newWorld(t)
	key := w.create(unguarded, oneDisk)
	d := w.terminated()
	w.ceph.FailNext("MoveToTrash", 1, quarantine.ErrUnavailable)
	if _, err := w.interceptor().Intercept(w.ctx, d, d.Disks); err == nil {
		t.Fatal("answered although the move failed")
	}
	w.ceph.CloudDestroy(key)
	w.asks(d, quarantine.Proceed)
}

// A disk that was given back in place and still bears its seal is not left to a
// driver, which would remove what was restored from the seal.
func TestInterceptWhatIsSealed(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, oneDisk)
	w.asks(w.terminated(), quarantine.Proceed)
	w.remove(key)
	w.adopt(key)
	if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", false, "needed", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "again"); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Hour)
	w.asks(w.terminated(), quarantine.Done)
	if st, ok := w.ceph.Look(key); !ok || !st.InTrash || !st.Sealed {
		t.Errorf("the disk is %+v, %v", st, ok)
	}
	if _, live := w.ceph.LookLive(vols, "copy"); !live {
		t.Error("what was restored from it is gone")
	}
}
