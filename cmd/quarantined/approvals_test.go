package main

import (
	"errors"
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
