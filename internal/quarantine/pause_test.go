package quarantine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// stops runs a pass that must be stopped for that reason and act on nothing.
func (w *world) stops(why ...string) {
	w.t.Helper()
	for _, dry := range []bool{true, false} {
		rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: dry})
		for _, s := range why {
			if !strings.Contains(rep.Stopped, s) || len(rep.Items) > 0 {
				w.t.Errorf("the pass says %q and did %+v; want it stopped by %q", rep.Stopped, rep.Items, s)
			}
		}
	}
}

func (w *world) paused(until time.Time) {
	w.t.Helper()
	if _, err := w.collector.Pause(w.ctx, "carol", "an incident", until); err != nil {
		w.t.Fatalf("pause: %v", err)
	}
}

// While removals are paused no pass does anything, over restarts too, and says
// whose word it is; disks are captured as ever. Who lifts the pause is in the
// custody log, and the next pass goes on.
func TestPause(t *testing.T) {
	w := newWorld(t)
	keys := w.due(2)
	w.paused(time.Time{})
	w.stops("paused by carol", "an incident")
	w.restart()
	w.stops("paused by carol")
	late := w.stray("late")
	w.is(late, quarantine.Quarantined)
	w.nothingRemoved()
	if err := w.collector.Resume(w.ctx, "dora", "it is over"); err != nil {
		t.Fatal(err)
	}
	w.collect()
	for _, k := range keys {
		w.is(k, quarantine.Purged)
	}
	entries, err := w.custody.Entries(w.ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range entries {
		if e.Act == "pause" || e.Act == "resume" {
			told = append(told, e.Act+" "+e.Actor+" "+e.Outcome)
		}
	}
	if got := strings.Join(told, ", "); got != "pause carol intent, pause carol done, resume dora intent, resume dora done" {
		t.Errorf("the custody log has %s", got)
	}
	if err := w.collector.Resume(w.ctx, "dora", "again"); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("lifted twice: %v", err)
	}
}

// A pause with an end is over by itself, not a second before.
func TestPauseUntil(t *testing.T) {
	w := newWorld(t)
	w.due(1)
	if _, err := w.collector.Pause(w.ctx, "carol", "r", w.now()); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("until now: %v", err)
	}
	w.paused(w.now().Add(time.Hour))
	w.jump(time.Hour - time.Second)
	w.stops("paused")
	if p, err := w.collector.Paused(w.ctx); err != nil || p == nil || p.Reason != "an incident" {
		t.Errorf("%+v, %v", p, err)
	}
	w.jump(time.Second)
	if p, err := w.collector.Paused(w.ctx); err != nil || p != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if rep := w.collect(); len(rep.Items) != 1 {
		t.Errorf("it did %+v", rep.Items)
	}
}

// A pause holds back a pass that is under way: what has begun is finished, and
// no other disk is begun.
func TestPauseInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.safety.Workers = 1
	w.restart()
	keys := w.due(5)
	hook := func(fakeceph.Call) error { return nil }
	w.ceph.After(func(k fakeceph.Call) error { return hook(k) })
	hook = func(k fakeceph.Call) error {
		if k.Verb == "Remove" && len(w.ceph.Removals()) == 2 {
			w.paused(time.Time{})
		}
		return nil
	}
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if !strings.Contains(rep.Stopped, "paused by carol") || len(rep.Items) != 2 {
		t.Errorf("stopped by %q, did %+v", rep.Stopped, rep.Items)
	}
	states := map[quarantine.State]int{}
	for _, k := range keys {
		states[w.disk(k).State]++
	}
	if states[quarantine.Purged] != 2 || states[quarantine.Expiring] != 3 {
		t.Errorf("the disks are %v", states)
	}
}

// A pause that cannot be read is one.
func TestPauseUnreadable(t *testing.T) {
	w := newWorld(t)
	w.due(1)
	if err := w.store.SetMark(w.ctx, "collect/pause", []byte("?")); err != nil {
		t.Fatal(err)
	}
	w.stops("paused")
	w.nothingRemoved()
}

// The pace bounds purges, however many work at once.
func TestCollectPace(t *testing.T) {
	w := newWorld(t)
	w.safety.DisksPerSecond = 100
	w.restart()
	const n = 11
	w.due(n)
	began := time.Now()
	if rep := w.collect(); len(rep.Items) != n || rep.Failed() > 0 {
		t.Fatalf("it did %+v", rep.Items)
	}
	// The first turn is there already, and the second may come at once; nine
	// intervals are between the others, which no machine makes shorter.
	if took := time.Since(began); took < (n-2)*10*time.Millisecond {
		t.Errorf("%d disks in %s, more than 100 in a second", n, took)
	}
}
