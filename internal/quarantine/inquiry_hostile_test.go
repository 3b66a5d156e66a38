package quarantine_test

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A server that was shelved between the last look and its delete has lost
// nothing: its disk died by the offload, and is in quarantine.
func TestShelvedThenDeletedIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	root := w.image(vms, "s1_disk")
	w.ask() // the sighting requires s1_disk
	w.jump(time.Minute)
	shelve := w.cloud.server("s1")
	shelve.Kind, shelve.RequestID = quarantine.KindShelveOffload, "req-shelve"
	shelve.ID = quarantine.DeletionID("os", shelve.Kind, "s1", "req-shelve")
	shelve.StartedAt, shelve.EndedAt = w.now(), w.now().Add(5*time.Second)
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{shelve}); err != nil {
		t.Fatal(err)
	}
	w.gone(vms, "s1_disk")
	w.look()
	w.jump(10 * time.Minute)
	w.cloud.kill("s1", w.now())
	del := w.cloud.server("s1")
	del.StartedAt, del.EndedAt = w.now(), w.now().Add(time.Second)
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{del}); err != nil {
		t.Fatal(err)
	}
	w.ask()
	w.jump(2 * w.lost)
	w.look()
	if d := w.is(root, quarantine.Quarantined); d.Deletion == nil || d.Deletion.Kind != quarantine.KindShelveOffload {
		t.Fatalf("%+v", d.Deletion)
	}
	lost, err := w.store.FindDisks(w.ctx, quarantine.DiskFilter{States: []quarantine.State{quarantine.Lost}})
	if err != nil || len(lost) > 0 {
		t.Errorf("lost: %d %v", len(lost), err)
	}
}

// The disk that died by a rebuild does not stand in for the one of the same name
// that the delete destroyed behind the guard's back.
func TestCoverageOfTwoDisksOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	w.image(vms, "s1_disk")
	rebuild := w.cloud.server("s1")
	rebuild.Kind, rebuild.RequestID = quarantine.KindRebuild, "req-r"
	rebuild.ID = quarantine.DeletionID("os", rebuild.Kind, "s1", "req-r")
	rebuild.StartedAt, rebuild.EndedAt = w.now(), w.now().Add(5*time.Second)
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{rebuild}); err != nil {
		t.Fatal(err)
	}
	w.gone(vms, "s1_disk")
	w.look()
	w.jump(10 * time.Minute)
	// The new disk came and went unseen in a pool without a guard.
	w.image(unguarded, "s1_disk")
	w.gone(unguarded, "s1_disk")
	w.cloud.kill("s1", w.now())
	del := w.cloud.server("s1")
	del.StartedAt, del.EndedAt = w.now(), w.now().Add(time.Second)
	for i := range del.Disks {
		del.Disks[i].Required = del.Disks[i].Name == "s1_disk" // an event proves it (openstack disks.go)
	}
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{del}); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Minute)
	if c := w.cover(); c.Percent() == 100 {
		t.Errorf("100 %%: %+v", c)
	}
}

// A server that came after the listing lives: its failed first build's disk is
// not explained by a delete.
func TestServerThatCameAfterTheListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.image(vms, "s1_disk")
	w.gone(vms, "s1_disk")
	w.look()
	w.cloud.hidden = w.cloud.boot(w.cloud.server("s1")).ResourceID
	w.ask()
	if d := w.disk(key); d.Deletion != nil {
		t.Errorf("explained by %+v", d.Deletion)
	}
}
