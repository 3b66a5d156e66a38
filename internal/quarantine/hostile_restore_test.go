package quarantine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakecloud"
)

// deaf is a cloud whose image service does what it is asked for, and whose
// answer is lost.
type deaf struct {
	*fakecloud.Cloud
}

func (c *deaf) AdoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	if _, err := c.Cloud.AdoptImage(ctx, o); err != nil {
		return quarantine.Made{}, err
	}
	return quarantine.Made{}, errors.Join(quarantine.ErrUnavailable, errors.New("it is left in the cloud, because it may have the location"))
}

func (w *cloudWorld) through(c quarantine.CloudWriter) {
	w.clouds = quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
		Restorer: w.restorer, Clouds: []quarantine.CloudWriter{c}, Deletions: w.store, Snapshots: w.ceph, Reader: w.ceph,
		Discarder: w.collector, Marks: w.store, Pause: func(context.Context, time.Duration) error { return nil },
	})
}

// An image that the image service may have is not removed under it.
func TestHostileOfferedImageIsKept(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	w.through(&deaf{w.target})
	key := w.quarantined()
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage}); err == nil {
		t.Fatal("no error")
	}
	if _, ok := w.ceph.Look(w.one(quarantine.ResourceImage).Key); !ok {
		t.Error("the cloud has an image, and its RBD image was destroyed")
	}
}

// A mark and a record that the holder of the cloud's key wrote on a machine's
// own disk do not make the service destroy it.
func TestHostileForgedMark(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	victim := w.create(vms, diskName)
	img, err := w.ceph.OpenImage(w.ctx, victim)
	if err != nil {
		t.Fatal(err)
	}
	mark := `{"of":{"fsid":"fsid-1","pool":"vms","namespace":"","image_id":"nothing"},"to":{"fsid":"fsid-1","pool":"` + victim.Pool + `"},` +
		`"name":"quarantine-restore.x","as":"volume","by":"carol","at":"2099-01-01T00:00:00Z","phase":"discard","image_id":"` + victim.ImageID + `"}`
	if err := errors.Join(img.WriteRecord(w.ctx, []byte("x")), img.WriteMark(w.ctx, []byte(mark)), img.Close()); err != nil {
		t.Fatal(err)
	}
	w.remove(victim) // through the guard
	w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{})
	w.pass(time.Hour)
	rep := w.collector.Run(w.ctx, "test", quarantine.JobOptions{})
	if _, ok := w.ceph.Look(victim); !ok {
		t.Errorf("the service itself destroyed it: %+v", rep.Items)
	}
}

// An image is of the VM that its tenant wrote on it, if any: it is named, and is
// never given back as a disk of that VM.
func TestImageThatSaysItIsOfAVM(t *testing.T) {
	w := newCloudWorld(t)
	w.quarantined()
	id := "99999999-0000-4000-8000-000000000001"
	key := w.create(images, id)
	w.record(quarantine.Deletion{
		ID: quarantine.DeletionID("os", quarantine.KindImageDelete, id, ""), Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindImageDelete,
		ResourceKind: quarantine.ResourceImage, ResourceID: id, ResourceName: "mine", ServerID: server, Project: quarantine.Principal{ID: "another"},
		StartedAt: w.now(), EndedAt: w.now(), Disks: []quarantine.DiskRef{{Name: id, Role: "image"}},
	})
	w.remove(key)
	w.adopt(key)
	plan, err := w.clouds.Plan(w.ctx, quarantine.CloudOrder{VM: server, As: quarantine.AsServer, Network: fakecloud.Network, Name: "again", Reason: "asked for"})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range plan.Items {
		if it.Disk == key.DiskID() {
			t.Errorf("another's image is given back as the VM's: %+v", it)
		}
	}
	if !slices.ContainsFunc(plan.LeftOut, func(it quarantine.PlanItem) bool { return it.Disk == key.DiskID() }) {
		t.Errorf("the plan does not name it: %+v", plan)
	}
}
