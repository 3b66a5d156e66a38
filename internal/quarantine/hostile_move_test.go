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

// A disk whose move died in the middle of the rename to the name that the cloud was
// to know it by is evidence again, and the cloud's record, which is left, does not
// reach it: whoever deletes that has the cloud remove what it names, past the guard.
// Also when the process is killed anywhere, or any step fails, or it is not known
// whether it did.
func TestMoveThatDiesRenaming(t *testing.T) {
	t.Parallel()
	for _, step := range []fakecloud.RenameStep{fakecloud.RenameBegun, fakecloud.RenameAllButEnded} {
		points := moveThatDies(t, step, 0, nil)
		for name, fault := range map[string]error{"killed": nil, "failed": errors.New("input/output error"), "unavailable": quarantine.ErrUnavailable} {
			for n := range points { // some that have one name differ here: the intent is put twice
				t.Run(fmt.Sprint(step, name, n+1, points[n]), func(t *testing.T) { moveThatDies(t, step, n+1, fault) })
			}
		}
	}
}

func moveThatDies(t *testing.T, step fakecloud.RenameStep, at int, fault error) []string {
	w := newCloudWorld(t)
	w.target.Can.VolumePrefix, w.target.Dies = "restored-", step
	key := w.volumeDisk("11111111-0000-4000-8000-000000000001")
	w.safety.Workers = 1
	w.restart()
	w.proc.at, w.proc.fault = at, fault
	seen := false
	w.proc.onPoint = func(string) { seen = seen || len(w.ceph.SecondNames(vols)) > 0 }
	w.run(func() {
		if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true}); err == nil {
			t.Error("no error")
		}
	})
	points := slices.Clone(w.proc.points)
	if at == 0 && !seen {
		t.Error("there was no second name")
	}
	w.restart()
	for range 3 {
		w.pass(time.Hour)
		w.reconcile()
		w.collect()
	}
	if names := w.ceph.SecondNames(vols); len(names) > 0 {
		t.Errorf("the disk is reached by %q", names)
	}
	// The cloud has it, if the process died before it could say otherwise.
	killed := at > 0 && fault == nil
	if d := w.disk(key); killed && d.State == quarantine.Restored && step == fakecloud.RenameAllButEnded {
		return points
	}
	w.is(key, quarantine.Quarantined)
	w.intact(key)
	w.only(key)
	return points
}

// What happens to the disk just when the cloud has it: the name before it is left, and
// goes; or somebody moves it to the trash, and it is not called restored.
func TestMoveWhoseEndIsDisturbed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		disturb func(w *cloudWorld, name, old string) error
		ends    quarantine.State
	}{
		"old name left": {func(w *cloudWorld, name, old string) error { return w.ceph.CloudRenameCut(vols, name, old) }, quarantine.Restored},
		"in the trash":  {func(w *cloudWorld, name, _ string) error { return w.ceph.CloudTrash(vols, name, day) }, quarantine.Restoring},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t)
			w.target.Can.VolumePrefix = "restored-"
			key := w.volumeDisk("11111111-0000-4000-8000-000000000001")
			w.proc.onPoint = func(point string) {
				if point != "cloud.AdoptVolume.after" {
					return
				}
				st, _ := w.ceph.Look(key)
				w.done(c.disturb(w, st.Name, quarantine.RestorePrefix+strings.TrimPrefix(st.Name, "restored-")))
			}
			_, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true})
			if (err == nil) != (c.ends == quarantine.Restored) {
				t.Errorf("it ended with %v", err)
			}
			w.is(key, c.ends)
			if names := w.ceph.SecondNames(vols); len(names) > 0 {
				t.Errorf("the disk is reached by %q", names)
			}
		})
	}
}
