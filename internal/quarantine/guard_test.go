package quarantine_test

import (
	"errors"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// guardOf is the pool of the test with its guard's last status.
func (w *world) guardOf() quarantine.GuardStatus {
	w.t.Helper()
	st, err := w.guard.Status(w.ctx, pools()[0])
	if err != nil {
		w.t.Fatalf("guard: %v", err)
	}
	return st
}

// A run checks every guarded pool with a canary, and finds a guard that was
// switched off behind our back, with the command that mends it.
func TestGuardRun(t *testing.T) {
	w := newWorld(t)
	if rep := w.guard.Run(w.ctx, "cron", quarantine.JobOptions{}); rep.Failed() != 0 || len(rep.Items) != 3 {
		t.Fatalf("of good guards: %+v", rep)
	}
	if st := w.guardOf(); st.Fault != "" || !st.CanaryAt.Equal(w.now()) {
		t.Errorf("of a good guard: %+v", st)
	}
	if err := w.ceph.WriteGuard(w.ctx, vms, quarantine.GuardSetting{}); err != nil {
		t.Fatal(err)
	}
	if rep := w.guard.Run(w.ctx, "cron", quarantine.JobOptions{}); rep.Failed() != 1 {
		t.Errorf("of a guard that is off: %+v", rep)
	}
	if st := w.guardOf(); !strings.Contains(st.Fault, "not set") || st.Hint != "quarantinectl ceph guard on vms" {
		t.Errorf("of a guard that is off: %+v", st)
	}
}

// A guard that does not work although its option is set is a fault until a
// canary shows otherwise: looking at the option alone does not excuse it.
func TestGuardCanaryFaultStays(t *testing.T) {
	w := newWorld(t)
	w.ceph.FailNext("Canary", 1, quarantine.ErrNotFound)
	for _, canary := range []bool{true, false, false} {
		st, err := w.guard.Check(w.ctx, pools()[0], canary)
		if err != nil || !strings.Contains(st.Fault, "does not work") {
			t.Fatalf("with canary %v: %+v, %v", canary, st, err)
		}
	}
	if st, err := w.guard.Check(w.ctx, pools()[0], true); err != nil || st.Fault != "" {
		t.Errorf("after a good canary: %+v, %v", st, err)
	}
}

// What cannot be asked is no status: neither a fault nor a good guard.
func TestGuardUnavailable(t *testing.T) {
	w := newWorld(t)
	for _, verb := range []string{"ReadGuard", "Canary"} {
		w.ceph.FailNext(verb, 1, quarantine.ErrUnavailable)
		if _, err := w.guard.Check(w.ctx, pools()[0], true); !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: %v", verb, err)
		}
		if st := w.guardOf(); !st.CheckedAt.IsZero() {
			t.Errorf("%s: a status was kept: %+v", verb, st)
		}
	}
}

// A protection that is shorter than the configured one is a fault.
func TestGuardShortProtection(t *testing.T) {
	w := newWorld(t)
	if err := w.ceph.WriteGuard(w.ctx, vms, quarantine.GuardSetting{On: true, Expire: day}); err != nil {
		t.Fatal(err)
	}
	if st, err := w.guard.Check(w.ctx, pools()[0], true); err != nil || !strings.Contains(st.Fault, "less than") {
		t.Errorf("%+v, %v", st, err)
	}
}

// Switching a guard is in the custody log, or is not done.
func TestGuardSetIsWitnessed(t *testing.T) {
	w := newWorld(t)
	w.custody.fail(errors.New("disk full"))
	if _, err := w.guard.Set(w.ctx, "carol", pools()[0], false, "maintenance"); err == nil {
		t.Error("a guard was switched off unseen")
	}
	if s, err := w.ceph.ReadGuard(w.ctx, vms); err != nil || !s.On {
		t.Errorf("the guard is %+v, %v", s, err)
	}
	w.custody.fail(nil)
	if _, err := w.guard.Set(w.ctx, "carol", pools()[0], false, "maintenance"); err != nil {
		t.Fatal(err)
	}
	if s, err := w.ceph.ReadGuard(w.ctx, vms); err != nil || s.On {
		t.Errorf("the guard is %+v, %v", s, err)
	}
}
