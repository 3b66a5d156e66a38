package quarantine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"quarantine/internal/quarantine"
)

// Whatever point a copy is cut short at, and however: the original is as it was
// and is not purged; nothing is removed; and when the service is back, a run
// ends with exactly one good copy, whether or not the reconciler came first.
func TestIsolateFaultWalk(t *testing.T) {
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
	k := walk{name: "isolate", act: func(w *world, _ quarantine.Key) {
		w.isolator(quarantine.IsolateConfig{MaxDisks: 10, MarkBytes: 1}).Run(w.ctx, "cron", quarantine.JobOptions{})
	}}
	prepare := func(w *world) quarantine.Key {
		w.evidencePool()
		w.isolates()
		key := w.quarantined()
		w.hold(key, "case-1")
		return key
	}
	good := newWorld(t)
	key := prepare(good)
	good.cutShort(k, key, 0, nil)
	points := slices.Clone(good.proc.points)
	good.copyOf(key)
	if len(points) < 40 {
		t.Fatalf("the good run passed only %q", points)
	}
	for _, m := range modes {
		for _, reconciled := range []bool{false, true} {
			if m.lose && !reconciled {
				continue // without it there is no original to copy
			}
			for _, n := range distinct(points, m.fault == nil) {
				t.Run(fmt.Sprintf("%s reconciled=%v %d %s", m.name, reconciled, n+1, points[n]), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					key := prepare(w)
					w.cutShort(k, key, n+1, m.fault)
					w.intact(key)
					if m.lose {
						w.store.lose()
						w.obs.forget()
					}
					w.restart()
					if reconciled {
						w.reconcile()
						w.collect()
					}
					w.intact(key)
					if rep := w.isolate(); rep.Failed() != 0 {
						t.Fatalf("afterwards: %+v", rep.Items)
					}
					w.reconcile()
					w.intact(key)
					c := w.copyOf(key)
					if d := w.disk(c); !d.Held() || d.Deletion == nil {
						t.Errorf("the copy is %+v", d)
					}
					w.nothingRemoved()
				})
			}
		}
	}
}
