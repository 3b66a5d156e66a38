package quarantine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

const (
	server   = "11111111-2222-3333-4444-555555555555"
	diskName = server + "_disk"
	diskSize = 16*fakeceph.BlockSize + 512
)

// deleteOf is the deletion of the test's server, begun at the present time.
func (w *world) deleteOf(kind quarantine.Kind, request string) quarantine.Deletion {
	return quarantine.Deletion{
		ID: quarantine.DeletionID("os", kind, server, request), Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: kind,
		ResourceKind: quarantine.ResourceVM, ResourceID: server, ResourceName: "web",
		Project: quarantine.Principal{ID: "p1", Name: "physics"}, User: quarantine.Principal{ID: "u1", Name: "ann"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7"}},
		StartedAt: w.now(), RequestID: request, Disks: []quarantine.DiskRef{{Name: diskName, Role: "root", Required: true}},
	}
}

// record hands deletions to the recorder, as a listener does.
func (w *world) record(ds ...quarantine.Deletion) {
	w.t.Helper()
	if err := w.recorder.Record(w.ctx, ds); err != nil {
		w.t.Fatalf("record: %v", err)
	}
}

// create makes an image with content of its own.
func (w *world) create(p quarantine.PoolRef, name string) quarantine.Key {
	w.t.Helper()
	key, err := w.ceph.CloudCreate(p, name, diskSize)
	if err != nil {
		w.t.Fatalf("create: %v", err)
	}
	for i := range 3 {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(key.String()), uint64(i)))
		if err := w.ceph.CloudWrite(key, int64(i)*5*fakeceph.BlockSize+100, sum[:]); err != nil {
			w.t.Fatalf("write: %v", err)
		}
	}
	return key
}

// remove removes an image as the cloud does and returns its trash entry.
func (w *world) remove(key quarantine.Key) quarantine.TrashEntry {
	w.t.Helper()
	st, ok := w.ceph.Look(key)
	if !ok {
		w.t.Fatalf("remove: no image %s", key)
	}
	w.died[key] = st.Content
	if err := w.ceph.CloudRemove(key.PoolRef(), st.Name); err != nil {
		w.t.Fatalf("remove: %v", err)
	}
	return w.entry(key)
}

func (w *world) entry(key quarantine.Key) quarantine.TrashEntry {
	w.t.Helper()
	st, ok := w.ceph.Look(key)
	if !ok || !st.InTrash {
		w.t.Fatalf("%s is not in the trash", key)
	}
	return quarantine.TrashEntry{Key: key, Name: st.Name, DeletedAt: st.DeletedAt, ProtectedUntil: st.ProtectedUntil}
}

func (w *world) adopt(key quarantine.Key) quarantine.Disk {
	w.t.Helper()
	d, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard)
	if err != nil {
		w.t.Fatalf("adopt %s: %v", key, err)
	}
	return d
}

// quarantined is a disk of the server in quarantine, explained.
func (w *world) quarantined() quarantine.Key {
	w.t.Helper()
	key := w.create(vms, diskName)
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.remove(key)
	w.adopt(key)
	w.is(key, quarantine.Quarantined)
	return key
}

// stray is a disk in quarantine that nothing explains.
func (w *world) stray(name string) quarantine.Key {
	w.t.Helper()
	key := w.create(vms, name)
	w.remove(key)
	w.adopt(key)
	return key
}

// expiring is a quarantined disk that a pass has marked.
func (w *world) expiring() quarantine.Key {
	w.t.Helper()
	key := w.quarantined()
	w.pass(retain)
	w.collect()
	w.is(key, quarantine.Expiring)
	return key
}

// collect runs a pass that must come to its end.
func (w *world) collect() quarantine.Report {
	w.t.Helper()
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" {
		w.t.Fatalf("collect stopped: %s", rep.Stopped)
	}
	return rep
}

// reconcile runs the reconciler, which must come to its end.
func (w *world) reconcile() quarantine.Report {
	w.t.Helper()
	rep := w.reconciler.Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" {
		w.t.Fatalf("reconcile stopped: %s", rep.Stopped)
	}
	return rep
}

func did(rep quarantine.Report, act string) []quarantine.ReportItem {
	return slices.DeleteFunc(slices.Clone(rep.Items), func(it quarantine.ReportItem) bool { return it.Act != act })
}

// intact checks that a disk in quarantine is in the trash, sealed and
// protected, with the bytes it had when it died.
func (w *world) intact(key quarantine.Key) {
	w.t.Helper()
	st, ok := w.ceph.Look(key)
	switch {
	case !ok:
		w.t.Fatalf("%s is gone", key)
	case !st.InTrash:
		w.t.Fatalf("%s is live as %s", key, st.Name)
	case !st.Sealed:
		w.t.Fatalf("%s is not sealed", key)
	case !bytes.Equal(st.SealedContent, w.died[key]):
		w.t.Fatalf("%s: its sealed bytes are not those of its death", key)
	case st.ProtectedUntil.Before(w.now().Add(protect / 2)):
		w.t.Fatalf("%s is protected only until %s", key, st.ProtectedUntil)
	}
}

// nothingRemoved checks that no image was removed.
func (w *world) nothingRemoved() {
	w.t.Helper()
	if r := w.ceph.Removals(); len(r) != 0 {
		w.t.Fatalf("removed: %v", r)
	}
}

// removedOnce checks that this image, and no other, was removed, once.
func (w *world) removedOnce(key quarantine.Key) {
	w.t.Helper()
	if r := w.ceph.Removals(); len(r) != 1 || r[0].Key != key {
		w.t.Fatalf("removed: %v, want %s once", r, key)
	}
}

func (w *world) hold(key quarantine.Key, caseID string) {
	w.t.Helper()
	if _, err := w.holds.Hold(w.ctx, "carol", key.DiskID(), caseID, "a reason"); err != nil {
		w.t.Fatalf("hold: %v", err)
	}
}

// A disk's whole life: it dies, is kept for its time, is marked, waits out its
// grace, and is purged; its row stays.
func TestLife(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.intact(key)
	w.keptUntil(key, t0.Add(retain))
	w.pass(retain - time.Second)
	w.collect()
	w.is(key, quarantine.Quarantined)
	w.pass(time.Second)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.intact(key)
	w.pass(grace - time.Second)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.nothingRemoved()
	w.pass(time.Second)
	w.collect()
	d := w.is(key, quarantine.Purged)
	w.removedOnce(key)
	if d.PurgedAt.IsZero() || d.Sealed || d.Deletion == nil {
		t.Errorf("the tombstone is %+v", d)
	}
	want := []string{"adopt done", "seal done", "expire intent", "expire done", "purge intent", "purge done"}
	if got := w.custody.of(key); !slices.Equal(got, want) {
		t.Errorf("custody: %q, want %q", got, want)
	}
}

// A disk that a report requires by the beginning of its name (Cinder renames a
// volume with clones to volume-ID.deleted) is found under its longer name, and
// waited for while it is live under one.
func TestRequiredByPrefix(t *testing.T) {
	w := newWorld(t)
	del := w.deleteOf(quarantine.KindVolumeDelete, "")
	del.Disks = []quarantine.DiskRef{{Name: "volume-1", Prefix: true, Required: true}}
	key := w.create(vols, "volume-1.deleted")
	w.record(del)
	w.pass(2 * w.lost)
	w.reconcile()
	if lost := w.disks(quarantine.Lost); len(lost) != 0 {
		t.Errorf("live, and lost: %+v", lost)
	}
	w.remove(key)
	w.adopt(key)
	w.pass(2 * w.lost)
	w.reconcile()
	if lost := w.disks(quarantine.Lost); len(lost) != 0 {
		t.Errorf("quarantined, and lost: %+v", lost)
	}
}
