package quarantine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// wish makes a request by ann.
func (w *world) wish(kind string, key quarantine.Key, until time.Time) quarantine.Request {
	w.t.Helper()
	r, err := w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: kind, Subject: key.DiskID(), Reason: "asked for", Until: until})
	if err != nil {
		w.t.Fatalf("ask: %v", err)
	}
	return r
}

func (w *world) request(id string) quarantine.Request {
	w.t.Helper()
	r, err := w.store.Request(w.ctx, id)
	if err != nil {
		w.t.Fatalf("request %s: %v", id, err)
	}
	return r
}

func (w *world) refused(what string, err error) {
	w.t.Helper()
	if !errors.Is(err, quarantine.ErrRefused) {
		w.t.Errorf("%s: %v, want it refused", what, err)
	}
}

// An early purge takes two: who asked cannot approve; another can, and then the
// disk waits out its grace and is purged. The custody log has each step before it
// was done.
func TestEarlyPurgeByTwo(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	r := w.wish(quarantine.RequestPurgeEarly, key, time.Time{})
	if r.State != quarantine.RequestOpen || !r.ExpiresAt.Equal(t0.Add(3*day)) {
		t.Errorf("%+v", r)
	}
	if _, err := w.approvals.Ask(w.ctx, "bob", quarantine.Wish{Kind: r.Kind, Subject: r.Subject, Reason: "too"}); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("a second request for the same: %v", err)
	}
	_, err := w.approvals.Approve(w.ctx, "ann", r.ID, "my own")
	w.refused("one's own", err)
	w.is(key, quarantine.Quarantined)
	if r, err = w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil || r.State != quarantine.RequestDone || r.DecidedBy != "bob" {
		t.Fatalf("%+v, %v", r, err)
	}
	if d := w.is(key, quarantine.Expiring); d.EarlyBy != "ann" {
		t.Errorf("asked for by %q", d.EarlyBy)
	}
	_, err = w.approvals.Approve(w.ctx, "carol", r.ID, "too")
	w.refused("a second approval", err)
	w.pass(grace)
	w.collect()
	w.is(key, quarantine.Purged)
	want := []string{"adopt done", "seal done", "request intent", "request done", "approve refused", "approve intent", "approve done", "expire intent", "expire done", "purge intent", "purge done"}
	if got := w.custody.of(key); !slices.Equal(got, want) {
		t.Errorf("custody: %q, want %q", got, want)
	}
}

// What nobody approved in time, denied or withdrew, never acts; nor does what was
// based on something else than is so when it is approved. While something is in the
// way that may go, the request stays open.
func TestRequestsThatDoNotAct(t *testing.T) {
	type step func(w *world, key quarantine.Key, r quarantine.Request)
	extend := func(w *world, key quarantine.Key, _ quarantine.Request) {
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(30*day), "needed"); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	release := func(w *world, key quarantine.Key, _ quarantine.Request) {
		if _, err := w.holds.Release(w.ctx, "carol", key.DiskID(), "c", "over"); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	hold := func(w *world, key quarantine.Key, _ quarantine.Request) { w.hold(key, "c") }
	for name, c := range map[string]struct {
		steps []step
		want  quarantine.RequestState
	}{
		"expired": {[]step{func(w *world, _ quarantine.Key, _ quarantine.Request) { w.pass(3 * day) }}, quarantine.RequestExpired},
		"expired and swept": {[]step{func(w *world, _ quarantine.Key, _ quarantine.Request) {
			w.pass(3 * day)
			if err := w.approvals.Sweep(w.ctx); err != nil {
				w.t.Errorf("%v", err)
			}
		}}, quarantine.RequestExpired},
		"denied": {[]step{func(w *world, _ quarantine.Key, r quarantine.Request) {
			if _, err := w.approvals.Deny(w.ctx, "bob", r.ID, "no"); err != nil {
				w.t.Errorf("%v", err)
			}
		}}, quarantine.RequestDenied},
		"withdrawn": {[]step{func(w *world, _ quarantine.Key, r quarantine.Request) {
			_, err := w.approvals.Withdraw(w.ctx, "bob", r.ID, "not mine")
			w.refused("another's withdrawal", err)
			if _, err := w.approvals.Withdraw(w.ctx, "ann", r.ID, "a mistake"); err != nil {
				w.t.Errorf("%v", err)
			}
		}}, quarantine.RequestWithdrawn},
		"extended":          {[]step{extend}, quarantine.RequestOpen},
		"held":              {[]step{hold}, quarantine.RequestOpen},
		"held and released": {[]step{hold, release}, quarantine.RequestOpen},
	} {
		for _, kind := range []string{quarantine.RequestPurgeEarly, quarantine.RequestShorten} {
			t.Run(name+" "+kind, func(t *testing.T) {
				w := newWorld(t)
				key := w.quarantined()
				r := w.wish(kind, key, t0.Add(7*day))
				for _, s := range c.steps {
					s(w, key, r)
				}
				before := w.disk(key)
				_, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
				w.refused(name, err)
				if got := w.request(r.ID); got.State != c.want {
					t.Errorf("the request is %s, want %s", got.State, c.want)
				}
				if d := w.is(key, quarantine.Quarantined); !d.RetainUntil.Equal(before.RetainUntil) {
					t.Errorf("kept until %s, was %s", d.RetainUntil, before.RetainUntil)
				}
			})
		}
	}
}

// What could not be done is not even asked for, and bad input changes nothing.
func TestAskRefuses(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	id := key.DiskID()
	for name, c := range map[string]struct {
		actor string
		wish  quarantine.Wish
		want  error
	}{
		"nobody":     {"", quarantine.Wish{Kind: quarantine.RequestPurgeEarly, Subject: id, Reason: "r"}, quarantine.ErrInvalid},
		"no reason":  {"ann", quarantine.Wish{Kind: quarantine.RequestPurgeEarly, Subject: id, Reason: " "}, quarantine.ErrInvalid},
		"no kind":    {"ann", quarantine.Wish{Kind: "x", Subject: id, Reason: "r"}, quarantine.ErrInvalid},
		"no disk":    {"ann", quarantine.Wish{Kind: quarantine.RequestPurgeEarly, Subject: "0123456789abcdef", Reason: "r"}, quarantine.ErrNotFound},
		"no date":    {"ann", quarantine.Wish{Kind: quarantine.RequestShorten, Subject: id, Reason: "r"}, quarantine.ErrInvalid},
		"a past":     {"ann", quarantine.Wish{Kind: quarantine.RequestShorten, Subject: id, Reason: "r", Until: t0.Add(-time.Second)}, quarantine.ErrRefused},
		"not sooner": {"ann", quarantine.Wish{Kind: quarantine.RequestShorten, Subject: id, Reason: "r", Until: t0.Add(retain)}, quarantine.ErrInvalid},
	} {
		if _, err := w.approvals.Ask(w.ctx, c.actor, c.wish); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	w.policy.use(quarantine.Decision{Retain: 20 * day, Min: 10 * day, Rule: "least"})
	least := w.stray("least")
	w.policy.use(quarantine.Decision{Retain: 20 * day, Mode: quarantine.Compliance, Rule: "strict"})
	strict := w.stray("strict")
	for _, c := range []struct {
		key   quarantine.Key
		kind  string
		until time.Time
	}{{least, quarantine.RequestPurgeEarly, time.Time{}}, {least, quarantine.RequestShorten, t0.Add(9 * day)}, {strict, quarantine.RequestPurgeEarly, time.Time{}}, {strict, quarantine.RequestShorten, t0.Add(19 * day)}} {
		_, err := w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: c.kind, Subject: c.key.DiskID(), Reason: "r", Until: c.until})
		w.refused(c.kind, err)
	}
	if rs, err := w.store.FindRequests(w.ctx, quarantine.RequestFilter{}); err != nil || len(rs) != 0 {
		t.Errorf("%+v, %v", rs, err)
	}
	w.wish(quarantine.RequestShorten, least, t0.Add(10*day))
}

// Without required approvals an admin's early purge needs nobody else, and is done
// at once; a shortening still takes two, and so does an operator's wish.
func TestApprovalsNotRequired(t *testing.T) {
	w := newWorld(t)
	w.alone = true
	w.restart()
	one, two := w.quarantined(), w.stray("two")
	r, err := w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: quarantine.RequestShorten, Subject: one.DiskID(), Reason: "r", Until: t0.Add(day), MayApprove: true})
	if err != nil || r.State != quarantine.RequestOpen {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = w.approvals.Approve(w.ctx, "ann", r.ID, "mine")
	w.refused("one's own shortening", err)
	r, err = w.approvals.Ask(w.ctx, "ann", quarantine.Wish{Kind: quarantine.RequestPurgeEarly, Subject: one.DiskID(), Reason: "r", MayApprove: true})
	if err != nil || r.State != quarantine.RequestDone {
		t.Errorf("%+v, %v", r, err)
	}
	w.is(one, quarantine.Expiring)
	if r = w.wish(quarantine.RequestPurgeEarly, two, time.Time{}); r.State != quarantine.RequestOpen {
		t.Errorf("%+v", r)
	}
}

// Two people cut a promise short: the disk goes at the new date, also after the
// catalog was lost and rebuilt, and the policy that promised more does not take it
// back. What another rule promises later counts, and an extension does.
func TestShortenByTwo(t *testing.T) {
	shortened := func(t *testing.T) (*world, quarantine.Key) {
		w := newWorld(t)
		key := w.quarantined()
		r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
		w.keptUntil(key, t0.Add(retain))
		if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
			t.Fatal(err)
		}
		w.keptUntil(key, t0.Add(5*day))
		return w, key
	}
	goes := func(w *world, key quarantine.Key) {
		w.t.Helper()
		w.pass(5 * day)
		w.collect()
		w.is(key, quarantine.Expiring)
		w.pass(grace)
		w.collect()
		w.is(key, quarantine.Purged)
	}
	t.Run("at the new date", func(t *testing.T) {
		w, key := shortened(t)
		w.pass(5*day - time.Second)
		w.collect()
		w.is(key, quarantine.Quarantined)
		w.pass(time.Second)
		w.collect()
		w.is(key, quarantine.Expiring)
	})
	t.Run("after a loss of the catalog", func(t *testing.T) {
		w, key := shortened(t)
		w.store.lose()
		w.restart()
		w.reconcile()
		w.keptUntil(key, t0.Add(5*day))
		goes(w, key)
	})
	t.Run("not by the word of the record", func(t *testing.T) {
		w, key := shortened(t)
		// A log that lacks the approval: the record alone shortens nothing.
		w.custody.entries = slices.DeleteFunc(w.custody.entries, func(e quarantine.Entry) bool { return e.Act == "approve" })
		w.store.lose()
		w.restart()
		w.reconcile()
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("not by one person's word", func(t *testing.T) {
		w, key := shortened(t)
		for i := range w.custody.entries {
			w.custody.entries[i].Actor = "ann"
		}
		w.store.lose()
		w.restart()
		w.reconcile()
		w.keptUntil(key, t0.Add(retain))
	})
	t.Run("the same rule again", func(t *testing.T) {
		w, key := shortened(t)
		del := w.deleteOf(quarantine.KindDelete, "req-1")
		del.KeyPair = "laptop"
		w.record(del)
		if d := w.disk(key); d.Deletion.KeyPair == "" || !strings.Contains(d.Decision.Reason, "cut it short") {
			t.Errorf("%+v", d.Decision)
		}
		w.keptUntil(key, t0.Add(5*day))
	})
	t.Run("another rule", func(t *testing.T) {
		w, key := shortened(t)
		w.policy.use(quarantine.Decision{Retain: 13 * day, Rule: "another"})
		del := w.deleteOf(quarantine.KindDelete, "req-1")
		del.KeyPair = "laptop"
		w.record(del)
		w.keptUntil(key, t0.Add(13*day))
	})
	t.Run("extended again, then lost", func(t *testing.T) {
		w, key := shortened(t)
		if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(9*day), "after all"); err != nil {
			t.Fatal(err)
		}
		w.store.lose()
		w.restart()
		w.reconcile()
		w.keptUntil(key, t0.Add(9*day))
	})
	t.Run("a record that could not be renewed stops its end", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
		w.ceph.FailNext("WriteRecord", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
		if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * day)
		w.collect()
		w.is(key, quarantine.Quarantined)
		w.reconcile()
		w.collect()
		w.is(key, quarantine.Expiring)
	})
}

// A request that somebody wrote into the catalog, and that the custody log does not
// know, is not approved; nor is one done that only the catalog has as approved.
func TestForgedRequestsDoNothing(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	r := w.wish(quarantine.RequestShorten, key, t0.Add(5*day))
	forge := func(edit func(*quarantine.Request)) string {
		t.Helper()
		f := r
		f.Version = 0
		edit(&f)
		if _, err := w.store.PutRequest(w.ctx, f); err != nil {
			t.Fatal(err)
		}
		return f.ID
	}
	asked := forge(func(f *quarantine.Request) { f.ID = "0000000000000001" })
	_, err := w.approvals.Approve(w.ctx, "bob", asked, "agreed")
	w.refused("one that nobody asked for", err)
	other := forge(func(f *quarantine.Request) { f.ID, f.RequestedBy = r.ID+"x", "eve" })
	_, err = w.approvals.Approve(w.ctx, "bob", other, "agreed")
	w.refused("one that another asked for", err)
	approved := forge(func(f *quarantine.Request) {
		f.ID, f.State, f.DecidedBy, f.DecisionReason = "0000000000000002", quarantine.RequestApproved, "bob", "agreed"
	})
	w.refused("the sweep", w.approvals.Sweep(w.ctx))
	if got := w.request(approved); got.State != quarantine.RequestRefused {
		t.Errorf("%+v", got)
	}
	w.keptUntil(key, t0.Add(retain))
	// A true one of which the wish was altered, and its time.
	two := w.stray("two")
	altered := w.wish(quarantine.RequestShorten, two, t0.Add(5*day))
	altered.Detail["until"] = t0.Add(day).Format(time.RFC3339)
	if _, err := w.store.PutRequest(w.ctx, altered); err != nil {
		t.Fatal(err)
	}
	_, err = w.approvals.Approve(w.ctx, "bob", altered.ID, "agreed")
	w.refused("an altered one", err)
	w.keptUntil(two, t0.Add(unexplainedRetain))
	if _, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed"); err != nil {
		t.Errorf("the true one: %v", err)
	}
}

// A process that dies at any point of an approval leaves a request that a later
// sweep ends: the act is done once, or not at all where the approval was not
// written; never where it was written and the request has expired since, and never
// again where a hold or an extension took it back.
func TestApprovalsCrash(t *testing.T) {
	for _, kind := range []string{quarantine.RequestPurgeEarly, quarantine.RequestShorten} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s late %v", kind, late), func(t *testing.T) {
				for at := 1; ; at++ {
					w := newWorld(t)
					key := w.quarantined()
					r := w.wish(kind, key, t0.Add(5*day))
					w.proc.points, w.proc.at = nil, at
					ended := false
					w.run(func() {
						_, err := w.approvals.Approve(w.ctx, "bob", r.ID, "agreed")
						ended = err == nil
					})
					seen := strings.Join(w.proc.points, " ")
					w.restart()
					if late {
						w.pass(3 * day)
					}
					for range 2 {
						if err := w.approvals.Sweep(w.ctx); err != nil && !errors.Is(err, quarantine.ErrRefused) {
							t.Fatalf("at %d (%s): %v", at, seen, err)
						}
					}
					w.checkRequest(key, w.request(r.ID), late, seen)
					if ended {
						return
					}
				}
			})
		}
	}
}

// checkRequest checks that what the request says is what was done.
func (w *world) checkRequest(key quarantine.Key, r quarantine.Request, late bool, seen string) {
	w.t.Helper()
	d := w.disk(key)
	acted := d.State == quarantine.Expiring || d.RetainUntil.Before(t0.Add(retain))
	switch r.State {
	case quarantine.RequestOpen:
		if acted || late || strings.Contains(seen, "request.approved.after") {
			w.t.Fatalf("open, acted %v, at %s", acted, seen)
		}
	case quarantine.RequestDone:
		if !acted || r.DecidedBy != "bob" {
			w.t.Fatalf("done, acted %v, at %s", acted, seen)
		}
	case quarantine.RequestExpired:
		// The act may have been done before, its end not noted; not after.
		if !late || acted && !strings.Contains(seen, "put.") {
			w.t.Fatalf("expired, acted %v, at %s", acted, seen)
		}
	default:
		w.t.Fatalf("the request is %s (%s), at %s", r.State, r.Outcome, seen)
	}
	done := 0
	for _, e := range w.custody.of(key) {
		if e == "expire done" || e == "shorten done" {
			done++
		}
	}
	if done > 1 {
		w.t.Fatalf("done %d times: %q", done, w.custody.of(key))
	}
}
