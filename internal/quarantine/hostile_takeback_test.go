package quarantine_test

import (
	"errors"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A volume that a restore was about to take back when it was killed is the
// cloud's: it is evidence when its user deletes it, however soon.
func TestHostileKilledTakeBack(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	w.target.Hook = func(p string) error {
		if p == "Discard.before" {
			w.proc.exit()
		}
		return w.proc.point("cloud." + p)
	}
	w.run(func() {
		_, _ = w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsServer, Network: "none"})
	})
	w.restart()
	v := w.one(quarantine.ResourceVolume)
	w.pass(time.Minute)
	w.reconcile()
	st, _ := w.ceph.Look(v.Key)
	w.died[v.Key] = st.Content
	if err := w.target.Discard(w.ctx, v.Made); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.reconcile()
		w.pass(time.Hour)
		w.collect()
	}
	w.is(v.Key, quarantine.Quarantined)
	w.intact(v.Key)
}

// A cloud that is late, and renames the copy while it is being discarded, has a
// volume: it is not destroyed, now or by another try, and it is evidence when it
// dies.
func TestHostileLateManage(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	disk, clone := w.stranded(quarantine.AsVolume)
	st, _ := w.ceph.Look(clone)
	w.pass(2 * time.Hour)
	late := false
	w.proc.onPoint = func(p string) {
		if p == "discard.trash.before" && !late {
			late = true
			if err := w.ceph.CloudRename(vols, st.Name, "volume-late"); err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 {
		if err := w.collector.DiscardClone(w.ctx, "carol", clone, "a try"); !errors.Is(err, quarantine.ErrConflict) {
			t.Errorf("it was not told: %v", err)
		}
	}
	w.collect()
	w.nothingRemoved()
	if !late {
		t.Fatal("the name was not asked for")
	}
	w.died[clone] = st.Content
	if err := w.ceph.CloudRemove(vols, "volume-late"); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	w.collect()
	w.is(clone, quarantine.Quarantined)
	w.intact(clone)
	w.intact(disk)
}
