package quarantine_test

import (
	"sync/atomic"
	"testing"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A plan of marks asks for a page's trash entries in one question, and for a disk of
// which that said nothing in one of its own; if the one question fails, for each.
func TestPlanAsksForEntriesAtOnce(t *testing.T) {
	w := newWorld(t)
	keys := []quarantine.Key{w.stray("a"), w.stray("b"), w.stray("c")}
	w.pass(unexplainedRetain)
	plan := func() (alone, failed int) {
		t.Helper()
		var asked atomic.Int64
		w.ceph.Before(func(c fakeceph.Call) error {
			if c.Verb == "FindInTrash" {
				asked.Add(1)
			}
			return nil
		})
		defer w.ceph.Before(nil)
		rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
		if rep.Stopped != "" || len(rep.Items) != len(keys) {
			t.Fatalf("stopped: %q, items %+v", rep.Stopped, rep.Items)
		}
		for _, it := range rep.Items {
			if it.Error != "" {
				failed++
			}
		}
		return int(asked.Load()), failed
	}
	if alone, failed := plan(); alone != 0 || failed != 0 {
		t.Errorf("asked for %d alone, %d cannot go", alone, failed)
	}
	w.ceph.FailNext("FindSomeInTrash", 1, quarantine.ErrUnavailable)
	if alone, failed := plan(); alone != len(keys) || failed != 0 {
		t.Errorf("without an answer: asked for %d alone, %d cannot go", alone, failed)
	}
	if err := w.ceph.RestoreFromTrash(w.ctx, keys[1], "b"); err != nil {
		t.Fatal(err)
	}
	if alone, failed := plan(); alone != 1 || failed != 1 {
		t.Errorf("one is gone from there: asked for %d alone, %d cannot go", alone, failed)
	}
}

// What somebody takes out of the trash while the reconciler goes through it is not
// sealed: it runs.
func TestReconcileAdoptsNoneThatLeftTheTrash(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, "vol-1")
	w.remove(key)
	w.ceph.After(func(c fakeceph.Call) error {
		if c.Verb == "EachTrash" && c.Pool == vms {
			return w.ceph.CloudRestore(key, "vol-1")
		}
		return nil
	})
	rep := w.reconcile()
	if st, _ := w.ceph.Look(key); len(rep.Items) != 0 || st.InTrash || st.Sealed {
		t.Errorf("items %+v; in the trash: %t, sealed: %t", rep.Items, st.InTrash, st.Sealed)
	}
}
