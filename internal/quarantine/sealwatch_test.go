package quarantine_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// watchSeals watches until the function that is returned is called.
func (w *world) watchSeals() (stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error)
	go func() { ended <- w.seals.Run(ctx, time.Millisecond) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("watch: %v", err)
		}
	}
}

// quarantinedDisk is a sealed disk.
func (w *world) quarantinedDisk(name string) quarantine.Key {
	key := w.create(vms, name)
	w.remove(key)
	if d := w.adopt(key); d.SealID == 0 {
		w.t.Fatalf("the seal of %s has no id", name)
	}
	return key
}

// acts are the custody log's acts on the disk, oldest first.
func (w *world) acts(key quarantine.Key) (acts []string) {
	w.t.Helper()
	entries, err := w.custody.Entries(w.ctx, key.DiskID())
	if err != nil {
		w.t.Fatalf("custody: %v", err)
	}
	for _, e := range entries {
		if e.Outcome == quarantine.OutcomeDone {
			acts = append(acts, e.Act)
		}
	}
	return acts
}

// mended checks that a disk whose seal was broken has another, and that record,
// row and custody log all say so.
func (w *world) mended(key quarantine.Key, was quarantine.Disk) {
	w.t.Helper()
	d := w.is(key, quarantine.Quarantined)
	if !d.Sealed || d.SealID == 0 || d.SealID == was.SealID || d.SealBrokenAt.IsZero() {
		w.t.Errorf("the disk has %+v", d)
	}
	if st, _ := w.ceph.Look(key); !st.Sealed || !st.InTrash {
		w.t.Errorf("the image is %+v", st)
	}
	if rec, err := w.recordOn(key); err != nil || !rec.SealBrokenAt.Equal(d.SealBrokenAt) || rec.SealID != d.SealID {
		w.t.Errorf("the record says %+v, %v", rec, err)
	}
	if acts := w.acts(key); !slices.Equal(acts, []string{"adopt", "seal", "seal-lost", "seal"}) {
		w.t.Errorf("the custody log has %v", acts)
	}
}

// A seal that somebody else removes is noticed by the watch, told of once, and
// taken again, whether librbd's two steps are seen apart or together; the seals
// of other disks, and a purge of our own, are nothing to tell of.
func TestSealWatch(t *testing.T) {
	for name, remove := range map[string]func(*world, quarantine.Key){
		"at once": func(w *world, key quarantine.Key) { w.ceph.CloudUnseal(key) },
		"in two steps": func(w *world, key quarantine.Key) {
			w.ceph.CloudReleaseSeal(key)
			until(w.t.(*testing.T), "it is told of", func() bool { return !w.disk(key).Sealed })
			w.ceph.CloudForgeHeader(key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key, other := w.quarantinedDisk("disk"), w.quarantinedDisk("other")
			was := w.disk(key)
			stop := w.watchSeals()
			until(t, "it began", func() bool {
				_, err := w.store.Mark(w.ctx, "seals/epoch/"+vms.FSID)
				return err == nil
			})
			w.jump(time.Minute)
			remove(w, key)
			until(t, "it is mended", func() bool { return w.disk(key).Sealed && w.disk(key).SealID != was.SealID && !w.disk(key).RecordStale })
			stop()
			w.mended(key, was)
			if acts := w.acts(other); !slices.Equal(acts, []string{"adopt", "seal"}) {
				t.Errorf("of the other disk the custody log has %v", acts)
			}
			if !slices.Equal(w.obs.tampered, []string{"seal-lost"}) {
				t.Errorf("the metric has %v", w.obs.tampered)
			}
		})
	}
}

// Ceph counts the snapshots of an image whose data is in another pool there: one
// with the same id in the image's own pool is another, and nothing to tell of.
func TestSealWatchOfADataPool(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, "disk")
	w.ceph.SetDataPool(key, "vms-data")
	w.remove(key)
	w.adopt(key)
	was := w.disk(key)
	if was.DataPool != "vms-data" {
		t.Fatalf("the disk has %+v", was)
	}
	defer w.watchSeals()()
	until(t, "it began", func() bool {
		_, err := w.store.Mark(w.ctx, "seals/epoch/"+vms.FSID)
		return err == nil
	})
	w.ceph.NoteRemoved(quarantine.SealRef{FSID: vms.FSID, Pool: vms.Pool, ID: was.SealID})
	mark := func() string { b, _ := w.store.Mark(w.ctx, "seals/epoch/"+vms.FSID); return string(b) }
	until(t, "the watch saw it", func() bool { return mark() == "2" })
	if acts := w.acts(key); !slices.Equal(acts, []string{"adopt", "seal"}) {
		t.Fatalf("the custody log has %v", acts)
	}
	w.ceph.CloudUnseal(key)
	until(t, "it is mended", func() bool { return w.disk(key).Sealed && w.disk(key).SealID != was.SealID })
}

// What was removed while nobody watched is found at the next start, also when
// the monitors have forgotten the epochs.
func TestSealWatchAfterAPause(t *testing.T) {
	for name, forget := range map[string]bool{"remembered": false, "forgotten": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantinedDisk("disk")
			was := w.disk(key)
			stop := w.watchSeals()
			until(t, "it began", func() bool {
				_, err := w.store.Mark(w.ctx, "seals/epoch/"+vms.FSID)
				return err == nil
			})
			stop()
			w.ceph.CloudUnseal(key)
			if forget {
				w.ceph.CloudUnseal(w.quarantinedDisk("another"))
				w.ceph.ForgetEpochs()
			}
			w.restart()
			stop = w.watchSeals()
			until(t, "it is mended", func() bool { return w.disk(key).SealID != was.SealID && !w.disk(key).RecordStale })
			stop()
			w.mended(key, was)
		})
	}
}

// A disk that is forced out is lost at the notice that it left the trash,
// through the one door, and the custody log says who did not do it.
func TestForcedOutIsNoticed(t *testing.T) {
	w := newWorld(t)
	key := w.quarantinedDisk("disk")
	defer w.watchSeals()()
	w.ceph.CloudForgeHeader(key)
	if err := w.ceph.CloudForceRemove(key); err != nil {
		t.Fatal(err)
	}
	w.seals.Gone(key)
	until(t, "it is lost", func() bool { return slices.Contains(w.acts(key), "lost") })
	w.is(key, quarantine.Lost)
	if acts := w.acts(key); !slices.Equal(acts, []string{"adopt", "seal", "disk-forced-out", "lost"}) {
		t.Errorf("the custody log has %v", acts)
	}
}

// The service's own purge, and a disk that it gives back, are told of as no
// stranger's act.
func TestOwnRemovalsAreNoTampering(t *testing.T) {
	w := newWorld(t)
	key := w.quarantinedDisk("disk")
	defer w.watchSeals()()
	for range 60 {
		if w.disk(key).State == quarantine.Purged {
			break
		}
		w.pass(day)
		w.collector.Run(w.ctx, "test", quarantine.JobOptions{})
		w.seals.Gone(key)
	}
	w.is(key, quarantine.Purged)
	mark := func() []byte { b, _ := w.store.Mark(w.ctx, "seals/epoch/"+vms.FSID); return b }
	until(t, "the watch saw it", func() bool { return string(mark()) == "2" })
	if len(w.obs.tampered) > 0 {
		t.Errorf("the metric has %v", w.obs.tampered)
	}
}

// What goes behind the monitors' back is found by the round of the reconciler's
// runs: a seal that was taken out of the header, one that was replaced, and a
// header that was removed as an object. Each run looks at a few, and the round
// comes by all of them.
func TestSealRound(t *testing.T) {
	w := newWorld(t)
	var keys []quarantine.Key
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		keys = append(keys, w.quarantinedDisk(name))
	}
	w.jump(time.Minute)
	was := w.disk(keys[5])
	replaced := w.disk(keys[2])
	w.ceph.CloudForgeHeader(keys[5])
	w.ceph.CloudForgeHeader(keys[2])
	img, err := w.ceph.OpenImage(w.ctx, keys[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Seal(w.ctx); err != nil { // by a stranger, who wants it to look whole
		t.Fatal(err)
	}
	img.Close()
	few := quarantine.NewReconciler(w.adopter, w.ceph, quarantine.ReconcileConfig{Workers: 2, LostAfter: w.lost, Marks: w.store, Snapshots: w.ceph, SealsAtOnce: 3})
	for range 3 {
		if rep := few.Run(w.ctx, "test", quarantine.JobOptions{}); rep.Stopped != "" {
			t.Fatal(rep.Stopped)
		}
	}
	w.mended(keys[5], was)
	w.mended(keys[2], replaced)
	for _, i := range []int{0, 1, 3, 4, 6} {
		if acts := w.acts(keys[i]); !slices.Equal(acts, []string{"adopt", "seal"}) {
			t.Errorf("of disk %d the custody log has %v", i, acts)
		}
	}
}

// That a seal was broken is a fact of the custody log: who wipes it from the
// record on the image, and gets the catalog lost, does not get rid of it. Nor
// does a snapshot that was put in the seal's place pass for the seal.
func TestBrokenSealsAreNotForgotten(t *testing.T) {
	w := newWorld(t)
	key, second := w.quarantinedDisk("disk"), w.quarantinedDisk("second")
	whole := w.disk(key)
	w.ceph.CloudUnseal(key)
	w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{})
	w.mended(key, whole)
	forged, err := quarantine.EncodeRecord(whole)
	if err != nil {
		t.Fatal(err)
	}
	w.ceph.SetMeta(key, quarantine.RecordKey, string(forged))
	w.ceph.CloudForgeHeader(second)
	img, err := w.ceph.OpenImage(w.ctx, second)
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Seal(w.ctx); err != nil {
		t.Fatal(err)
	}
	img.Close()
	w.store = openStore(t) // the catalog is lost
	w.restart()
	w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{})
	if d := w.is(key, quarantine.Quarantined); d.SealBrokenAt.IsZero() {
		t.Errorf("it is forgotten: %+v", d)
	}
	w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{})
	if d := w.is(second, quarantine.Quarantined); d.SealBrokenAt.IsZero() {
		t.Errorf("the other snapshot passes for the seal: %+v, %v", d, w.acts(second))
	}
}
