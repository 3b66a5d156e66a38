package quarantine_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// walk is one act that is cut short at every point at which it can be: before
// and after each call to Ceph, to the catalog and to the custody log, and at
// each fault point of the domain.
type walk struct {
	name string
	// prepare makes the disk and returns its key.
	prepare func(w *world) quarantine.Key
	// act is cut short. Its error is not looked at.
	act func(w *world, key quarantine.Key)
	// repeat is what the outside does again because it got no answer (a
	// message that was not acknowledged); nil: nothing.
	repeat func(w *world, key quarantine.Key)
	// states are those in which the disk may be when it is over, "" being
	// untouched by the act and unknown to the catalog.
	states []quarantine.State
	// end is its state when all its time has passed; "" as in states.
	end []quarantine.State
}

func walks() []walk {
	const (
		q, e, p, r, none = quarantine.Quarantined, quarantine.Expiring, quarantine.Purged, quarantine.Restored, quarantine.State("")
	)
	adopt := func(w *world, key quarantine.Key) {
		_, _ = w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard)
	}
	collect := func(w *world, _ quarantine.Key) { w.collector.Run(w.ctx, "cron", quarantine.JobOptions{}) }
	reconcile := func(w *world, _ quarantine.Key) { w.reconciler.Run(w.ctx, "cron", quarantine.JobOptions{}) }
	event := func(w *world, _ quarantine.Key) {
		del := w.deleteOf(quarantine.KindDelete, "req-1")
		del.StartedAt = t0
		_ = w.recorder.Record(w.ctx, []quarantine.Deletion{del})
	}
	clone := func(flatten bool) func(w *world, key quarantine.Key) {
		return func(w *world, key quarantine.Key) {
			_, _ = w.restorer.Clone(w.ctx, "carol", key.DiskID(), quarantine.PoolRef{}, "copy", flatten, "a look", nil)
		}
	}
	inPlace := func(w *world, key quarantine.Key) {
		_, _ = w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back")
	}
	return []walk{
		{"adopt", func(w *world) quarantine.Key {
			key := w.create(vms, diskName)
			w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
			w.remove(key)
			return key
		}, adopt, nil, []quarantine.State{q}, []quarantine.State{p}},
		{"adopt what was hardly protected", func(w *world) quarantine.Key {
			key := w.create(vms, "vol")
			st, _ := w.ceph.Look(key)
			w.died[key] = st.Content
			if err := w.ceph.CloudTrash(vms, "vol", 0); err != nil {
				w.t.Fatalf("trash: %v", err)
			}
			return key
		}, adopt, nil, []quarantine.State{q}, []quarantine.State{p}},
		{"late event", func(w *world) quarantine.Key {
			key := w.create(vms, diskName)
			w.remove(key)
			w.adopt(key)
			return key
		}, event, event, []quarantine.State{q}, []quarantine.State{p}},
		{"seize", func(w *world) quarantine.Key {
			key := w.create(unguarded, diskName)
			st, _ := w.ceph.Look(key)
			w.died[key] = st.Content
			return key
		}, event, event, []quarantine.State{q, none}, []quarantine.State{p, none}},
		{"expire", func(w *world) quarantine.Key {
			key := w.quarantined()
			w.pass(retain)
			return key
		}, collect, nil, []quarantine.State{e}, []quarantine.State{p}},
		{"hold what expires", (*world).expiring, func(w *world, key quarantine.Key) {
			_, _ = w.holds.Hold(w.ctx, "carol", key.DiskID(), "case-1", "a reason")
		}, func(w *world, key quarantine.Key) { w.hold(key, "case-1") }, []quarantine.State{q}, []quarantine.State{q}},
		{"clone", (*world).quarantined, clone(false), nil, []quarantine.State{q}, []quarantine.State{p, e}},
		{"clone and flatten", (*world).quarantined, clone(true), nil, []quarantine.State{q}, []quarantine.State{p, e}},
		{"clone what expires", (*world).expiring, clone(false), nil, []quarantine.State{q, e}, []quarantine.State{p, e}},
		{"restore in place", (*world).quarantined, inPlace, nil, []quarantine.State{q, r}, []quarantine.State{p, r}},
		{"unseal", func(w *world) quarantine.Key {
			key := w.quarantined()
			inPlace(w, key)
			w.is(key, r)
			return key
		}, collect, nil, []quarantine.State{r}, []quarantine.State{r}},
		{"taken out by hand", func(w *world) quarantine.Key {
			key := w.quarantined()
			if err := w.ceph.CloudRestore(key, "mine"); err != nil {
				w.t.Fatalf("restore: %v", err)
			}
			return key
		}, reconcile, nil, []quarantine.State{r}, []quarantine.State{r}},
		{"deleted again after a restore", func(w *world) quarantine.Key {
			key := w.quarantined()
			inPlace(w, key)
			w.collect()
			w.remove(key)
			return key
		}, reconcile, nil, []quarantine.State{q}, []quarantine.State{p}},
		{"purge", func(w *world) quarantine.Key {
			key := w.expiring()
			w.pass(grace)
			return key
		}, collect, nil, []quarantine.State{p, e}, []quarantine.State{p}},
		{"purge of what was put back", func(w *world) quarantine.Key {
			// Ceph refuses the removal, and the purge is taken back.
			key := w.expiring()
			w.pass(grace)
			w.ceph.FailNext("Remove", 1, fmt.Errorf("has watchers: %w", quarantine.ErrBusy))
			return key
		}, collect, nil, []quarantine.State{p, e}, []quarantine.State{p}},
	}
}

// Whatever act is cut short, and wherever: when the service is back, every
// disk ends in a legal state, none lost, none purged early, none twice, and
// with the bytes it had. That holds for a killed process, for an act that
// failed or seemed to, for a Ceph that does not answer, and for a process that
// was killed and found its catalog gone.
func TestFaultWalk(t *testing.T) {
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
	for _, k := range walks() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			good := newWorld(t)
			points := good.walk(k, 0, nil)
			if len(points) < 6 {
				t.Fatalf("the good run passed only %q", points)
			}
			for _, m := range modes {
				t.Run(m.name, func(t *testing.T) {
					for _, n := range distinct(points, m.fault == nil) {
						t.Run(fmt.Sprintf("%d %s", n+1, points[n]), func(t *testing.T) {
							w := newWorld(t)
							key := k.prepare(w)
							w.cutShort(k, key, n+1, m.fault)
							if m.lose {
								w.store.lose()
								w.obs.forget()
							}
							w.recoverFrom(k, key, m.lose)
							w.epilogue(k, key, m.lose)
						})
					}
				})
			}
		})
	}
}

// distinct returns the indices of the points that differ: of nested acts that
// begin together one, and of those that end together one; and where the process
// is killed, the end of one act and the beginning of the next are the same.
func distinct(points []string, killed bool) []int {
	var at []int
	for n, point := range points {
		before := strings.HasSuffix(point, ".before")
		if n > 0 && (killed && before || strings.HasSuffix(points[n-1], ".before") == before) {
			continue
		}
		at = append(at, n)
	}
	return at
}

// walk performs the act without a fault and returns the points it passed.
func (w *world) walk(k walk, at int, fault error) []string {
	w.t.Helper()
	key := k.prepare(w)
	w.cutShort(k, key, at, fault)
	points := slices.Clone(w.proc.points)
	w.recoverFrom(k, key, false)
	w.epilogue(k, key, false)
	return points
}

// cutShort performs the act in a process of its own, with the fault at its
// point of that number.
func (w *world) cutShort(k walk, key quarantine.Key, at int, fault error) {
	w.safety.Workers = 1 // the same points in every run
	w.restart()
	w.proc.at, w.proc.fault = at, fault
	w.run(func() { k.act(w, key) })
	w.ceph.FailNext("Remove", 0, nil)
}

// recoverFrom starts the service again and looks whether it comes to terms
// with what it finds.
func (w *world) recoverFrom(k walk, key quarantine.Key, lost bool) {
	w.t.Helper()
	points := w.proc.points
	w.restart()
	if k.repeat != nil {
		k.repeatOrFind(w, key, lost)
	}
	for range 2 {
		w.reconcile()
		w.collect()
	}
	if state := w.settled(key, k.states, lost); state == "" && w.t != nil {
		w.t.Logf("after %q the act has not begun", points)
	}
	w.sound(fmt.Sprintf("after %q", points))
}

// repeatOrFind repeats the act from outside. Where the catalog is lost the disk
// must be found first.
func (k walk) repeatOrFind(w *world, key quarantine.Key, lost bool) {
	if lost {
		w.reconcile()
	}
	k.repeat(w, key)
}

// settled checks that the disk's row and its image agree, and returns the
// state.
func (w *world) settled(key quarantine.Key, states []quarantine.State, catalogLost bool) quarantine.State {
	w.t.Helper()
	d, err := w.store.Disk(w.ctx, key.DiskID())
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		w.t.Fatalf("disk: %v", err)
	}
	st, exists := w.ceph.Look(key)
	allowed := slices.Clone(states)
	if catalogLost {
		// Tombstones, and what was given back, are not in the catalog any more
		// when it was lost; an image whose stay is over has no row.
		if slices.Contains(states, quarantine.Purged) || slices.Contains(states, quarantine.Restored) {
			allowed = append(allowed, "", quarantine.Quarantined)
		}
		if slices.Contains(states, quarantine.Expiring) {
			allowed = append(allowed, quarantine.Quarantined)
		}
	}
	if !slices.Contains(allowed, d.State) {
		w.t.Fatalf("the disk is %q, want one of %q; the log's errors: %q", d.State, allowed, w.log.errors())
	}
	removed := 0
	for _, r := range w.ceph.Removals() {
		if r.Key == key {
			removed++
		}
	}
	switch d.State {
	case quarantine.Quarantined, quarantine.Expiring:
		w.intact(key)
		if removed != 0 {
			w.t.Fatalf("removed %d times", removed)
		}
	case quarantine.Restored:
		if !exists || st.InTrash || st.Sealed || !bytes.Equal(st.Content, w.died[key]) {
			w.t.Fatalf("restored, but the image is %+v", st)
		}
	case quarantine.Purged:
		if exists || removed != 1 {
			w.t.Fatalf("purged, but the image is %+v and was removed %d times", st, removed)
		}
	case "":
		if exists && (st.InTrash || !bytes.Equal(st.Content, w.died[key])) || !exists && removed != 1 {
			w.t.Fatalf("unknown to the catalog, but the image is %+v and was removed %d times", st, removed)
		}
	}
	return d.State
}

// epilogue lets all time pass and looks how it ends.
func (w *world) epilogue(k walk, key quarantine.Key, lost bool) {
	w.t.Helper()
	for range 6 {
		w.pass(retain / 2)
		w.reconcile()
		w.collect()
	}
	w.settled(key, k.end, lost)
	for _, r := range w.ceph.Removals() {
		if earliest := t0.Add(retain + grace); r.Key == key && w.disksExplained(key) && r.At.Before(earliest) {
			w.t.Fatalf("removed at %s, before %s", r.At, earliest)
		}
	}
}

// disksExplained reports whether the disk's row says which deletion it was.
func (w *world) disksExplained(key quarantine.Key) bool {
	d, err := w.store.Disk(w.ctx, key.DiskID())
	return err == nil && d.Deletion != nil
}

// forget is for a lost catalog: what the observer knows is lost with it.
func (o *observer) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.last)
}

// A copy that was given back stands on its own, or stands on a disk that is
// then not purged.
func TestCloneHasTheBytes(t *testing.T) {
	for _, flatten := range []bool{false, true} {
		t.Run(fmt.Sprint("flatten ", flatten), func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantined()
			if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", flatten, "a look", nil); err != nil {
				t.Fatal(err)
			}
			w.intact(key)
			for range 4 {
				w.pass(retain / 2)
				w.collect()
			}
			w.pass(2 * day)
			w.collect()
			want := quarantine.Expiring
			if flatten {
				want = quarantine.Purged
			}
			w.is(key, want)
			clone, ok := w.ceph.LookLive(vols, "copy")
			if st, _ := w.ceph.Look(clone); !ok || !bytes.Equal(st.Content, w.died[key]) {
				t.Errorf("the copy is %+v", st)
			}
		})
	}
}
