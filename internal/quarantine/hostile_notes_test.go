package quarantine_test

import (
	"errors"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A volume that a restore made, that was seen meanwhile and then taken back, is
// not lost.
func TestHostileTakenBackIsNotLost(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	w.onStep = func(s quarantine.CloudStep) {
		if s.Stage == quarantine.StageServer && s.Made == nil {
			w.reconcile() // the cron job, while Nova boots
		}
	}
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsServer, Network: "none"}); err == nil {
		t.Fatal("no error")
	}
	w.pass(2 * time.Hour)
	w.reconcile()
	lost, err := w.store.FindDisks(w.ctx, quarantine.DiskFilter{States: []quarantine.State{quarantine.Lost}})
	if err != nil || len(lost) > 0 {
		t.Errorf("%d disks are called lost (%v): %v", len(lost), err, w.log.errors())
	}
}

// A volume that could not be taken back is the cloud's; its later loss is told.
func TestHostileDiscardThatFailedIsForgotten(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	w.target.Hook = func(p string) error {
		if p == "Discard.before" {
			return errors.New("the volume has snapshots")
		}
		return nil
	}
	res, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsServer, Network: "none"})
	if err == nil || len(res.Made) != 1 {
		t.Fatalf("%v %+v", err, res)
	}
	v := w.one(quarantine.ResourceVolume)
	w.pass(30 * day)
	del := quarantine.Deletion{
		ID: quarantine.DeletionID("os", quarantine.KindVolumeDelete, v.ID, ""), Cloud: "os", CloudType: quarantine.CloudOpenStack,
		Kind: quarantine.KindVolumeDelete, ResourceKind: quarantine.ResourceVolume, ResourceID: v.ID, StartedAt: w.now(),
		Disks: []quarantine.DiskRef{{Name: "volume-" + v.ID, Prefix: true, Required: true}},
	}
	w.record(del)
	if err := w.ceph.CloudRename(vols, "volume-"+v.ID, "elsewhere"); err != nil { // it is under its name no more
		t.Fatal(err)
	}
	w.pass(3 * time.Hour)
	w.reconcile()
	lost, err := w.store.FindDisks(w.ctx, quarantine.DiskFilter{States: []quarantine.State{quarantine.Lost}})
	if err != nil || len(lost) != 1 {
		t.Errorf("%d lost records (%v): the loss is silent", len(lost), err)
	}
}

// An image that the image service has keeps the name that the restore gave it;
// when it is removed where no guard is on, it is missed.
func TestHostileGivenImageIsMissed(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage}); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	image := w.one(quarantine.ResourceImage).Key
	w.ceph.CloudDestroy(image)
	w.pass(time.Hour)
	w.reconcile()
	w.is(image, quarantine.Lost)
}
