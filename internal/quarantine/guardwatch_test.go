package quarantine_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// guardActs are the custody log's entries about the guard of a pool, oldest
// first.
func (w *world) guardActs(pool quarantine.PoolRef) (acts []string) {
	w.t.Helper()
	entries, err := w.custody.Entries(w.ctx, "")
	if err != nil {
		w.t.Fatalf("custody: %v", err)
	}
	for _, e := range entries {
		if e.Detail["pool"] == pool.String() {
			acts = append(acts, e.Act)
		}
	}
	return acts
}

// watchGuards watches until the function that is returned is called.
func (w *world) watchGuards() (stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error)
	go func() { ended <- w.guard.Watch(ctx, time.Millisecond) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("watch: %v", err)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	over := time.After(time.Minute)
	for tick := time.NewTicker(time.Millisecond); !holds(); {
		select {
		case <-over:
			t.Fatalf("it never came to it: %s", what)
		case <-tick.C:
		}
	}
}

// A guard that somebody switches off is found without a run, once, and so is its
// return; the other pools' guards are not touched by it, and nobody switches
// anything.
func TestGuardWatch(t *testing.T) {
	w := newWorld(t)
	defer w.watchGuards()()
	good := quarantine.GuardSetting{On: true, Expire: pools()[0].Protect}
	for _, s := range []struct {
		what    string
		setting quarantine.GuardSetting
		want    []string
	}{
		{"good", good, nil},
		{"off", quarantine.GuardSetting{}, []string{"guard-lost"}},
		{"on for a day", quarantine.GuardSetting{On: true, Expire: day}, []string{"guard-lost"}},
		{"good again", good, []string{"guard-lost", "guard-found"}},
		{"off again", quarantine.GuardSetting{}, []string{"guard-lost", "guard-found", "guard-lost"}},
	} {
		if err := w.ceph.WriteGuard(w.ctx, vms, s.setting); err != nil {
			t.Fatal(err)
		}
		until(t, s.what, func() bool { return w.guardOf().Setting == s.setting })
		if acts := w.guardActs(vms); !slices.Equal(acts, s.want) {
			t.Fatalf("%s: the custody log has %v, want %v", s.what, acts, s.want)
		}
	}
	if st := w.guardOf(); st.Fault == "" {
		t.Errorf("the status is %+v", st)
	}
	if acts := w.guardActs(vols); len(acts) > 0 {
		t.Errorf("of another pool: %v", acts)
	}
}

// A guard that was switched off while nobody looked is found at the first look;
// one that was told of already is not told of again.
func TestGuardWatchAfterAPause(t *testing.T) {
	w := newWorld(t)
	for _, want := range [][]string{nil, {"guard-lost"}, {"guard-lost"}} {
		w.jump(time.Hour)
		stop := w.watchGuards()
		until(t, "it was looked at", func() bool { return w.guardOf().CheckedAt.Equal(w.now()) })
		stop()
		if acts := w.guardActs(vms); !slices.Equal(acts, want) {
			t.Errorf("the custody log has %v, want %v", acts, want)
		}
		if err := w.ceph.WriteGuard(w.ctx, vms, quarantine.GuardSetting{}); err != nil {
			t.Fatal(err)
		}
	}
}

// What cannot be read is no guard that is lost; it is told once, and looked at
// until it can be read.
func TestGuardWatchUnavailable(t *testing.T) {
	w := newWorld(t)
	w.ceph.FailNext("ReadGuard", 30, quarantine.ErrUnavailable)
	stop := w.watchGuards()
	until(t, "it was looked at", func() bool { return !w.guardOf().CheckedAt.IsZero() })
	if acts := w.guardActs(vms); len(acts) > 0 {
		t.Errorf("the custody log has %v", acts)
	}
	w.ceph.FailNext("ReadGuard", 30, quarantine.ErrUnavailable)
	if err := w.ceph.WriteGuard(w.ctx, vms, quarantine.GuardSetting{}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is lost", func() bool { return len(w.guardActs(vms)) == 1 })
	stop()
}
