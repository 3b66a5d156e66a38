package quarantine_test

import (
	"testing"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A disk that nobody found, and that dies and is adopted after all, is not lost any
// more, wherever the program dies in its adoption.
func TestFoundThoughItsAdoptionWasCutShort(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w := newWorld(t)
		w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
		w.pass(2 * w.lost)
		w.look()
		lost := w.disks(quarantine.Lost)
		if len(lost) != 1 {
			t.Fatalf("lost: %+v", lost)
		}
		key := w.create(vms, diskName)
		e := w.remove(key)
		w.proc.points, w.proc.at = nil, at
		w.run(func() { _, _ = w.adopter.Adopt(w.ctx, e, quarantine.CaptureGuard) })
		cut, points := w.proc.dead, w.proc.points
		w.restart()
		there := len(w.disks(quarantine.Lost)) > 0
		dry := w.reconciler.Run(w.ctx, "test", quarantine.JobOptions{DryRun: true})
		if known := len(w.disks(quarantine.Pending, quarantine.Quarantined)) == 1; len(acts(dry, "found")) == 1 != (there && known) {
			t.Errorf("at %q: still lost (%v), and a dry run says %+v", points[len(points)-1], there, dry.Items)
		}
		if still := len(w.disks(quarantine.Lost)) > 0; still != there {
			t.Errorf("at %q: a dry run has dropped the record", points[len(points)-1])
		}
		w.look()
		w.is(key, quarantine.Quarantined)
		if left := w.disks(quarantine.Lost); len(left) > 0 {
			t.Errorf("at %q: still lost: %+v", points[len(points)-1], left)
		}
		if !cut {
			return
		}
	}
}

// A disk that is adopted while the reconciler looks for it is not recorded as lost.
func TestAdoptedWhileItIsLookedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.pass(2 * w.lost)
	var key quarantine.Key
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "LiveImages" && k.Name == diskName && key == (quarantine.Key{}) {
			key = w.create(vms, diskName)
			w.remove(key)
			w.adopt(key)
		}
		return nil
	})
	w.look()
	w.is(key, quarantine.Quarantined)
	if lost := w.disks(quarantine.Lost); len(lost) > 0 || len(w.log.errors()) > 0 {
		t.Errorf("lost: %+v, told: %q", lost, w.log.errors())
	}
}
