package quarantine_test

import (
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A disk that was lost and is there again is what it was: whose it was, what it is a
// copy of, and its copies, which later holds must reach; and no policy takes back what a
// person gave it. Where its seal is another one, that is noted, in the log too.
func TestFoundAgain(t *testing.T) {
	for name, seal := range map[string]uint64{"with its seal": 0, "with another seal": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantined()
			was := w.disk(key)
			// Put back by this service, long after its death.
			w.pass(time.Hour)
			w.done(w.ceph.RestoreFromTrash(w.ctx, key, key.ReservedName()))
			w.done(w.ceph.MoveToTrash(w.ctx, key.PoolRef(), key.ReservedName(), protect))
			other := quarantine.CopyRef{Disk: "0123456789abcdef0123456789abcdef"}
			w.alter(key, func(d *quarantine.Disk) {
				d.State, d.Sealed, d.SealID = quarantine.Lost, false, d.SealID+seal
				d.Copies, d.CopyOf, d.ExtendedUntil = []quarantine.CopyRef{other}, &other, was.RetainUntil
			})
			d := w.adopt(key)
			switch {
			case d.State != quarantine.Quarantined || !d.DeletedAt.Equal(was.DeletedAt) || d.DeletionID() != was.DeletionID() || d.Role != was.Role:
				t.Errorf("it is %s, died at %s, is explained by %q as %q", d.State, d.DeletedAt, d.DeletionID(), d.Role)
			case !slices.Equal(d.Copies, []quarantine.CopyRef{other}) || d.CopyOf == nil || *d.CopyOf != other || d.Capture != quarantine.CaptureCopy:
				t.Errorf("it has copies %v, and is one of %v, captured by %s", d.Copies, d.CopyOf, d.Capture)
			case !d.ExtendedUntil.Equal(was.RetainUntil):
				t.Errorf("it is extended until %s", d.ExtendedUntil)
			case d.SealBrokenAt.IsZero() != (seal == 0):
				t.Errorf("its seal was broken at %s", d.SealBrokenAt)
			}
			if noted := slices.Contains(w.custody.of(key), "seal-off done"); noted != (seal != 0) {
				t.Errorf("the log: %q", w.custody.of(key))
			}
		})
	}
}

// What was used since it was called lost, and deleted again, is another life: the copies
// are of the earlier one.
func TestFoundAgainInAnotherLife(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.alter(key, func(d *quarantine.Disk) {
		d.State, d.Sealed, d.Copies = quarantine.Lost, false, []quarantine.CopyRef{{Disk: "0123456789abcdef0123456789abcdef"}}
	})
	w.done(w.ceph.RestoreFromTrash(w.ctx, key, diskName))
	w.pass(time.Hour)
	w.remove(key)
	if d := w.adopt(key); len(d.Copies) != 0 {
		t.Errorf("it has copies %v", d.Copies)
	}
}

// That a seal was off is of one life. In the next, whose seal nobody broke, it is
// neither in the row nor noted anew.
func TestANewLifeHasANewSeal(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	w.ceph.CloudUnseal(key)
	w.reconcile()
	if w.disk(key).SealBrokenAt.IsZero() {
		t.Fatal("nobody has seen that the seal is off")
	}
	_, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "needed")
	w.done(err)
	w.collect()
	w.pass(time.Hour)
	w.remove(key)
	d := w.adopt(key)
	if acts := w.custody.of(key); !d.SealBrokenAt.IsZero() || slices.Contains(acts, "seal-off done") {
		t.Errorf("its seal was broken at %s; the log: %q", d.SealBrokenAt, acts)
	}
}

// An adoption that died while the image was out under its reserved name does not make
// the disk die later than it did.
func TestPutBackKeepsTheTimeOfDeath(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	was := w.disk(key)
	w.alter(key, func(d *quarantine.Disk) { d.State = quarantine.Pending })
	w.done(w.ceph.RestoreFromTrash(w.ctx, key, key.ReservedName()))
	w.pass(time.Hour)
	w.reconcile()
	if d := w.disk(key); d.State != quarantine.Quarantined || !d.DeletedAt.Equal(was.DeletedAt) || d.DeletionID() != was.DeletionID() {
		t.Errorf("it is %s, died at %s, is explained by %q", d.State, d.DeletedAt, d.DeletionID())
	}
}
