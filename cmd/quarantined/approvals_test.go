package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// second is the API as another admin sees it.
func (p *process) second() *client.Client {
	p.t.Helper()
	c, err := client.New(client.Config{Server: "http://" + p.addr, Token: secondToken, AnswerTimeout: time.Minute})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Close)
	return c
}

// Two people have one disk purged before its time and another kept for less; the
// one who asked cannot do it alone, and the daemon's death between changes nothing.
// What is shortened stays so after the catalog was lost.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	for _, name := range []string{"vm-1_disk", "vm-2_disk", "vm-3_disk"} {
		s.image(name)
		s.remove(name)
	}
	disks := p.wait(3, quarantine.Quarantined)
	ctx := t.Context()
	because := wire.ReasonRequest{Reason: "an erasure request"}
	purge, err := p.Purge(ctx, disks[0].ID, because)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().UTC().Add(5 * day).Truncate(time.Second)
	shorten, err := p.Shorten(ctx, disks[1].ID, wire.ShortenRequest{Until: until, Reason: "it is private"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []quarantine.Request{purge, shorten} {
		if _, err := p.Approve(ctx, r.ID, because); !errors.Is(err, quarantine.ErrRefused) {
			t.Errorf("one's own %s is approved: %v", r.Kind, err)
		}
	}
	p.kill()
	p = s.start()
	if st, err := p.Status(ctx); err != nil || len(st.Requests) != 2 {
		t.Fatalf("the status has %+v, %v", st.Requests, err)
	}
	for _, r := range []quarantine.Request{purge, shorten} {
		if got, err := p.second().Approve(ctx, r.ID, wire.ReasonRequest{Reason: "agreed"}); err != nil || got.State != quarantine.RequestDone || got.DecidedBy != "dave" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if d := p.wait(1, quarantine.Expiring)[0]; d.ID != disks[0].ID || d.EarlyBy != "carol" {
		t.Errorf("expiring: %+v", d)
	}
	p.kill()
	s.loseCatalog()
	p = s.start()
	p.wait(2, quarantine.Quarantined)
	p.job(quarantine.JobReconcile)
	d, err := p.Disk(ctx, disks[1].ID)
	if err != nil || !d.RetainUntil.Equal(until) || d.Shortened == nil || d.Shortened.ApprovedBy != "dave" {
		t.Errorf("kept until %s (%+v), %v; want %s", d.RetainUntil, d.Shortened, err, until)
	}
	s.unwatched(disks...)
	s.shiftClock(2 * day)
	p.job(quarantine.JobCollect)
	if d := p.wait(1, quarantine.Purged)[0]; d.ID != disks[0].ID {
		t.Errorf("purged: %+v", d)
	}
	s.shiftClock(6 * day)
	p.job(quarantine.JobCollect)
	s.shiftClock(8 * day)
	p.job(quarantine.JobCollect)
	p.wait(2, quarantine.Purged)
	if d := p.wait(1, quarantine.Quarantined)[0]; d.ID != disks[2].ID {
		t.Errorf("kept: %+v", d)
	}
	found, err := p.Doctor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Subject == "approvals" && (f.Severity != quarantine.SeverityOK || !strings.Contains(f.Problem, "required")) {
			t.Errorf("%+v", f)
		}
	}
}

// Two people have a shorter policy applied to what is in quarantine: not to what is
// held, and by nobody alone. It is done after the daemon's death, too, and stands when
// the catalog is lost. What a longer one gives back, it gives at once.
func TestApplyPolicyByTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	ctx := t.Context()
	for _, name := range []string{"vm-1_disk", "vm-2_disk", "vm-3_disk"} {
		s.image(name)
		s.remove(name)
	}
	disks := p.wait(3, quarantine.Quarantined)
	held := disks[2]
	if _, err := p.Hold(ctx, held.ID, wire.HoldRequest{CaseID: "C-1", Reason: "a question"}); err != nil {
		t.Fatal(err)
	}
	kept := func(when string, d wire.Disk, until time.Time) {
		t.Helper()
		if is, err := p.Disk(ctx, d.ID); err != nil || !is.RetainUntil.Equal(until) {
			t.Errorf("%s: %s is kept until %s, %v; want %s", when, d.OriginalName, is.RetainUntil, err, until)
		}
	}
	// A disk that came in the second of the request is not in it.
	eventually(t, "the second is over", func() error {
		for _, d := range disks {
			if !time.Now().After(d.QuarantinedAt.Add(time.Second)) {
				return fmt.Errorf("%s came at %s", d.OriginalName, d.QuarantinedAt)
			}
		}
		return nil
	})
	write(t, s.policyPath, "default: {retain: 3d}\n")
	res, err := p.ApplyPolicy(ctx, wire.ApplyRequest{Reason: "the agreement"}, nil)
	if err != nil || res.Shorter != 2 || res.Protected != 1 || res.Longer != 0 || res.Request == nil {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := p.Approve(ctx, res.Request.ID, wire.ReasonRequest{Reason: "mine"}); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("one's own is approved: %v", err)
	}
	kept("asked for", disks[0], disks[0].RetainUntil)
	p.kill()
	p = s.start()
	if _, err := p.second().Approve(ctx, res.Request.ID, wire.ReasonRequest{Reason: "agreed"}); err != nil {
		t.Fatal(err)
	}
	p.kill() // perhaps in the middle
	p = s.start()
	eventually(t, "it is done", func() error {
		r, err := p.Request(ctx, res.Request.ID)
		if err == nil && r.State != quarantine.RequestDone {
			err = fmt.Errorf("it is %s: %s", r.State, r.Outcome)
		}
		return err
	})
	p.job(quarantine.JobReconcile)
	for _, when := range []string{"applied", "the catalog was lost"} {
		for _, d := range disks[:2] {
			kept(when, d, d.QuarantinedAt.Add(3*day))
		}
		kept(when, held, held.RetainUntil)
		p.kill()
		s.loseCatalog()
		p = s.start()
		p.wait(3, quarantine.Quarantined)
	}
	s.shiftClock(4 * day)
	p.job(quarantine.JobCollect)
	p.wait(2, quarantine.Expiring)
	write(t, s.policyPath, "default: {retain: 30d}\n")
	if res, err = p.ApplyPolicy(ctx, wire.ApplyRequest{Reason: "after all"}, nil); err != nil || res.Longer+res.Stricter != 3 || res.Shorter != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	p.wait(3, quarantine.Quarantined)
	for _, d := range disks {
		kept("lengthened", d, d.QuarantinedAt.Add(30*day))
	}
}

// A standing hold catches what is deleted later, also where the daemon learns only
// after the death whose it was, and where the catalog was lost in between; its case is
// closed with all that it holds.
func TestStandingHold(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	ctx := t.Context()
	die := func(name, user string, early bool) {
		t.Helper()
		report := deletion{ResourceID: name, User: user, Disks: []ref{{Name: name}}}
		s.image(name)
		if early {
			p.post(report)
		}
		s.remove(name)
		eventually(t, name+" is in quarantine", func() error {
			for _, d := range p.disks(quarantine.Quarantined) {
				if d.OriginalName == name {
					return nil
				}
			}
			return errors.New("it is not")
		})
		if !early {
			p.post(report)
		}
	}
	held := func(want ...string) {
		t.Helper()
		var got []string
		for _, d := range p.disks(quarantine.Quarantined) {
			if d.Held && d.Holds[0].CaseID == "CERT-9" {
				got = append(got, d.OriginalName)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("held are %q, want %q", got, want)
		}
	}
	if _, err := p.PlaceStanding(ctx, wire.StandingRequest{CaseID: "CERT-9", Kind: quarantine.StandingUser, Value: "mallory", Reason: "watched"}); err != nil {
		t.Fatal(err)
	}
	die("vm-1", "mallory", true)
	die("vm-2", "mallory", false)
	die("vm-3", "alice", true)
	held("vm-1", "vm-2")
	p.kill()
	s.loseCatalog()
	p = s.start()
	p.wait(3, quarantine.Quarantined)
	die("vm-4", "mallory", true)
	held("vm-1", "vm-2", "vm-4")
	s.shiftClock(30 * day)
	p.job(quarantine.JobCollect)
	s.shiftClock(32 * day)
	s.unwatched(p.disks(quarantine.Expiring)...)
	p.job(quarantine.JobCollect)
	p.wait(1, quarantine.Purged)
	held("vm-1", "vm-2", "vm-4")
	if _, err := p.CloseCase(ctx, "CERT-9", wire.CloseCaseRequest{Reason: "over"}); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("closed with what it holds: %v", err)
	}
	if c, err := p.CloseCase(ctx, "CERT-9", wire.CloseCaseRequest{Reason: "over", Release: true}); err != nil || c.ClosedBy != "carol" {
		t.Errorf("%+v, %v", c, err)
	}
	p.job(quarantine.JobCollect)
	p.wait(3, quarantine.Expiring)
}

// Where approvals are not required an admin's word is enough for an early purge,
// and the doctor says so.
func TestNotRequired(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.configure("jitter: 1ms\n", "jitter: 1ms\napprovals: {required: false}\n")
	p := s.start()
	s.image("vm-1_disk")
	s.remove("vm-1_disk")
	d := p.wait(1, quarantine.Quarantined)[0]
	if r, err := p.Purge(t.Context(), d.ID, wire.ReasonRequest{Reason: "enough"}); err != nil || r.State != quarantine.RequestDone {
		t.Fatalf("%+v, %v", r, err)
	}
	p.wait(1, quarantine.Expiring)
	found, err := p.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loud := false
	for _, f := range found {
		loud = loud || f.Subject == "approvals" && f.Severity == quarantine.SeverityWarn
	}
	if !loud {
		t.Errorf("the doctor is silent: %+v", found)
	}
}
