package quarantine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// stranded is a copy of a disk that a killed restore left behind in the cloud's
// volume pool.
func (w *cloudWorld) stranded(as string) (disk, clone quarantine.Key) {
	w.t.Helper()
	disk = w.quarantined()
	w.target.Hook = func(string) error {
		w.proc.exit()
		return w.proc.point("killed")
	}
	w.run(func() { _, _ = w.give(quarantine.CloudOrder{Disk: disk.DiskID(), As: as}) })
	w.restart()
	for _, key := range w.ceph.All() {
		if key != disk {
			return disk, key
		}
	}
	w.t.Fatalf("nothing was left behind")
	return disk, clone
}

// A run of the collector discards what a crash left behind when it is an hour
// old, and tells of it before; a dry run only tells.
func TestLeftoverIsDiscarded(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk, clone := w.stranded(quarantine.AsVolume)
	w.reconcile()
	if got := did(w.collect(), "discard"); len(got) != 0 {
		t.Errorf("at once: %+v", got)
	}
	w.pass(time.Hour)
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	if got := did(rep, "discard"); len(got) != 1 || got[0].Disk != disk.DiskID() || got[0].Error != "" {
		t.Errorf("dry run: %+v", rep)
	}
	if _, ok := w.ceph.Look(clone); !ok {
		t.Error("the dry run has removed it")
	}
	if got := did(w.collect(), "discard"); len(got) != 1 || got[0].Error != "" {
		t.Errorf("%+v", got)
	}
	w.only(disk)
	w.intact(disk)
	if got := w.custody.of(disk); got[len(got)-1] != "discard done" || got[len(got)-2] != "discard intent" {
		t.Errorf("custody: %q", got)
	}
}

// What a crash cut short when all but the clone's entry in the trash had gone is
// ended. An entry whose image Ceph has not begun to remove stays, and so does one of
// whose restore the custody log knows nothing.
func TestDiscardCutShortIsEnded(t *testing.T) {
	t.Parallel()
	for removing, want := range map[bool]quarantine.CheckKind{true: quarantine.CheckUnfinished, false: quarantine.CheckHollowEntry} {
		t.Run(fmt.Sprint("removing ", removing), func(t *testing.T) {
			w := newCloudWorld(t)
			disk, clone := w.stranded(quarantine.AsVolume)
			w.pass(time.Hour)
			w.ceph.FailNext("Remove", 1, quarantine.ErrUnavailable)
			w.collect()
			w.ceph.CloudHollow(clone, removing)
			strange := w.hollow(quarantine.RestorePrefix+disk.DiskID()+".ffff", true)
			kinds := map[string]quarantine.CheckKind{}
			for _, f := range w.check() {
				kinds[f.ImageID] = f.Kind
			}
			if len(kinds) != 2 || kinds[clone.ImageID] != want || kinds[strange.ImageID] != quarantine.CheckHollowEntry {
				t.Errorf("a check finds %v", kinds)
			}
			plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
			if rep := w.collect(); !slices.Equal(plan.Items, rep.Items) {
				t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
			}
			if _, there := w.ceph.Look(clone); there == removing {
				t.Errorf("the entry of the clone is there: %t", there)
			}
			if _, there := w.ceph.Look(strange); !there {
				t.Error("the strange entry is gone")
			}
			w.intact(disk)
		})
	}
}

// A plan lists what may be left over before all else: what has gone by the time it comes
// to that is not in it.
func TestPlanOfADiscardLooksAgain(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	_, clone := w.stranded(quarantine.AsVolume)
	w.pass(time.Hour)
	w.ceph.FailNext("Remove", 1, quarantine.ErrUnavailable)
	w.collect()
	w.ceph.CloudHollow(clone, true)
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "HasImage" && k.Key == clone {
			w.ceph.CloudDestroy(clone)
		}
		return nil
	})
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	if _, there := w.ceph.Look(clone); there || rep.Stopped != "" || len(did(rep, "discard")) != 0 {
		t.Errorf("the entry is there: %t; plan %+v", there, rep)
	}
}

// A restore that died inside Ceph's own steps, with the clone's name taken and no
// clone: a run of the collector frees the name, and removes nothing. What bears a
// name of a restore's that the custody log does not know of stays, and so does what
// a restore that is under way has just begun.
func TestNameOfARestoreIsFreed(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk := w.quarantined()
	var name string
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "LiveImages" && strings.HasPrefix(k.Name, quarantine.RestorePrefix+disk.DiskID()) {
			name = k.Name
		}
		if k.Verb == "Clone" {
			w.proc.exit()
			return w.proc.point("killed")
		}
		return nil
	})
	w.run(func() { _, _ = w.give(quarantine.CloudOrder{Disk: disk.DiskID(), As: quarantine.AsVolume}) })
	w.ceph.Before(nil)
	w.restart()
	w.reconcile()
	for _, name := range []string{name, name + "1"} {
		if _, err := w.ceph.CloudCreateCut(vols, name); err != nil {
			t.Fatal(err)
		}
	}
	if found := w.check(); len(found) != 0 {
		t.Errorf("at once a check finds %+v", found)
	}
	if got := did(w.collect(), "discard"); len(got) != 0 {
		t.Errorf("at once: %+v", got)
	}
	w.pass(time.Hour)
	if found := w.check(); len(found) != 1 || found[0].Kind != quarantine.CheckUnfinished {
		t.Errorf("a check finds %+v", found)
	}
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	if got := did(rep, "discard"); len(got) != 1 || got[0].Disk != disk.DiskID() || got[0].Name != name {
		t.Errorf("dry run: %+v", rep)
	}
	// Another restore of the disk is making its clone.
	w.pass(time.Second)
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb != "Clone" {
			return nil
		}
		w.ceph.Before(nil)
		if got := did(w.collect(), "discard"); len(got) != 0 {
			t.Errorf("while the disk is restored: %+v", got)
		}
		return errors.New("full")
	})
	if _, err := w.give(quarantine.CloudOrder{Disk: disk.DiskID(), As: quarantine.AsVolume}); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("restored without a clone: %v", err)
	}
	if got := did(w.collect(), "discard"); len(got) != 1 || got[0].Error != "" {
		t.Errorf("%+v", got)
	}
	live, err := w.ceph.LiveImages(w.ctx, vols, "")
	if err != nil || len(live) != 1 || live[name+"1"] == "" {
		t.Errorf("live is %v, %v", live, err)
	}
	w.only(disk)
	w.intact(disk)
	if got := w.custody.of(disk); got[len(got)-1] != "discard done" || got[len(got)-2] != "discard intent" {
		t.Errorf("custody: %q", got)
	}
}

// An image under a restore's name that bears no mark is a clone that is being made,
// while its disk is in use; else it is told of, and nobody removes it.
func TestCloneWithoutAMark(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk := w.quarantined()
	clone, err := w.ceph.CloudCreate(vols, quarantine.RestorePrefix+disk.DiskID()+".1", 4096)
	if err != nil {
		t.Fatal(err)
	}
	looked := false
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "ReadSealed" {
			w.ceph.Before(nil)
			w.sound("while the disk is in use")
			looked = true
		}
		return nil
	})
	if _, err := w.exporter.Export(w.ctx, "carol", disk.DiskID(), "a look", &nowhere{}); err != nil || !looked {
		t.Fatalf("exported: %v, %v", looked, err)
	}
	if found := w.check(); len(found) != 1 || found[0].Kind != quarantine.CheckReservedName || !strings.Contains(found[0].Next, "rbd rm") {
		t.Errorf("a check finds %+v", found)
	}
	w.pass(2 * day)
	w.collect()
	w.only(disk, clone)
}

// An image that the image service may have is told of and stays.
func TestOfferedImageStays(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk, clone := w.stranded(quarantine.AsImage)
	w.pass(2 * day)
	if got := did(w.collect(), "leftover"); len(got) != 1 || got[0].Error != "" {
		t.Errorf("%+v", got)
	}
	w.only(disk, clone)
	// If somebody deletes it there, it is evidence as any other.
	st, _ := w.ceph.Look(clone)
	if err := w.ceph.CloudRemove(images, st.Name); err != nil {
		t.Fatal(err)
	}
	w.died[clone] = st.Content
	w.reconcile()
	w.is(clone, quarantine.Quarantined)
}

// Nothing but a restore's own copy is ever discarded: not a disk, not a live
// image of a cloud, not a copy of a copy with the same mark, not one that a
// cloud has, not one that is in use or has a clone, and none without a custody
// entry.
func TestDiscardRefuses(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk, clone := w.stranded(quarantine.AsVolume)
	st, _ := w.ceph.Look(clone)
	discard := func(key quarantine.Key) error { return w.collector.DiscardClone(w.ctx, "carol", key, "a try") }
	if err := discard(disk); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("the disk: %v", err)
	}
	alive := w.create(vols, quarantine.RestorePrefix+disk.DiskID()+".1")
	if err := discard(alive); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("a live image without a mark: %v", err)
	}
	// A clone and a copy of it bear the same mark, and the disk does.
	if err := w.ceph.CloudSnapshot(vols, st.Name, "s"); err != nil {
		t.Fatal(err)
	}
	child, err := w.ceph.CloudClone(vols, st.Name, "s", vols, quarantine.RestorePrefix+"copy")
	if err != nil {
		t.Fatal(err)
	}
	if err := discard(child); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("a clone of the copy: %v", err)
	}
	if err := discard(clone); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("one with a clone: %v", err)
	}
	w.ceph.CloudDestroy(child)
	stop, err := w.ceph.CloudWatch(clone, "client.7")
	if err != nil {
		t.Fatal(err)
	}
	if err := discard(clone); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("one that is open: %v", err)
	}
	stop()
	if err := w.ceph.CloudRename(vols, st.Name, "volume-x"); err != nil {
		t.Fatal(err)
	}
	if err := discard(clone); !errors.Is(err, quarantine.ErrConflict) {
		t.Errorf("one that a cloud has renamed: %v", err)
	}
	w.pass(day)
	w.collect()
	if _, ok := w.ceph.Look(clone); !ok {
		t.Fatal("it was removed")
	}
	if err := w.ceph.CloudRename(vols, "volume-x", st.Name); err != nil {
		t.Fatal(err)
	}
	w.custody.fail(errors.New("disk full"))
	if err := discard(clone); err == nil {
		t.Error("unseen")
	}
	w.custody.fail(nil)
	w.nothingRemoved()
	if err := discard(clone); err != nil {
		t.Error(err)
	}
	w.only(disk, alive)
	if err := discard(clone); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

// A volume that was given to a cloud and deleted there later is evidence again,
// with the life it had there.
func TestGivenVolumeDies(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk := w.quarantined()
	if _, err := w.give(quarantine.CloudOrder{Disk: disk.DiskID(), As: quarantine.AsVolume}); err != nil {
		t.Fatal(err)
	}
	v := w.one(quarantine.ResourceVolume)
	if err := w.ceph.CloudWrite(v.Key, 0, []byte("used")); err != nil {
		t.Fatal(err)
	}
	st, _ := w.ceph.Look(v.Key)
	w.died[v.Key] = st.Content
	if err := w.target.Discard(w.ctx, v.Made); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	w.collect()
	w.is(v.Key, quarantine.Quarantined)
	w.intact(v.Key)
}

// The cloud reports the deletion of a volume that a failed restore took back,
// as of any other; its disk is not missed.
func TestDiscardedVolumeIsNotLost(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk := w.quarantined()
	res, err := w.give(quarantine.CloudOrder{Disk: disk.DiskID(), As: quarantine.AsServer, Network: "none"})
	if err == nil || len(res.Removed) != 2 {
		t.Fatalf("%v, %+v", err, res)
	}
	report := func(id string) {
		w.record(quarantine.Deletion{
			ID: quarantine.DeletionID("os", quarantine.KindVolumeDelete, id, ""), Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindVolumeDelete,
			ResourceKind: quarantine.ResourceVolume, ResourceID: id, StartedAt: w.now(),
			Disks: []quarantine.DiskRef{{Name: "volume-" + id, Prefix: true, Required: true}},
		})
	}
	report("00000000-0000-4000-8000-000000000001") // the first that the cloud made
	w.pass(day)
	w.reconcile()
	if got := w.disks(quarantine.Lost); len(got) != 0 {
		t.Errorf("lost: %+v", got)
	}
	report("00000000-0000-4000-8000-000000000002") // what nobody knows
	w.pass(day)
	w.reconcile()
	if got := w.disks(quarantine.Lost); len(got) != 1 {
		t.Errorf("lost: %d", len(got))
	}
}

// A discard that is cut short at any point is finished by the next runs, or had
// not begun; the adopter does not take the copy for something that died.
func TestDiscardFaultWalk(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{nil, errors.New("input/output error")} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			t.Parallel()
			walk := func(at int) []string {
				w := newCloudWorld(t)
				disk, clone := w.stranded(quarantine.AsVolume)
				w.pass(2 * time.Hour)
				w.safety.Workers = 1
				w.restart()
				w.proc.at, w.proc.fault = at, fault
				w.run(func() { w.collector.Run(w.ctx, "cron", quarantine.JobOptions{}) })
				points := w.proc.points
				w.restart()
				for range 3 {
					w.reconcile()
					w.collect()
				}
				if _, err := w.store.Disk(w.ctx, clone.DiskID()); !errors.Is(err, quarantine.ErrNotFound) {
					t.Errorf("at %d: the copy is a disk now: %v", at, err)
				}
				w.only(disk)
				w.intact(disk)
				return points
			}
			points := walk(0)
			if len(points) < 20 {
				t.Fatalf("only %q", points)
			}
			for _, n := range distinct(points, fault == nil) {
				walk(n + 1)
			}
		})
	}
}
