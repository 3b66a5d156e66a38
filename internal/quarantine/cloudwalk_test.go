package quarantine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakecloud"
)

// cloudWalk is a restore to a cloud that is cut short at every point.
type cloudWalk struct {
	name string
	// prepare makes the disk and returns its key.
	prepare func(w *cloudWorld) quarantine.Key
	order   quarantine.CloudOrder
	// ends are the states in which the disk may be when it is over.
	ends []quarantine.State
}

func cloudWalks() []cloudWalk {
	const q, r = quarantine.Quarantined, quarantine.Restored
	disk := func(w *cloudWorld) quarantine.Key { return w.quarantined() }
	noLocations := func(w *cloudWorld) quarantine.Key {
		w.target.NoLocations = true
		return w.quarantined()
	}
	volume := func(w *cloudWorld) quarantine.Key {
		return w.volumeDisk("11111111-0000-4000-8000-000000000001")
	}
	refusing := func(w *cloudWorld) quarantine.Key { return w.quarantined() }
	return []cloudWalk{
		{"volume", disk, quarantine.CloudOrder{As: quarantine.AsVolume}, []quarantine.State{q}},
		{"volume, no flatten", disk, quarantine.CloudOrder{As: quarantine.AsVolume, NoFlatten: true}, []quarantine.State{q}},
		{"volume of a disk of its pool", volume, quarantine.CloudOrder{As: quarantine.AsVolume}, []quarantine.State{q}},
		{"image", disk, quarantine.CloudOrder{As: quarantine.AsImage}, []quarantine.State{q}},
		{"image, locations not allowed", noLocations, quarantine.CloudOrder{As: quarantine.AsImage}, []quarantine.State{q}},
		{"server", disk, quarantine.CloudOrder{As: quarantine.AsServer, Network: fakecloud.Network}, []quarantine.State{q}},
		{"server that cannot be made", refusing, quarantine.CloudOrder{As: quarantine.AsServer, Network: "none"}, []quarantine.State{q}},
		{"move", volume, quarantine.CloudOrder{As: quarantine.AsVolume, Move: true}, []quarantine.State{q, r}},
	}
}

// Whatever restore is cut short, and wherever: the disk is what it was (or, if
// it was to be moved, the cloud's volume), with its bytes; the pools have
// nothing that neither the catalog nor the cloud knows; what the cloud has, has
// the bytes; and where the restore said that it failed, the cloud has nothing
// but what the result names.
func TestCloudFaultWalk(t *testing.T) {
	t.Parallel()
	modes := []struct {
		name  string
		fault error
		lose  bool
	}{
		{"killed", nil, false},
		{"failed", errors.New("input/output error"), false},
		{"unavailable", quarantine.ErrUnavailable, false},
		{"killed and catalog lost", nil, true},
	}
	for _, k := range cloudWalks() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			points := newCloudWorld(t).cloudWalk(k, 0, nil, false)
			if len(points) < 20 {
				t.Fatalf("the good run passed only %q", points)
			}
			for _, m := range modes {
				if errors.Is(m.fault, quarantine.ErrUnavailable) && !k.order.Move {
					continue // told apart from other failures only where the disk itself goes
				}
				for _, n := range distinct(points, m.fault == nil) {
					t.Run(fmt.Sprintf("%s %d %s", m.name, n+1, points[n]), func(t *testing.T) {
						newCloudWorld(t).cloudWalk(k, n+1, m.fault, m.lose)
					})
				}
			}
		})
	}
}

// cloudWalk performs the restore with the fault at its point of that number,
// and returns the points it passed.
func (w *cloudWorld) cloudWalk(k cloudWalk, at int, fault error, lose bool) []string {
	w.t.Helper()
	w.safety.Workers = 1
	key := k.prepare(w)
	o := k.order
	o.Disk = key.DiskID()
	w.restart()
	w.proc.at, w.proc.fault = at, fault
	var res quarantine.CloudResult
	err := errors.New("killed")
	w.run(func() { res, err = w.give(o) })
	points := slices.Clone(w.proc.points)
	w.restart()
	if err != nil && fault != nil && len(w.target.All()) != len(res.Made) {
		w.t.Errorf("it failed (%v) and made %+v; the cloud has %+v", err, res, w.target.All())
	}
	if lose {
		w.store.lose()
		w.obs.forget()
	}
	for range 3 {
		w.pass(time.Hour)
		w.reconcile()
		w.collect()
	}
	w.cloudSettled(k, key, lose)
	return points
}

// cloudSettled checks what there is when it is over.
func (w *cloudWorld) cloudSettled(k cloudWalk, key quarantine.Key, lost bool) {
	w.t.Helper()
	d, err := w.store.Disk(w.ctx, key.DiskID())
	if err != nil && (!errors.Is(err, quarantine.ErrNotFound) || !lost || !slices.Contains(k.ends, quarantine.Restored)) {
		w.t.Fatalf("the disk: %v", err)
	}
	switch {
	case d.State == quarantine.Quarantined:
		w.intact(key)
		if d.OriginalName != diskName && !strings.HasPrefix(d.OriginalName, "volume-1111") || d.Deletion == nil {
			w.t.Errorf("it has lost its name or its deletion: %+v", d)
		}
	case err == nil && !slices.Contains(k.ends, d.State):
		w.t.Fatalf("the disk is %s; the log's errors: %q", d.State, w.log.errors())
	}
	moved := false
	for _, r := range w.target.All() {
		if r.Kind != quarantine.ResourceVM {
			w.bears(r, key)
		}
		moved = moved || r.Key == key
	}
	if moved == (d.State == quarantine.Quarantined) && slices.Contains(k.ends, quarantine.Restored) {
		w.t.Errorf("the disk is %q, and a volume of the cloud: %t", d.State, moved)
	}
	w.onlyOffered(key)
	for _, r := range w.ceph.Removals() {
		if r.Key == key {
			w.t.Fatalf("the disk was removed")
		}
	}
}

// onlyOffered is only, but for an image that was being handed to the image
// service, and for a volume that the cloud had just deleted when the process
// died: nothing tells whether the one is the service's, and who has deleted the
// other. The first stays, the second is in quarantine.
func (w *cloudWorld) onlyOffered(key quarantine.Key) {
	w.t.Helper()
	keys := []quarantine.Key{key}
	for _, d := range w.disks(quarantine.Quarantined) {
		if strings.HasPrefix(d.OriginalName, "volume-00000000-") {
			keys = append(keys, d.Key)
		}
	}
	for _, k := range w.ceph.All() {
		if st, _ := w.ceph.Look(k); k.PoolRef() == images && !st.InTrash && slices.Contains(w.ceph.Snapshots(k), "snap") && strings.HasPrefix(st.Name, quarantine.RestorePrefix) {
			if got := did(w.collect(), "leftover"); len(got) == 1 {
				keys = append(keys, k)
			}
		}
	}
	w.only(keys...)
}
