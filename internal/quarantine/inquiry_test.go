package quarantine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// ask runs the job and insists that it went well.
func (w *world) ask() quarantine.Report {
	w.t.Helper()
	rep := w.inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{})
	if rep.Stopped != "" || rep.Failed() > 0 {
		w.t.Fatalf("clouds: %+v", rep)
	}
	return rep
}

// reconcile runs the job and insists that it went well.
func (w *world) look() quarantine.Report {
	w.t.Helper()
	rep := w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{})
	if rep.Stopped != "" || rep.Failed() > 0 {
		w.t.Fatalf("reconcile: %+v", rep)
	}
	return rep
}

// image makes a live image.
func (w *world) image(pool quarantine.PoolRef, name string) quarantine.Key {
	w.t.Helper()
	key, err := w.ceph.CloudCreate(pool, name, 1<<20)
	if err != nil {
		w.t.Fatalf("make %s: %v", name, err)
	}
	return key
}

// gone has the cloud remove an image, with a guard or without.
func (w *world) gone(pool quarantine.PoolRef, name string) {
	w.t.Helper()
	if err := w.ceph.CloudRemove(pool, name); err != nil {
		w.t.Fatalf("remove %s: %v", name, err)
	}
}

func acts(rep quarantine.Report, act string) []string {
	var names []string
	for _, it := range rep.Items {
		if it.Act == act {
			names = append(names, it.Name)
		}
	}
	slices.Sort(names)
	return names
}

// No event reached the service. The server's identity comes from the cloud's
// database, its addresses from what was seen while it lived, and the volume's
// everything from there; the disks are joined, and no disk of the living is.
func TestIdentityWithoutEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	vol := w.cloud.volume("v1")
	vol.ServerID = "s1"
	w.cloud.boot(vol)
	w.cloud.boot(w.cloud.server("s2"))
	root, data, other := w.image(vms, "s1_disk"), w.image(vols, "volume-v1"), w.image(vms, "s2_disk")
	w.ask()

	w.jump(time.Hour)
	w.cloud.kill("s1", w.now())
	w.cloud.kill("v1", w.now())
	for pool, name := range map[quarantine.PoolRef]string{vms: "s1_disk", vols: "volume-v1"} {
		w.gone(pool, name)
	}
	w.jump(time.Minute)
	w.look()
	if d := w.is(root, quarantine.Quarantined); d.Deletion != nil {
		t.Fatalf("joined with %+v before anybody was asked", d.Deletion)
	}
	seen := w.now().Add(-time.Hour - time.Minute).UTC()
	rep := w.ask()
	if got := acts(rep, "learn"); !slices.Equal(got, []string{"s1", "v1"}) {
		t.Errorf("learnt of %q", got)
	}
	d := w.disk(root)
	if d.Deletion == nil || d.Role != "root" || d.Deletion.Deleter.Name != "oscar" || d.Deletion.Project.Domain != "research" ||
		len(d.Deletion.Addresses) != 1 || d.Deletion.Addresses[0].IP != "192.0.2.7" {
		t.Errorf("root disk: %+v", d.Deletion)
	}
	d = w.disk(data)
	if d.Deletion == nil || d.Deletion.ServerID != "s1" || d.Deletion.User.Name != "alice" || d.Deletion.Kind != quarantine.KindVolumeDelete || !d.Deletion.StartedAt.Equal(seen) {
		t.Errorf("volume: %+v", d.Deletion)
	}
	if _, err := w.store.Disk(w.ctx, other.DiskID()); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("the living server's disk: %v", err)
	}
	if got := acts(w.ask(), "learn"); len(got) > 0 {
		t.Errorf("a second look learns %q again", got)
	}
}

// No event reached the service, and Cinder forgets a deleted volume. One that
// its server took with it has that server's addresses and deleter; one that
// stays when its server goes, and was deleted later, has not.
func TestVolumeGoesWithItsServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.cloud.server("s1")
	server.Volumes = []quarantine.VolumeRef{{ID: "v1", Boot: true, DeleteOnTermination: true}, {ID: "v2"}}
	w.cloud.boot(server)
	disks := map[string]quarantine.Key{}
	for _, id := range []string{"v1", "v2"} {
		v := w.cloud.volume(id)
		v.ServerID = "s1"
		w.cloud.boot(v)
		disks[id] = w.image(vols, "volume-"+id)
	}
	w.ask()
	w.jump(time.Hour)
	for _, id := range []string{"s1", "v1", "v2"} {
		w.cloud.kill(id, w.now())
	}
	w.gone(vols, "volume-v1")
	w.gone(vols, "volume-v2")
	w.jump(time.Minute)
	w.look()
	w.ask()
	d := w.disk(disks["v1"]).Deletion
	if d == nil || d.ServerID != "s1" || d.Deleter.Name != "oscar" || len(d.Addresses) != 1 || d.Addresses[0].IP != "192.0.2.7" {
		t.Errorf("the volume that went with its server: %+v", d)
	}
	d = w.disk(disks["v2"]).Deletion
	if d == nil || d.ServerID != "s1" || d.Deleter.Name != "" || len(d.Addresses) != 0 {
		t.Errorf("the volume that stayed: %+v", d)
	}
}

// An event says little; the cloud's API is asked for the rest, once, and again
// after it did not answer. What the event says itself stands.
func TestDeletionIsCompleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	root := w.image(vms, "s1_disk")
	del := w.cloud.server("s1")
	del.ResourceName, del.StartedAt = "as the event has it", w.now()
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{del}); err != nil {
		t.Fatal(err)
	}
	w.gone(vms, "s1_disk")
	w.look()
	w.cloud.fail["Complete"] = quarantine.ErrUnavailable
	if rep := w.inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{}); rep.Failed() != 1 {
		t.Errorf("an API that does not answer: %+v", rep)
	}
	if d := w.disk(root); d.Deletion.Project.Name != "" {
		t.Errorf("completed without an answer: %+v", d.Deletion)
	}
	delete(w.cloud.fail, "Complete")
	w.cloud.kill("s1", w.now())
	w.ask()
	d := w.disk(root)
	if d.Deletion.Project.Name != "physics" || d.Deletion.Deleter.Name != "oscar" || len(d.Deletion.Addresses) != 1 {
		t.Errorf("not completed: %+v", d.Deletion)
	}
	asked := w.cloud.asked
	w.ask()
	if w.cloud.asked != asked {
		t.Error("asked about a deletion that it was asked about before")
	}
}

// A listing that is cut short, or that leaves out what is there (a role was
// taken away), proves no death: nothing is learnt, nothing seized, and no live
// disk touched.
func TestNothingIsLearntFromAbsence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.volume("v1"))
	w.cloud.boot(w.cloud.volume("v2"))
	key := w.image(unguarded, "volume-v1")
	w.image(unguarded, "volume-v2")
	w.ask()
	w.jump(time.Hour)

	w.cloud.cutShort = 1
	rep := w.inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{})
	if rep.Failed() != 1 || len(acts(rep, "learn")) > 0 {
		t.Errorf("a listing that was cut short: %+v", rep)
	}
	w.cloud.cutShort = -1
	w.cloud.kill("v1", w.now()) // its image is still live
	rep = w.ask()
	if len(acts(rep, "learn")) > 0 {
		t.Errorf("learnt %+v", rep)
	}
	if got := acts(rep, "orphan"); !slices.Equal(got, []string{"volume-v1"}) {
		t.Errorf("orphans %q", got)
	}
	if live, err := w.ceph.LiveImages(w.ctx, unguarded, ""); err != nil || live["volume-v1"] != key.ImageID {
		t.Errorf("the live image: %v %v", live, err)
	}
	if ds := w.disks(); len(ds) > 0 {
		t.Errorf("disks %+v", ds)
	}
}

// The disk of a server that lives on died by one of its acts, and never by a
// delete that did not happen.
func TestLivingServersDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	old := w.image(vms, "s1_disk")
	at := w.now()
	w.gone(vms, "s1_disk")
	w.image(vms, "s1_disk")
	w.jump(time.Minute)
	w.look()
	w.ask()
	if d := w.disk(old); d.Deletion != nil {
		t.Fatalf("explained by %+v", d.Deletion)
	}
	rebuild := w.cloud.server("s1")
	rebuild.Kind, rebuild.RequestID = quarantine.KindRebuild, "req-1"
	rebuild.ID = quarantine.DeletionID("os", quarantine.KindRebuild, "s1", "req-1")
	rebuild.StartedAt, rebuild.EndedAt = at.Add(-time.Second), at.Add(time.Second)
	w.cloud.acts["s1"] = []quarantine.Deletion{rebuild}
	w.ask()
	d := w.disk(old)
	if d.Deletion == nil || d.Deletion.Kind != quarantine.KindRebuild || d.Deletion.Project.Name != "physics" {
		t.Fatalf("explained by %+v", d.Deletion)
	}
}

// An image that was live and is nowhere is lost, under its own id, with the
// deletion that explains it, once; one that went through the trash is not, nor
// one of which Ceph cannot be asked.
func TestMissedImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	lost, kept := w.image(unguarded, "s1_disk"), w.image(vms, "s2_disk")
	w.ask()
	w.look()
	w.jump(10 * time.Minute)
	w.gone(unguarded, "s1_disk") // no guard, and no event in time to seize it
	w.gone(vms, "s2_disk")

	w.ceph.FailNext("HasImage", 1, quarantine.ErrUnavailable)
	if rep := w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{}); len(acts(rep, "lost")) > 0 || rep.Failed() != 1 {
		t.Errorf("Ceph does not answer: %+v", rep)
	}
	w.is(kept, quarantine.Quarantined)
	if got := acts(w.look(), "lost"); !slices.Equal(got, []string{"s1_disk"}) {
		t.Fatalf("lost: %q", got)
	}
	if d := w.is(lost, quarantine.Lost); d.OriginalName != "s1_disk" || d.Capture != quarantine.CaptureNone {
		t.Errorf("%+v", d)
	}
	w.cloud.kill("s1", w.now())
	w.ask()
	w.jump(2 * time.Hour)
	if got := acts(w.look(), "lost"); len(got) > 0 {
		t.Errorf("lost once more: %q", got)
	}
	if ds := w.disks(quarantine.Lost); len(ds) != 1 || ds[0].DeletionID() != w.cloud.server("s1").ID {
		t.Errorf("lost records: %+v", ds)
	}
	if log := strings.Join(w.log.errors(), ""); strings.Count(log, "disk lost") != 1 {
		t.Errorf("log: %s", log)
	}
}

// A loss that is known by the image's id, and whose deletion is known too, is
// not recorded once more by its name.
func TestMissedImageOfAReportedDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.image(unguarded, "s1_disk")
	w.look()
	w.jump(10 * time.Minute)
	del := w.cloud.server("s1")
	del.Disks[1].Required = true
	del.StartedAt = w.now()
	w.gone(unguarded, "s1_disk") // the race is lost: the event comes after it
	if err := w.recorder.Record(w.ctx, []quarantine.Deletion{del}); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Minute)
	w.look()
	w.jump(2 * time.Hour)
	w.look()
	if ds := w.disks(); len(ds) != 1 || ds[0].Key != key || ds[0].State != quarantine.Lost || ds[0].DeletionID() != del.ID || ds[0].Role != "root" {
		t.Errorf("%+v", ds)
	}
}
