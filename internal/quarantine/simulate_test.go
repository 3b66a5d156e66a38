package quarantine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

func (w *world) simulate(other quarantine.Decider, o quarantine.SimulationOptions) quarantine.Simulation {
	w.t.Helper()
	s, err := quarantine.NewSimulator(w.store, w.ceph, w.now).Simulate(w.ctx, other, o)
	if err != nil {
		w.t.Fatalf("simulate: %v", err)
	}
	return s
}

// simulated is a policy that decides by the name and by whether the disk is
// explained.
type simulated struct {
	even, odd, unexplained time.Duration
	hold                   string // the case of the disks whose name ends with 0
}

func (s simulated) Decide(f quarantine.Facts) quarantine.Decision {
	d := quarantine.Decision{Retain: s.even, Rule: "even"}
	switch {
	case f.Deletion == nil:
		d = quarantine.Decision{Retain: s.unexplained, Rule: "unexplained"}
	case strings.Contains("13579", f.OriginalName[len(f.OriginalName)-1:]):
		d = quarantine.Decision{Retain: s.odd, Rule: "odd"}
	}
	if s.hold != "" && strings.HasSuffix(f.OriginalName, "0") {
		d.Hold = &quarantine.PolicyHold{CaseID: s.hold, Reason: "it ends with 0"}
	}
	return d
}

func simulatedPolicy(t *rapid.T, name string) simulated {
	days := func(of string) time.Duration {
		return time.Duration(rapid.IntRange(1, 60).Draw(t, name+" "+of)) * day
	}
	return simulated{days("even"), days("odd"), days("unexplained"), rapid.SampledFrom([]string{"", "C-1"}).Draw(t, name+" hold")}
}

// death is a disk of a history, and what people do to it.
type death struct {
	pool                   quarantine.PoolRef
	after                  time.Duration // the one before
	explained              bool
	extended, held, lifted bool
}

// live plays a history in the world.
func (w *world) live(history []death) {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("live: %v", err)
		}
	}
	for i, d := range history {
		w.jump(d.after)
		name := fmt.Sprintf("disk-%d", i)
		key := w.create(d.pool, name)
		if d.explained {
			del := w.deleteOf(quarantine.KindDelete, "")
			del.ID, del.ResourceID = quarantine.DeletionID("os", quarantine.KindDelete, name, ""), name
			del.StartedAt, del.EndedAt = w.now(), w.now()
			del.Disks = []quarantine.DiskRef{{Pool: d.pool.Pool, Name: name}}
			w.record(del)
		}
		w.remove(key)
		w.adopt(key)
		if d.extended {
			_, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), w.now().Add(100*day), "needed")
			must(err)
		}
		if d.held {
			w.hold(key, "C-2")
		}
		if d.held && d.lifted {
			w.jump(time.Hour)
			_, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "C-2", "over")
			must(err)
		}
	}
}

// What a simulation says of another policy is what that policy does, on the same
// history from its beginning: at every time as many disks and bytes.
func TestSimulationIsWhatThePolicyDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := anyHistory(rt)
		present, other := simulatedPolicy(rt, "present"), simulatedPolicy(rt, "other")
		w, real := newWorld(t), newWorld(t)
		w.policy.decide, real.policy.decide = present.Decide, other.Decide
		w.live(history)
		real.live(history)
		s := w.simulate(other, quarantine.SimulationOptions{From: t0.Add(-day), To: t0.Add(150 * day), Step: 7 * time.Hour, Changes: 3})
		for _, side := range []struct {
			what string
			w    *world
			of   func(quarantine.SimulationPoint) quarantine.Kept
		}{
			{"the present policy", w, func(p quarantine.SimulationPoint) quarantine.Kept { return p.Now }},
			{"the other policy", real, func(p quarantine.SimulationPoint) quarantine.Kept { return p.Then }},
		} {
			disks := side.w.disks()
			for _, p := range s.Points {
				var want quarantine.Kept
				for _, d := range disks {
					if !d.DeletedAt.After(p.At) && (d.Held() || p.At.Before(d.RetainUntil)) {
						want.Disks++
						want.Bytes += d.SizeBytes
					}
				}
				if got := side.of(p); got != want {
					rt.Fatalf("%s at %s: %+v, and does %+v", side.what, p.At, got, want)
				}
			}
		}
		if int(s.Disks) != len(history) || len(s.Changes) > 3 || int64(len(s.Changes)) > s.Shorter+s.Longer {
			rt.Fatalf("%d disks, %d changes named of %d and %d", s.Disks, len(s.Changes), s.Shorter, s.Longer)
		}
	})
}

// A date that a person gave stays in another policy's history, too, also where the
// present policy has promised more since.
func TestSimulationKnowsExtensions(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(20*day), "needed"); err != nil {
		t.Fatal(err)
	}
	w.policy.use(quarantine.Decision{Retain: 30 * day, Rule: "long"})
	w.apply()
	s := w.simulate(simulated{5 * day, 5 * day, 5 * day, ""}, quarantine.SimulationOptions{From: t0.Add(-day), To: t0.Add(60 * day), Step: day, Changes: 3})
	if len(s.Changes) != 1 || !s.Changes[0].Until.Equal(t0.Add(30*day)) || !s.Changes[0].ThenUntil.Equal(t0.Add(20*day)) {
		t.Errorf("%+v", s.Changes)
	}
}

// The answer names what matters to who shortens a policy: what would be gone by
// now, the hold that would have come too late, and who would be hit most.
func TestSimulationNamesWhatIsLost(t *testing.T) {
	w := newWorld(t)
	w.policy.decide = simulated{20 * day, 20 * day, 20 * day, ""}.Decide
	w.live([]death{{pool: vms, explained: true}, {pool: vms, after: day, explained: true}, {pool: vms, after: day}})
	w.jump(8 * day)
	first := w.disks()[0]
	if _, err := w.holds.Hold(w.ctx, "carol", first.ID, "C-9", "a question"); err != nil {
		t.Fatal(err)
	}
	before := w.disks()
	s := w.simulate(simulated{5 * day, 15 * day, 30 * day, ""}, quarantine.SimulationOptions{From: t0, To: w.now(), Step: day, Changes: 2})
	if s.Gone.Disks != 1 || s.Still.Disks != 0 || s.Holds != 1 || s.Shorter != 2 || s.Longer != 1 {
		t.Errorf("gone %+v, still %+v, %d holds, %d shorter, %d longer, changes %+v", s.Gone, s.Still, s.Holds, s.Shorter, s.Longer, s.Changes)
	}
	if len(s.Changes) != 2 || s.Changes[0].Disk != first.ID || !s.Changes[0].Until.IsZero() || !s.Changes[0].ThenUntil.Equal(t0.Add(5*day)) || s.Changes[0].ThenRule != "even" {
		t.Errorf("changes %+v", s.Changes)
	}
	if len(s.Moves) != 2 && len(s.Moves) != 3 {
		t.Errorf("moves %+v", s.Moves)
	}
	for i, d := range w.disks() {
		if !d.RetainUntil.Equal(before[i].RetainUntil) || d.Version != before[i].Version {
			t.Errorf("the simulation changed %s", d.ID)
		}
	}
	w.nothingRemoved()
}

// What has left quarantine keeps its end under both policies where a person made
// it, and is left out of a comparison of what is in quarantine.
func TestSimulationOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	restored, purged := w.quarantined(), w.create(vms, "other")
	w.remove(purged)
	w.adopt(purged)
	w.jump(day)
	if _, err := w.restorer.InPlace(w.ctx, "carol", restored.DiskID(), "back"); err != nil {
		t.Fatal(err)
	}
	w.pass(unexplainedRetain)
	w.collect()
	w.pass(2 * grace)
	w.collect()
	w.is(purged, quarantine.Purged)
	long := simulated{50 * day, 50 * day, 50 * day, ""}
	o := quarantine.SimulationOptions{From: t0, To: w.now(), Step: time.Hour, Changes: 10}
	s := w.simulate(long, o)
	if s.Disks != 2 || s.Still.Disks != 1 || s.Longer != 1 || s.Changes[0].Disk != purged.DiskID() {
		t.Errorf("gone %+v, still %+v, %d holds, %d shorter, %d longer, changes %+v", s.Gone, s.Still, s.Holds, s.Shorter, s.Longer, s.Changes)
	}
	o.Apply = true
	if s := w.simulate(long, o); s.Disks != 0 || len(s.Changes) != 0 {
		t.Errorf("in quarantine: %d disks, changes %+v", s.Disks, s.Changes)
	}
}

// A history of several pages, with more deaths in one second than a page holds,
// is counted once, whole.
func TestSimulationOfManyPages(t *testing.T) {
	w := newWorld(t)
	const n = 2500
	for i := range n {
		at := t0.Add(time.Duration(max(0, i-1500)) * time.Second)
		key := vms.Key(fmt.Sprintf("%x", i))
		d := quarantine.Disk{ID: key.DiskID(), Key: key, OriginalName: fmt.Sprint("disk-", i), State: quarantine.Quarantined, Capture: quarantine.CaptureGuard,
			SizeBytes: 1, UsedBytes: -1, DeletedAt: at, QuarantinedAt: at, RetainUntil: at.Add(day), Decision: quarantine.Decision{Retain: day, Rule: "x"}}
		if _, err := w.store.PutDisk(w.ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	s := w.simulate(simulated{day, day, 2 * day, ""}, quarantine.SimulationOptions{From: t0, To: t0.Add(10 * day), Step: day})
	if s.Disks != n || s.Longer != n || s.Points[0].Now.Disks != 1501 {
		t.Errorf("%d disks, %d longer, at first %+v", s.Disks, s.Longer, s.Points[0])
	}
}

// A period that is none, and answers without end, are refused.
func TestSimulationRefuses(t *testing.T) {
	w := newWorld(t)
	good := quarantine.SimulationOptions{From: t0, To: t0.Add(day), Step: time.Hour}
	for name, change := range map[string]func(*quarantine.SimulationOptions){
		"no period":    func(o *quarantine.SimulationOptions) { o.To = o.From },
		"no step":      func(o *quarantine.SimulationOptions) { o.Step = 0 },
		"many points":  func(o *quarantine.SimulationOptions) { o.Step = time.Minute },
		"many changes": func(o *quarantine.SimulationOptions) { o.Changes = 1 << 20 },
		"below none":   func(o *quarantine.SimulationOptions) { o.Changes = -1 },
	} {
		o := good
		change(&o)
		if _, err := quarantine.NewSimulator(w.store, w.ceph, w.now).Simulate(w.ctx, simulated{}, o); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
