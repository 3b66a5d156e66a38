package quarantine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A pass that is not sure of its ground removes nothing, marks nothing and
// says why; when the ground is sure again, the next pass does it.
func TestCollectPreflight(t *testing.T) {
	list := func(pool string) func(fakeceph.Call) error {
		return func(k fakeceph.Call) error {
			if k.Verb == "EachTrash" && k.Pool.Pool == pool {
				return quarantine.ErrUnavailable
			}
			return nil
		}
	}
	health := func(status string, checks ...string) func(*world) func() {
		return func(w *world) func() {
			w.ceph.SetHealth("fsid-1", quarantine.Health{Status: status, Checks: checks})
			return func() { w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_OK"}) }
		}
	}
	for name, c := range map[string]struct {
		why   string
		wrong func(w *world) (mend func())
	}{
		"policy unreadable": {"policy", func(w *world) func() {
			w.policy.err = errors.New("line 3: unknown key")
			return func() { w.policy.err = nil }
		}},
		"one pool's listing fails": {"list the trash of volumes", func(w *world) func() {
			w.ceph.Before(list("volumes"))
			return func() { w.ceph.Before(nil) }
		}},
		"a listing is empty": {"empty", func(w *world) func() {
			// Everything is out of the trash, as when a wrong pool answers.
			key := w.disks(quarantine.Expiring)[0].Key
			if err := w.ceph.CloudRestore(key, key.ReservedName()); err != nil {
				w.t.Fatalf("restore: %v", err)
			}
			return func() {
				if err := w.ceph.CloudTrash(vms, key.ReservedName(), protect); err != nil {
					w.t.Fatalf("trash: %v", err)
				}
			}
		}},
		"Ceph's health is not known": {"health", func(w *world) func() {
			w.ceph.FailNext("Health", 1, quarantine.ErrUnavailable)
			return func() {}
		}},
		"HEALTH_ERR":  {"HEALTH_ERR", health("HEALTH_ERR", "OSD_FULL")},
		"no health":   {"Ceph is in", health("")},
		"PG_DEGRADED": {"PG_DEGRADED", health("HEALTH_WARN", "POOL_NO_REDUNDANCY", "PG_DEGRADED")},
		"clock ahead": {"ahead of", func(w *world) func() {
			w.jump(day + 2*time.Second)
			return func() { w.jump(-day) }
		}},
		"clock far ahead": {"ahead of", func(w *world) func() {
			w.jump(3650 * day)
			return func() { w.jump(-3650 * day) }
		}},
		"clock behind": {"behind", func(w *world) func() {
			w.jump(-day - 2*time.Second)
			return func() { w.jump(day + 2*time.Second) }
		}},
		"catalog cannot be read": {"find", func(w *world) func() {
			w.store.close()
			return w.store.open
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			w.pass(grace)
			before := w.disks()
			mend := c.wrong(w)
			rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			if rep.Stopped == "" || len(rep.Items) != 0 {
				t.Errorf("not stopped: %+v", rep)
			}
			if name != "catalog cannot be read" && !strings.Contains(rep.Stopped, c.why) {
				t.Errorf("stopped because %q, which does not say %q", rep.Stopped, c.why)
			}
			w.nothingRemoved()
			mend()
			for i, d := range w.disks() {
				sameDisk(t, d, before[i])
			}
			w.collect()
			w.removedOnce(key)
		})
	}
}

// HEALTH_WARN alone, with checks that do not concern the data, stops nothing.
func TestCollectUnderAWarning(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_WARN", Checks: []string{"POOL_NO_REDUNDANCY"}})
	w.collect()
	w.removedOnce(key)
}

// After a jump of the clock nothing is removed until a person says that the
// clock is right, however many passes there are; the word is in the custody
// log first.
func TestCollectConfirmClock(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.jump(3 * day)
	for range 3 {
		if rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{}); rep.Stopped == "" {
			t.Fatalf("%+v", rep)
		}
		if err := w.collector.ClockTrusted(w.ctx); !errors.Is(err, quarantine.ErrRefused) {
			t.Fatalf("%v", err)
		}
	}
	w.custody.fail(errors.New("disk full"))
	if rep := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{ConfirmClock: true}); rep.Stopped == "" {
		t.Fatalf("%+v", rep)
	}
	w.custody.fail(nil)
	if rep := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{ConfirmClock: true, DryRun: true}); rep.Stopped == "" {
		t.Fatalf("a dry run confirmed the clock: %+v", rep)
	}
	w.nothingRemoved()
	if rep := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{ConfirmClock: true}); rep.Stopped != "" {
		t.Fatalf("%+v", rep)
	}
	w.removedOnce(key)
}

// A disk that is not in the listing is left to the reconciler, though its time
// is over.
func TestCollectLeavesTheAbsentAlone(t *testing.T) {
	w := newWorld(t)
	keys := w.due(2)
	if err := w.ceph.CloudRestore(keys[0], "away"); err != nil {
		t.Fatal(err)
	}
	rep := w.collect()
	w.removedOnce(keys[1])
	w.is(keys[0], quarantine.Expiring)
	if rep.Failed() != 1 {
		t.Errorf("%+v", rep.Items)
	}
}

// While the custody log cannot be written nothing is marked, purged, restored,
// exported, held or extended. Capture goes on, and the failure is told.
func TestCustodyFailing(t *testing.T) {
	w := newWorld(t)
	kept := w.quarantined()
	purge := w.due(1)[0]
	w.pass(7 * day) // kept is to be marked
	full := errors.New("no space left on device")
	w.custody.fail(full)

	rep := w.collect()
	if len(rep.Items) != 2 || rep.Failed() != 2 {
		t.Errorf("%+v", rep.Items)
	}
	w.nothingRemoved()
	w.is(purge, quarantine.Expiring)
	w.intact(purge)
	before := w.is(kept, quarantine.Quarantined)
	id := kept.DiskID()
	for name, act := range map[string]func() error{
		"clone": func() error {
			_, err := w.restorer.Clone(w.ctx, "carol", id, vols, "copy", false, "why", nil)
			return err
		},
		"in place": func() error { _, err := w.restorer.InPlace(w.ctx, "carol", id, "why"); return err },
		"export": func() error {
			s := &sink{}
			_, err := w.exporter.Export(w.ctx, "carol", id, "why", s)
			if s.buf != nil {
				t.Error("the export began")
			}
			return err
		},
		"hold":   func() error { _, err := w.holds.Hold(w.ctx, "carol", id, "case", "why"); return err },
		"extend": func() error { _, err := w.holds.Extend(w.ctx, "carol", id, w.now().Add(90*day), "why"); return err },
		"early":  func() error { _, err := w.collector.ExpireEarly(w.ctx, "carol", id, "why"); return err },
		"guard off": func() error {
			_, err := w.guard.Set(w.ctx, "carol", w.ceph.Pools()[0], false, "why")
			return err
		},
		"rebuild": func() error { _, err := w.reconciler.Rebuild(w.ctx, "carol", w.store); return err },
	} {
		if err := act(); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sameDisk(t, w.disk(kept), before)
	w.intact(kept)
	if _, ok := w.ceph.LookLive(vols, "copy"); ok {
		t.Error("cloned")
	}

	w.obs.custodyFailed = 0
	fresh := w.stray("dies meanwhile")
	w.is(fresh, quarantine.Quarantined)
	w.intact(fresh)
	if w.obs.custodyFailed == 0 {
		t.Error("the failure was not told")
	}
}
