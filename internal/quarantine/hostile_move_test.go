package quarantine_test

import (
	"errors"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakecloud"
)

// A disk whose move failed after the cloud had renamed and released it stays
// evidence: in quarantine, sealed, with the same identity, and the next runs
// leave it so. Also when the process is killed anywhere after the failure was
// noted, or any later step fails.
func TestHostileMoveUnmanaged(t *testing.T) {
	t.Parallel()
	walk := func(at int, fault error) []string {
		w := newCloudWorld(t)
		w.target.NoTransfers = true
		key := w.volumeDisk("11111111-0000-4000-8000-000000000001")
		before := w.disk(key)
		w.pass(time.Hour)
		w.safety.Workers = 1
		w.restart()
		w.proc.at, w.proc.fault = at, fault
		w.run(func() {
			_, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true, Project: fakecloud.Foreign})
			if err == nil {
				t.Error("no error")
			}
		})
		points := w.proc.points
		w.restart()
		for range 3 {
			w.pass(time.Hour)
			w.reconcile()
			w.collect()
		}
		d := w.is(key, quarantine.Quarantined)
		w.intact(key)
		if d.OriginalName != before.OriginalName || !d.DeletedAt.Equal(before.DeletedAt) || d.DeletionID() != before.DeletionID() {
			t.Errorf("at %d it became another: %+v", at, d)
		}
		w.only(key)
		return points
	}
	points := walk(0, nil)
	noted := 0
	for i, p := range points {
		if p == "put.restoring.after" {
			noted = i // the intent, and then that the move failed
		}
	}
	for _, fault := range []error{nil, errors.New("input/output error")} {
		for _, n := range distinct(points, fault == nil) {
			if n >= noted {
				walk(n+1, fault)
			}
		}
	}
}
