package quarantine_test

import (
	"errors"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// Nobody has a compliance disk go before its time, nor another one before its
// rule's least time; each refusal is in the custody log, and names its reason.
func TestNotCutShort(t *testing.T) {
	early := func(w *world, key quarantine.Key) error {
		_, err := w.collector.ExpireEarly(w.ctx, "dave", key.DiskID(), "the owner asked")
		return err
	}
	refused := func(t *testing.T, w *world, key quarantine.Key, why string) {
		t.Helper()
		if err := early(w, key); !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want a refusal for its %s", err, why)
		}
		w.is(key, quarantine.Quarantined)
		if !w.custody.has(key, "expire refused") {
			t.Error("the custody log has no refusal")
		}
	}
	t.Run("compliance", func(t *testing.T) {
		w := newWorld(t)
		w.policy.use(quarantine.Decision{Rule: "law", Retain: 30 * day, Mode: quarantine.Compliance})
		key := w.quarantined()
		refused(t, w, key, "compliance")
		// A policy that is milder later, and a name that comes later, change nothing.
		w.policy.use(quarantine.Decision{Rule: "mild", Retain: 2 * day})
		w.record(w.deleteOf(quarantine.KindRebuild, "r"), w.deleteOf(quarantine.KindDelete, ""))
		refused(t, w, key, "compliance")
		// Nor does the loss of the catalog, or of the record on the image.
		w.rebuild()
		refused(t, w, key, "compliance")
		for range 31 {
			w.pass(day)
		}
		w.collect()
		w.pass(2 * grace)
		w.collect()
		w.removedOnce(key)
	})
	t.Run("min", func(t *testing.T) {
		w := newWorld(t)
		w.policy.use(quarantine.Decision{Rule: "r", Retain: 30 * day, Min: 5 * day})
		key := w.quarantined()
		refused(t, w, key, "least")
		w.policy.use(quarantine.Decision{Rule: "mild", Retain: 2 * day})
		w.rebuild()
		refused(t, w, key, "least")
		w.pass(5 * day)
		if err := early(w, key); err != nil {
			t.Fatal(err)
		}
		w.is(key, quarantine.Expiring)
	})
	// Marked early, and then known to be under compliance: it comes back.
	t.Run("marked before", func(t *testing.T) {
		w := newWorld(t)
		w.policy.use(quarantine.Decision{Rule: "mild", Retain: 30 * day})
		key := w.quarantined()
		if err := early(w, key); err != nil {
			t.Fatal(err)
		}
		w.policy.use(quarantine.Decision{Rule: "law", Retain: 30 * day, Mode: quarantine.Compliance})
		w.record(w.deleteOf(quarantine.KindDelete, ""))
		if d := w.is(key, quarantine.Quarantined); d.EarlyBy != "" {
			t.Errorf("it is still to be purged early: %+v", d)
		}
	})
}

// A policy that would not have let a disk go early keeps it in the simulation for
// as long as it would have.
func TestSimulatedPolicyRefusesToCutShort(t *testing.T) {
	w := newWorld(t)
	w.policy.use(quarantine.Decision{Rule: "mild", Retain: 60 * day})
	key := w.quarantined()
	from := w.now()
	if _, err := w.collector.ExpireEarly(w.ctx, "dave", key.DiskID(), "the owner asked"); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * grace)
	w.collect()
	w.removedOnce(key)
	for name, c := range map[string]struct {
		other quarantine.Decision
		days  int
	}{
		"governance": {quarantine.Decision{Rule: "x", Retain: 30 * day}, 3},
		"min":        {quarantine.Decision{Rule: "x", Retain: 30 * day, Min: 20 * day}, 20},
		"compliance": {quarantine.Decision{Rule: "x", Retain: 30 * day, Mode: quarantine.Compliance}, 30},
	} {
		o := quarantine.SimulationOptions{From: from, To: from.Add(40 * day), Step: day}
		kept := 0
		for _, p := range w.simulate(always{c.other}, o).Points {
			kept += int(p.Then.Disks)
		}
		if kept < c.days-1 || kept > c.days+1 {
			t.Errorf("%s: kept on %d days, want %d", name, kept, c.days)
		}
	}
}

// always decides the same.
type always struct{ quarantine.Decision }

func (a always) Decide(quarantine.Facts) quarantine.Decision { return a.Decision }
