package quarantine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// apply applies the policy in force, as ann.
func (w *world) apply() quarantine.PolicyApplication {
	w.t.Helper()
	res, err := w.applier.Apply(w.ctx, "ann", "the agreement of November", "", nil)
	if err != nil || res.Failed > 0 {
		w.t.Fatalf("apply: %+v, %v", res, err)
	}
	return res
}

// askToApply makes ann's request for what the policy in force shortens.
func (w *world) askToApply() quarantine.Request {
	w.t.Helper()
	_, digest, err := w.policy.InForce(w.ctx)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	r, err := w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: quarantine.RequestApplyPolicy, Subject: digest, Reason: "the agreement of November"})
	if err != nil {
		w.t.Fatalf("ask: %v", err)
	}
	return r
}

// agree has bob approve the request, and the sweep do it.
func (w *world) agree(r quarantine.Request) quarantine.Request {
	w.t.Helper()
	if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
		w.t.Fatalf("approve: %v", err)
	}
	if err := w.approvals.Sweep(w.ctx); err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
	return w.request(r.ID)
}

// shortening is a world in which a policy is in force that keeps a disk for a shorter
// time than it was promised.
func shortening(t *testing.T) (*world, quarantine.Key) {
	w := newWorld(t)
	key := w.quarantined()
	w.jump(time.Hour)
	w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short"})
	return w, key
}

// The application of a policy that shortens takes two people, who agree upon that
// policy and upon what was in quarantine then.
func TestApplyByTwo(t *testing.T) {
	t.Run("not by one", func(t *testing.T) {
		w, key := shortening(t)
		r := w.askToApply()
		_, err := w.approvals.Approve(w.ctx, "ann", r.ID, "mine")
		w.refused("one's own", err)
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("not of another policy", func(t *testing.T) {
		w, key := shortening(t)
		r := w.askToApply()
		w.policy.use(quarantine.Decision{Retain: day, Rule: "shorter still"})
		_, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
		w.refused("another policy's", err)
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("not of a policy that came between approval and act", func(t *testing.T) {
		w, key := shortening(t)
		r := w.askToApply()
		if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
			t.Fatal(err)
		}
		w.policy.use(quarantine.Decision{Retain: day, Rule: "shorter still"})
		w.refused("the sweep", w.approvals.Sweep(w.ctx))
		if r = w.request(r.ID); r.State != quarantine.RequestRefused {
			t.Errorf("%+v", r)
		}
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("not while the policy on disk is another", func(t *testing.T) {
		w, _ := shortening(t)
		w.policy.err = errors.New("it does not parse")
		_, err := w.applier.Apply(w.ctx, "ann", "r", "", nil)
		w.refused("apply", err)
	})
	t.Run("nothing to shorten", func(t *testing.T) {
		w, _ := shortening(t)
		w.policy.use(quarantine.Decision{Retain: 50 * day, Rule: "long"})
		_, digest, _ := w.policy.InForce(w.ctx)
		_, err := w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: quarantine.RequestApplyPolicy, Subject: digest, Reason: "r"})
		w.refused("a request for nothing", err)
	})
	t.Run("not what came, was held or released since", func(t *testing.T) {
		w, key := shortening(t)
		held, freed := w.stray("held"), w.stray("freed")
		w.policy.use(quarantine.Decision{Retain: 30 * day, Rule: "long"})
		w.apply()
		w.hold(freed, "C")
		w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short"})
		w.jump(time.Hour)
		r := w.askToApply()
		w.jump(time.Hour)
		w.hold(held, "C")
		if _, err := w.holds.Release(w.ctx, "carol", freed.DiskID(), "C", "over"); err != nil {
			t.Fatal(err)
		}
		w.policy.decide = decides(func(quarantine.Facts) quarantine.Decision { return quarantine.Decision{Retain: 9 * day, Rule: "x"} })
		late := w.stray("late")
		w.policy.decide = decides(func(quarantine.Facts) quarantine.Decision { return quarantine.Decision{Retain: 5 * day, Rule: "short"} })
		w.agree(r)
		w.keptUntil(key, t0.Add(5*day))
		for _, k := range []quarantine.Key{held, freed, late} {
			if d := w.disk(k); !d.RetainUntil.After(w.now().Add(6 * day)) {
				t.Errorf("%s is kept until %s", d.OriginalName, d.RetainUntil)
			}
		}
	})
}

// What came to rest again since the request was made, as after a restore that was
// undone, nobody has counted: it is left out.
func TestApplyLeavesOutWhatCameBack(t *testing.T) {
	for act, outcome := range map[string]string{
		"seal": quarantine.OutcomeDone, "restore": quarantine.OutcomeFailed, "restore-undone": quarantine.OutcomeDone, "kept": quarantine.OutcomeDone, "evict-undone": quarantine.OutcomeDone,
	} {
		for when, at := range map[string]time.Duration{"before": -time.Second, "since": time.Second} {
			t.Run(act+" "+when, func(t *testing.T) {
				w, key := shortening(t)
				r := w.askToApply()
				if err := w.custody.Append(w.ctx, quarantine.Entry{At: r.RequestedAt.Add(at), Act: act, Disk: key.DiskID(), Outcome: outcome}); err != nil {
					t.Fatal(err)
				}
				w.agree(r)
				w.keptUntil(key, t0.Add(map[string]time.Duration{"before": 5 * day, "since": retain}[when]))
			})
		}
	}
}

// The custody log has the request under an id of its own, so that who looks for it
// reads nothing else.
func TestApplyIsToldApart(t *testing.T) {
	w, _ := shortening(t)
	r := w.agree(w.askToApply())
	var acts []string
	for _, e := range w.custody.entries {
		if e.Disk == "request/"+r.ID && e.Outcome == quarantine.OutcomeDone {
			acts = append(acts, e.Act)
		}
		if e.Disk == "" && e.Detail["request"] == r.ID {
			t.Errorf("%s is among what is about nothing", e.Act)
		}
	}
	if !slices.Equal(acts, []string{"request", "approve"}) {
		t.Errorf("%q", acts)
	}
}

// A disk that may not be shortened keeps its date and its rule, and gets what else
// the policy protects it by; when it may, it gets the whole decision.
func TestApplyProtectsWhatItMayNotShorten(t *testing.T) {
	w, key := shortening(t)
	w.hold(key, "C")
	w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short", Mode: quarantine.Compliance, Min: 2 * day, KeepLast: quarantine.KeepLast{N: 2, By: quarantine.KeepByProject}})
	was := w.disk(key).Decision
	diff := w.simulate(w.policy, quarantine.SimulationOptions{From: t0, To: w.now(), Step: time.Hour, Changes: 9, Apply: true})
	if diff.Protected != 1 || diff.Stricter != 1 || len(diff.Moves)+len(diff.Changes) != 0 {
		t.Errorf("the diff says %+v", diff)
	}
	if res := w.apply(); res.Protected != 1 || res.Stricter != 1 || res.Shorter != 0 {
		t.Errorf("%+v", res)
	}
	w.keptUntil(key, t0.Add(retain))
	d := w.disk(key).Decision
	if d.Rule != was.Rule || d.Retain != was.Retain || d.Mode == quarantine.Compliance || d.Min != 2*day || d.KeepLast.N != 2 || !strings.Contains(d.Reason, `short protects it more`) {
		t.Errorf("%+v", d)
	}
	if res := w.apply(); res.Stricter != 0 {
		t.Errorf("again: %+v", res)
	}
	if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "C", "over"); err != nil {
		t.Fatal(err)
	}
	w.jump(time.Hour)
	w.agree(w.askToApply())
	w.keptUntil(key, t0.Add(5*day))
	if d := w.disk(key).Decision; d.Rule != "short" || d.Mode != quarantine.Compliance {
		t.Errorf("%+v", d)
	}
}

// What people decided about one disk stays: its extension, its shortening under the
// same rule, its early purge. A disk whose time was over goes back into quarantine if
// the policy gives it more.
func TestApplyLeavesWhatPeopleDecided(t *testing.T) {
	t.Run("extended", func(t *testing.T) {
		w, key := shortening(t)
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(40*day), "needed"); err != nil {
			t.Fatal(err)
		}
		if res := w.apply(); res.Shorter != 0 {
			t.Errorf("%+v", res)
		}
		w.keptUntil(key, t0.Add(40*day))
	})
	t.Run("extended, and promised more for a while", func(t *testing.T) {
		w, key := shortening(t)
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(20*day), "needed"); err != nil {
			t.Fatal(err)
		}
		w.policy.use(quarantine.Decision{Retain: 30 * day, Rule: "long"})
		w.apply()
		w.keptUntil(key, t0.Add(30*day))
		w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short"})
		w.agree(w.askToApply())
		w.keptUntil(key, t0.Add(20*day))
	})
	t.Run("shortened", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
		if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
			t.Fatal(err)
		}
		w.policy.use(quarantine.Decision{Retain: 8 * day, Rule: "default"})
		w.apply()
		w.keptUntil(key, t0.Add(5*day))
		w.policy.use(quarantine.Decision{Retain: 8 * day, Rule: "another"})
		w.apply()
		w.keptUntil(key, t0.Add(8*day))
	})
	t.Run("purged early", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		r := w.wish(quarantine.RequestPurgeEarly, key, time.Time{})
		if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
			t.Fatal(err)
		}
		w.policy.use(quarantine.Decision{Retain: 80 * day, Rule: "long"})
		w.apply()
		w.is(key, quarantine.Expiring)
		w.policy.use(quarantine.Decision{Retain: 80 * day, Rule: "long", Hold: &quarantine.PolicyHold{CaseID: "C", Reason: "r"}})
		w.apply()
		if d := w.is(key, quarantine.Quarantined); !d.Held() || d.EarlyBy != "" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		key := w.expiring()
		w.policy.use(quarantine.Decision{Retain: retain + 20*day, Rule: "long"})
		w.apply()
		w.is(key, quarantine.Quarantined)
		w.keptUntil(key, t0.Add(retain+20*day))
		if got := w.custody.of(key); !slices.Contains(got, "policy-applied intent") || !slices.Contains(got, "policy-applied done") {
			t.Errorf("custody: %q", got)
		}
	})
	t.Run("what was shortened is lengthened by a policy that gives more again", func(t *testing.T) {
		w, key := shortening(t)
		w.agree(w.askToApply())
		w.keptUntil(key, t0.Add(5*day))
		w.policy.use(quarantine.Decision{Retain: 9 * day, Rule: "short"})
		w.apply()
		w.keptUntil(key, t0.Add(9*day))
	})
	t.Run("not below the least time that was promised", func(t *testing.T) {
		w := newWorld(t)
		w.policy.use(quarantine.Decision{Retain: 20 * day, Min: 10 * day, Rule: "least"})
		key := w.quarantined()
		w.jump(time.Hour)
		w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short"})
		w.agree(w.askToApply())
		w.keptUntil(key, t0.Add(10*day))
	})
	t.Run("what another look finds shorter is not done at once", func(t *testing.T) {
		w, key := shortening(t)
		looks := 0
		w.policy.force(func(quarantine.Facts) quarantine.Decision {
			if looks++; looks == 1 {
				return quarantine.Decision{Retain: 50 * day, Rule: "long"}
			}
			return quarantine.Decision{Retain: 5 * day, Rule: "short"} // as of an identity that came meanwhile
		})
		if res := w.apply(); res.Longer+res.Stricter != 0 {
			t.Errorf("%+v", res)
		}
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("not while the policy changes", func(t *testing.T) {
		w, key := shortening(t)
		w.policy.force(func(quarantine.Facts) quarantine.Decision {
			w.policy.digest = "another" // the lock is not held: it is a snapshot
			return quarantine.Decision{Retain: 50 * day, Rule: "long"}
		})
		_, err := w.applier.Apply(w.ctx, "ann", "r", "", nil)
		w.refused("half of it", err)
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("a copy is not shortened for its own sake", func(t *testing.T) {
		w, key, c := isolatedDisk(t)
		w.jump(time.Hour)
		w.policy.use(quarantine.Decision{Retain: 5 * day, Rule: "short"})
		if r := w.agree(w.askToApply()); r.Detail["disks"] != "1" {
			t.Errorf("%+v", r)
		}
		w.keptUntil(key, t0.Add(5*day))
		w.keptUntil(c, t0.Add(retain))
	})
	t.Run("copies follow", func(t *testing.T) {
		w, key, c := isolatedDisk(t)
		w.policy.use(quarantine.Decision{Retain: 50 * day, Rule: "long", Hold: &quarantine.PolicyHold{CaseID: "C", Reason: "r"}})
		w.apply()
		w.keptUntil(key, t0.Add(50*day))
		w.keptUntil(c, t0.Add(50*day))
		if d := w.disk(c); !d.Held() {
			t.Error("the copy is not held")
		}
		w.apply()
		if n := len(w.disk(c).Holds); n != 1 {
			t.Errorf("the copy has %d holds", n)
		}
	})
}

// isolatedDisk is a world with an isolated disk and its copy.
func isolatedDisk(t *testing.T) (w *world, key, c quarantine.Key) {
	w = newWorld(t)
	w.isolates()
	w.evidencePool()
	key = w.quarantined()
	w.isolate()
	return w, key, w.copyOf(key)
}

// The shortening by a policy stands when the catalog is lost, by the word of two
// people in the custody log, and by no other.
func TestApplyAfterALossOfTheCatalog(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(e *quarantine.Entry) bool // true: leave it out
		want  time.Duration
	}{
		"as it was":           {func(*quarantine.Entry) bool { return false }, 5 * day},
		"without an approval": {func(e *quarantine.Entry) bool { return e.Act == "approve" }, retain},
		"without a request":   {func(e *quarantine.Entry) bool { return e.Act == "request" }, retain},
		"by one person":       {func(e *quarantine.Entry) bool { e.Actor = "ann"; return false }, retain},
	} {
		t.Run(name, func(t *testing.T) {
			w, key := shortening(t)
			w.agree(w.askToApply())
			w.reconcile() // the record says so, too
			var kept []quarantine.Entry
			for _, e := range w.custody.entries {
				if !c.forge(&e) {
					kept = append(kept, e)
				}
			}
			w.custody.entries = kept
			w.store.lose()
			w.obs.forget()
			w.restart()
			w.reconcile()
			w.keptUntil(key, t0.Add(c.want))
			w.pass(5 * day)
			w.collect()
			if want := map[bool]quarantine.State{true: quarantine.Expiring, false: quarantine.Quarantined}[c.want == 5*day]; w.disk(key).State != want {
				t.Errorf("it is %s", w.disk(key).State)
			}
		})
	}
}

// A catalog that is put back from a backup does not undo what people decided after
// an application: it is not done twice, and an extension is found in the custody log.
func TestApplyAndAnOldCatalog(t *testing.T) {
	for _, when := range []string{"before it was done", "after it was done"} {
		t.Run(when, func(t *testing.T) {
			w, key := shortening(t)
			r := w.askToApply()
			if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
				t.Fatal(err)
			}
			approved, was := w.request(r.ID), w.disk(key)
			if err := w.approvals.Sweep(w.ctx); err != nil {
				t.Fatal(err)
			}
			if when == "after it was done" {
				was = w.disk(key)
			}
			w.reconcile()
			if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(9*day), "after all"); err != nil {
				t.Fatal(err)
			}
			w.putBack(was)
			approved.Version = w.request(r.ID).Version
			if _, err := w.store.PutRequest(w.ctx, approved); err != nil {
				t.Fatal(err)
			}
			if err := w.approvals.Sweep(w.ctx); err != nil {
				t.Fatal(err)
			}
			if n := len(slices.DeleteFunc(w.custody.of(key), func(e string) bool { return e != "shorten done" })); n != 1 {
				t.Errorf("shortened %d times", n)
			}
			w.reconcile()
			if d := w.disk(key); d.RetainUntil.Before(t0.Add(9 * day)) {
				t.Errorf("kept until %s", d.RetainUntil)
			}
			if on, err := w.recordOn(key); err != nil || on.RetainUntil.Before(t0.Add(9*day)) {
				t.Errorf("the record says %s, %v", on.RetainUntil, err)
			}
		})
	}
}

// Until the record on the image says the new date, the disk does not expire.
func TestApplyWaitsForTheRecord(t *testing.T) {
	w, key := shortening(t)
	w.agree(w.askToApply())
	w.pass(5 * day)
	w.collect()
	w.is(key, quarantine.Quarantined)
	w.reconcile()
	w.collect()
	w.is(key, quarantine.Expiring)
	w.pass(grace)
	w.collect()
	w.is(key, quarantine.Purged)
}

// A process that dies at any point of an application leaves each disk promised what
// it was or what it is to be, and who goes on does the rest: once.
func TestApplyCrash(t *testing.T) {
	for at := 1; ; at++ {
		w, key := shortening(t)
		long := w.stray("long")
		w.policy.force(decides(func(f quarantine.Facts) quarantine.Decision {
			if f.Deletion == nil {
				return quarantine.Decision{Retain: 30 * day, Rule: "long", Mode: quarantine.Compliance}
			}
			return quarantine.Decision{Retain: 5 * day, Rule: "short"}
		}))
		w.jump(time.Hour)
		w.proc.points, w.proc.at = nil, at
		ended := false
		w.run(func() {
			w.apply()
			r := w.askToApply()
			w.agree(r)
			ended = true
		})
		seen := strings.Join(w.proc.points, " ")
		w.restart()
		if err := w.approvals.Sweep(w.ctx); err != nil {
			t.Fatalf("at %d (%s): %v", at, seen, err)
		}
		w.apply()
		if w.disk(key).RetainUntil.After(t0.Add(5 * day)) {
			open, err := w.store.FindRequests(w.ctx, quarantine.RequestFilter{States: []quarantine.RequestState{quarantine.RequestOpen}})
			if err != nil || len(open) > 1 {
				t.Fatalf("at %d (%s): %+v, %v", at, seen, open, err)
			}
			if len(open) == 0 {
				open = append(open, w.askToApply())
			}
			w.agree(open[0])
		}
		w.keptUntil(key, t0.Add(5*day))
		if d := w.disk(long); d.Decision.Mode != quarantine.Compliance || !d.RetainUntil.After(t0.Add(30*day)) {
			t.Fatalf("at %d (%s): %+v", at, seen, d)
		}
		told := map[string]int{}
		for _, e := range append(w.custody.of(key), w.custody.of(long)...) {
			told[e]++
		}
		// A death between row and log leaves the lengthening with its intent alone.
		if told["shorten done"] != 1 || told["policy-applied done"] > 1 {
			t.Fatalf("at %d (%s): %q %q", at, seen, w.custody.of(key), w.custody.of(long))
		}
		w.reconcile()
		w.sound(seen)
		if ended {
			return
		}
	}
}
