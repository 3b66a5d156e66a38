package quarantine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// site is a world in which anything happens, in any order, and what was promised
// there.
type site struct {
	*world
	keys     []quarantine.Key
	before   map[quarantine.Key]quarantine.Disk
	paused   bool
	requests []quarantine.Request
	// approved is what the last act has approved, by approver; zero: nothing.
	approved quarantine.Request
	approver string
	// stands: a standing hold is open on all that ann owns; explained are the disks
	// that were found to be hers.
	stands    bool
	stood     time.Time
	explained map[quarantine.Key]bool
	// early are the disks whose early purge two people agreed upon.
	early map[quarantine.Key]bool
	// collecting is true while the last act was a pass, sweeping while it was a sweep.
	collecting, sweeping bool
	// policies are the applications of a policy that two people agreed upon, by request.
	policies map[string]bool
}

// one draws one of the disks; false if there is none yet.
func (s *site) one(t *rapid.T) (quarantine.Disk, bool) {
	if len(s.keys) == 0 {
		return quarantine.Disk{}, false
	}
	return s.disk(rapid.SampledFrom(s.keys).Draw(t, "disk")), true
}

// refusable fails the test for an error that is none of those that a person is
// told of.
func refusable(t *rapid.T, err error) {
	if err != nil && !errors.Is(err, quarantine.ErrRefused) && !errors.Is(err, quarantine.ErrInvalid) && !errors.Is(err, quarantine.ErrBusy) && !errors.Is(err, quarantine.ErrConflict) {
		t.Fatal(err)
	}
}

// acts are what can happen.
func (s *site) acts() map[string]func(*rapid.T) {
	cases := rapid.SampledFrom([]string{"C-1", "C-2"})
	on := func(do func(*rapid.T, quarantine.Disk)) func(*rapid.T) {
		return func(t *rapid.T) {
			if d, ok := s.one(t); ok {
				do(t, d)
			}
		}
	}
	people := rapid.SampledFrom([]string{"ann", "bob"})
	return map[string]func(*rapid.T){
		"die": func(*rapid.T) {
			key := s.create(vms, fmt.Sprintf("disk-%d", len(s.keys)))
			s.remove(key)
			s.adopt(key)
			s.keys = append(s.keys, key)
		},
		"explain": on(func(t *rapid.T, d quarantine.Disk) {
			del := s.deleteOf(quarantine.KindDelete, "")
			del.ID, del.ResourceID = quarantine.DeletionID("os", quarantine.KindDelete, d.OriginalName, ""), d.OriginalName
			del.StartedAt, del.EndedAt = d.DeletedAt, d.DeletedAt
			del.Disks = []quarantine.DiskRef{{Pool: "vms", Name: d.OriginalName}}
			refusable(t, s.recorder.Record(s.ctx, []quarantine.Deletion{del}))
		}),
		"hold": on(func(t *rapid.T, d quarantine.Disk) {
			_, err := s.holds.Hold(s.ctx, "carol", d.ID, cases.Draw(t, "case"), "a reason")
			refusable(t, err)
		}),
		"release": on(func(t *rapid.T, d quarantine.Disk) {
			_, err := s.holds.Release(s.ctx, "carol", d.ID, cases.Draw(t, "case"), "over")
			if !errors.Is(err, quarantine.ErrNotFound) { // there is no such hold
				refusable(t, err)
			}
		}),
		"extend": on(func(t *rapid.T, d quarantine.Disk) {
			_, err := s.holds.Extend(s.ctx, "carol", d.ID, s.now().Add(time.Duration(rapid.IntRange(-5, 60).Draw(t, "days"))*day), "needed")
			refusable(t, err)
		}),
		"policy": func(t *rapid.T) {
			d := quarantine.Decision{Retain: time.Duration(rapid.IntRange(1, 40).Draw(t, "days")) * day, Rule: "x"}
			d.Mode = rapid.SampledFrom([]quarantine.RetentionMode{"", quarantine.Governance, quarantine.Compliance}).Draw(t, "mode")
			d.Min = time.Duration(rapid.Int64Range(0, int64(d.Retain)).Draw(t, "min"))
			if rapid.IntRange(0, 4).Draw(t, "holds") == 0 {
				d.Hold = &quarantine.PolicyHold{CaseID: "P", Reason: "the policy's"}
			}
			s.policy.use(d)
		},
		"apply the policy": func(t *rapid.T) {
			who := people.Draw(t, "who")
			res, err := s.applier.Apply(s.ctx, who, "as it is now", "", nil)
			if err != nil || res.Failed > 0 {
				t.Fatalf("%+v, %v", res, err)
			}
			if res.Shorter == 0 {
				return
			}
			r, err := s.approvals.Ask(s.ctx, who, quarantine.Wish{Kind: quarantine.RequestApplyPolicy, Subject: res.Policy, Reason: "as it is now"})
			if err == nil {
				s.requests = append(s.requests, r)
			} else if !errors.Is(err, quarantine.ErrExists) {
				refusable(t, err) // ErrConflict: it is the same moment still, and so the same request
			}
		},
		"purge early": on(func(t *rapid.T, d quarantine.Disk) {
			_, err := s.collector.ExpireEarly(s.ctx, "carol", d.ID, "asked for")
			refusable(t, err)
		}),
		"request": on(func(t *rapid.T, d quarantine.Disk) {
			w := quarantine.Wish{Kind: rapid.SampledFrom([]string{quarantine.RequestPurgeEarly, quarantine.RequestShorten}).Draw(t, "kind"), Subject: d.ID, Reason: "asked for"}
			if w.Kind == quarantine.RequestShorten {
				w.Until = s.now().Add(time.Duration(rapid.IntRange(-1, 20).Draw(t, "days")) * day)
			}
			r, err := s.approvals.Ask(s.ctx, people.Draw(t, "who"), w)
			if err == nil {
				s.requests = append(s.requests, r)
			} else if !errors.Is(err, quarantine.ErrExists) {
				refusable(t, err)
			}
		}),
		"approve": func(t *rapid.T) {
			if len(s.requests) > 0 {
				r := rapid.SampledFrom(s.requests).Draw(t, "request")
				s.approver = people.Draw(t, "who")
				_, err := s.approvals.Approve(s.ctx, s.approver, r.ID, "agreed")
				if refusable(t, err); err == nil {
					s.approved = r
					s.policies[r.ID] = s.policies[r.ID] || r.RequestedBy != s.approver
				}
			}
		},
		"stand": func(t *rapid.T) {
			_, err := s.cases.PlaceStanding(s.ctx, "carol", quarantine.StandingHold{CaseID: "S", Reason: "watched", Kind: quarantine.StandingUser, Value: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if !s.stands {
				s.stands, s.stood = true, s.now()
			}
		},
		"stand no more": func(t *rapid.T) {
			all, err := s.standing.All(s.ctx)
			refusable(t, err)
			for _, h := range all {
				if h.ReleasedAt.IsZero() {
					_, err := s.standing.Release(s.ctx, "carol", h.ID, "over")
					refusable(t, err)
				}
			}
			s.stands = false
		},
		"sweep": func(t *rapid.T) {
			s.sweeping = true
			refusable(t, s.approvals.Sweep(s.ctx))
		},
		"pause": func(*rapid.T) { s.world.paused(time.Time{}); s.paused = true },
		"resume": func(t *rapid.T) {
			refusable(t, s.collector.Resume(s.ctx, "carol", "over"))
			s.paused = false
		},
		"time goes by": func(t *rapid.T) { s.pass(time.Duration(rapid.IntRange(1, 240).Draw(t, "hours")) * time.Hour) },
		"collect": func(*rapid.T) {
			s.collecting = true
			s.collector.Run(s.ctx, "cron", quarantine.JobOptions{})
		},
		"reconcile": func(*rapid.T) { s.reconcile() },
		"lose the catalog": func(*rapid.T) {
			s.rebuild()
			// A tombstone is not in Ceph: what is gone is not known any more.
			kept := s.keys[:0]
			for _, k := range s.keys {
				if s.before[k].State != quarantine.Purged {
					kept = append(kept, k)
				}
			}
			s.keys = kept
		},
		"restart": func(*rapid.T) { s.restart() },
	}
}

// from is what a disk's times count from.
func (s *site) from(d quarantine.Disk) time.Time {
	if d.QuarantinedAt.After(d.DeletedAt) {
		return d.QuarantinedAt
	}
	return d.DeletedAt
}

// check compares every disk with what it was before the last act.
func (s *site) check(t *rapid.T) {
	removed := map[quarantine.Key]bool{}
	for _, r := range s.ceph.Removals() {
		removed[r.Key] = true
	}
	for _, k := range s.keys {
		d, b := s.disk(k), s.before[k]
		if d.RetainUntil.Before(b.RetainUntil) && !s.agreed(d, b, quarantine.RequestShorten) && !s.applied(d, b) {
			t.Fatalf("%s was kept until %s, and is until %s", d.OriginalName, b.RetainUntil, d.RetainUntil)
		}
		if b.Decision.Mode == quarantine.Compliance && d.Decision.Mode != quarantine.Compliance || d.Decision.Min < b.Decision.Min {
			t.Fatalf("%s was promised %+v, and is %+v", d.OriginalName, b.Decision, d.Decision)
		}
		if d.Deletion != nil && !s.explained[k] {
			// Whoever it was is known now: what stood before it died holds it.
			s.explained[k] = true
			if first := d.DeletedAt.After(s.stood); s.stands && first && !d.Held() && d.State.InQuarantine() {
				t.Fatalf("%s is ann's, and not held: %+v", d.OriginalName, d.Holds)
			}
		}
		s.early[k] = s.early[k] || s.agreed(d, b, quarantine.RequestPurgeEarly)
		if (d.EarlyBy == "ann" || d.EarlyBy == "bob") && !s.early[k] { // carol's are ExpireEarly's own
			t.Fatalf("%s is purged early by %s, and nobody else agreed", d.OriginalName, d.EarlyBy)
		}
		if gone := d.State == quarantine.Purged; gone != removed[k] {
			t.Fatalf("%s is %s, and removed: %v", d.OriginalName, d.State, removed[k])
		}
		if d.State == quarantine.Purged && b.State != quarantine.Purged {
			over := !b.RetainUntil.After(s.now())
			early := b.EarlyBy != "" && b.Decision.Mode != quarantine.Compliance && !s.from(b).Add(b.Decision.Min).After(s.now())
			switch over := over || early; {
			case !s.collecting || s.paused:
				t.Fatalf("%s was purged by no pass, or in a pause", d.OriginalName)
			case b.Held():
				t.Fatalf("%s was purged under a hold: %+v", d.OriginalName, b.Holds)
			case !over || b.State != quarantine.Expiring || s.now().Sub(b.ExpiringAt) < grace:
				t.Fatalf("%s was purged when it was %+v", d.OriginalName, b)
			}
		}
		if d.Held() && d.State == quarantine.Expiring {
			t.Fatalf("%s expires under a hold", d.OriginalName)
		}
		if d.State == quarantine.Quarantined || d.State == quarantine.Expiring {
			s.intact(k)
		}
		s.before[k] = d
	}
	s.collecting, s.sweeping, s.approved = false, false, quarantine.Request{}
}

// applied reports whether the last act was the sweep that did what two people agreed
// upon: to apply a policy. Nothing that protects a disk gives way to that.
func (s *site) applied(d, b quarantine.Disk) bool {
	return s.sweeping && d.Shortened != nil && s.policies[d.Shortened.Request] && !b.Held() && b.Decision.Mode != quarantine.Compliance &&
		!d.RetainUntil.Before(s.from(b).Add(b.Decision.Min).Truncate(time.Second))
}

// agreed reports whether the last act was another person's approval, in time, of a
// request of the kind about the disk, which nobody held meanwhile.
func (s *site) agreed(d, before quarantine.Disk, kind string) bool {
	r := s.approved
	return r.Kind == kind && r.Disk == d.ID && r.RequestedBy != s.approver && s.now().Before(r.ExpiresAt) && !before.Held()
}

// Whatever happens, in any order: a promise only grows, unless two people agree in
// time that it does not, and never under a hold; a disk is purged by a
// pass, when its time is over or a person asked for it, after its grace, never
// under a hold and never in a pause, under compliance never before its time, and
// never before the least time of its rule; and until then its bytes are there.
func TestPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &site{world: newWorld(t), before: map[quarantine.Key]quarantine.Disk{}, early: map[quarantine.Key]bool{}, policies: map[string]bool{}, explained: map[quarantine.Key]bool{}}
		acts := s.acts()
		acts[""] = s.check
		rt.Repeat(acts)
	})
}
