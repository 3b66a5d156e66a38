package quarantine_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakecloud"
)

// cloudWorld is a world with a cloud that disks can be restored to. Its volumes
// are in the pool vols, its images in images.
type cloudWorld struct {
	*world
	target *fakecloud.Cloud
	clouds *quarantine.CloudRestorer
	// waits counts the pauses of a clean-up.
	waits int

	mu    sync.Mutex
	steps []quarantine.CloudStep
	// onStep, where not nil, is called with each step.
	onStep func(quarantine.CloudStep)
}

func newCloudWorld(t tb) *cloudWorld {
	t.Helper()
	w := &cloudWorld{world: newWorld(t)}
	w.target = fakecloud.New("os", w.ceph, vols, images)
	w.restart()
	return w
}

// restart is world's, with what restores to the cloud.
func (w *cloudWorld) restart() {
	w.world.restart()
	p := w.proc
	w.target.Hook = func(point string) error { return p.point("cloud." + point) }
	w.reconciler = quarantine.NewReconciler(w.adopter, w.ceph, quarantine.ReconcileConfig{
		Workers: w.safety.Workers, LostAfter: w.lost, MeasureDisks: 100, Seen: w.store, Marks: w.store,
	})
	w.clouds = quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
		Restorer: w.restorer, Clouds: []quarantine.CloudWriter{w.target}, Deletions: w.store, Snapshots: w.ceph, Reader: w.ceph,
		Discarder: w.collector, Marks: w.store,
		Pause: func(context.Context, time.Duration) error { w.waits++; return nil },
	})
}

// give restores.
func (w *cloudWorld) give(o quarantine.CloudOrder) (quarantine.CloudResult, error) {
	return w.giveUntil(w.ctx, o)
}

func (w *cloudWorld) giveUntil(ctx context.Context, o quarantine.CloudOrder) (quarantine.CloudResult, error) {
	if o.Reason == "" {
		o.Reason = "a look"
	}
	return w.clouds.Restore(ctx, "carol", o, func(s quarantine.CloudStep) {
		w.mu.Lock()
		w.steps = append(w.steps, s)
		w.mu.Unlock()
		if w.onStep != nil {
			w.onStep(s)
		}
	})
}

// stages are the stages so far, each once in a row.
func (w *cloudWorld) stages() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, s := range w.steps {
		if len(out) == 0 || out[len(out)-1] != s.Stage {
			out = append(out, s.Stage)
		}
	}
	return strings.Join(out, " ")
}

// volumeDisk is a disk in quarantine in the pool of the cloud's volumes: the
// volume of that id, which was attached to the server.
func (w *cloudWorld) volumeDisk(id string) quarantine.Key {
	w.t.Helper()
	name := "volume-" + id
	key := w.create(vols, name)
	w.record(quarantine.Deletion{
		ID: quarantine.DeletionID("os", quarantine.KindVolumeDelete, id, ""), Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindVolumeDelete,
		ResourceKind: quarantine.ResourceVolume, ResourceID: id, ResourceName: "data of web", ServerID: server, StartedAt: w.now(),
		Disks: []quarantine.DiskRef{{Name: name, Prefix: true, Role: "volume", Required: true}},
	})
	w.remove(key)
	w.adopt(key)
	w.is(key, quarantine.Quarantined)
	return key
}

// part is another disk of the server that died with the root disk.
func (w *cloudWorld) part(suffix, role string) quarantine.Key {
	w.t.Helper()
	name := diskName + suffix
	key := w.create(vms, name)
	del := w.deleteOf(quarantine.KindDelete, "req-1")
	del.Disks = []quarantine.DiskRef{{Name: name, Role: role}}
	w.record(del)
	w.remove(key)
	w.adopt(key)
	w.is(key, quarantine.Quarantined)
	return key
}

// one is the cloud's only resource of the kind.
func (w *cloudWorld) one(kind quarantine.ResourceKind) fakecloud.Resource {
	w.t.Helper()
	var found []fakecloud.Resource
	for _, r := range w.target.All() {
		if r.Kind == kind {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("the cloud has %d resources of kind %s: %+v", len(found), kind, w.target.All())
	}
	return found[0]
}

// bears checks that the resource has the disk's bytes, and that its image lives
// under a name of the cloud.
func (w *cloudWorld) bears(r fakecloud.Resource, disk quarantine.Key) {
	w.t.Helper()
	content := r.Content
	if r.Key.ImageID != "" {
		st, ok := w.ceph.Look(r.Key)
		if !ok || st.InTrash || r.Kind == quarantine.ResourceVolume && st.Name != "volume-"+r.ID {
			w.t.Fatalf("the image of %s %s is %+v", r.Kind, r.ID, st)
		}
		content = st.Content
	}
	if !bytes.Equal(content, w.died[disk]) {
		w.t.Fatalf("%s %s has %d other bytes than the disk", r.Kind, r.ID, len(content))
	}
}

// only checks that the pools have these images and those of the cloud, and no
// other.
func (w *cloudWorld) only(keys ...quarantine.Key) {
	w.t.Helper()
	for _, r := range w.target.All() {
		keys = append(keys, r.Key)
	}
	for _, key := range w.ceph.All() {
		if !slices.Contains(keys, key) {
			st, _ := w.ceph.Look(key)
			w.t.Errorf("%s was left behind: name %s, in the trash %t", key, st.Name, st.InTrash)
		}
	}
}
