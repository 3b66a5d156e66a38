package quarantine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"quarantine/internal/quarantine"
)

// Whatever point a flatten is cut short at, and however: the disk is in the
// trash, protected and sealed with its own bytes, at that very moment and after
// every recovery; the next run finishes it; and all of it holds for an image
// with deep-flatten and for one without.
func TestFlattenFaultWalk(t *testing.T) {
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
	for _, shallow := range []bool{false, true} {
		var base quarantine.Key
		k := walk{
			name: "flatten",
			act:  func(w *world, _ quarantine.Key) { w.flattener.Run(w.ctx, "cron", quarantine.JobOptions{}) },
		}
		prepare := func(w *world) (base, key quarantine.Key) {
			base = w.base("base")
			key = w.child("base", diskName, shallow)
			w.always()
			return base, key
		}
		good := newWorld(t)
		base, key := prepare(good)
		good.cutShort(k, key, 0, nil)
		points := slices.Clone(good.proc.points)
		good.standsAlone(key, base)
		least := 10
		if shallow {
			least = 20
		}
		if len(points) < least {
			t.Fatalf("the good run passed only %q", points)
		}
		for _, m := range modes {
			for _, n := range distinct(points, m.fault == nil) {
				t.Run(fmt.Sprintf("shallow %v %s %d %s", shallow, m.name, n+1, points[n]), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					base, key := prepare(w)
					w.cutShort(k, key, n+1, m.fault)
					w.intact(key)
					if m.lose {
						w.store.lose()
						w.obs.forget()
					}
					w.restart()
					for range 2 {
						w.reconcile()
						w.collect()
						w.is(key, quarantine.Quarantined)
						w.intact(key)
					}
					w.flatten()
					w.intact(key)
					// A catalog that is lost when all was done does not know
					// any more that there was a parent.
					if d := w.disk(key); d.Parent != nil {
						w.standsAlone(key, base)
					} else if !m.lose {
						t.Error("the row forgot what it stood on")
					}
					if l, err := w.ceph.Lineage(w.ctx, base); err != nil || len(l.Clones) != 0 {
						t.Errorf("%q keep the base, %v", l.Clones, err)
					}
					w.nothingRemoved()
				})
			}
		}
	}
}
