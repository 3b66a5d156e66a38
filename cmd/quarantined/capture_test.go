package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// With the daemon stopped, images that the cloud's key removes from a guarded
// pool are all in the trash; the daemon, when it starts, adopts and seals all
// of them without any event. Events that come after that, however late, give
// each its machine's identity.
func TestCaptureWhileTheDaemonIsStopped(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	content := map[string][]byte{}
	for i := range 5 {
		name := fmt.Sprintf("vm-%d_disk", i)
		content[name] = s.image(name)
		s.remove(name)
	}
	if live := s.live(); len(live) != 0 {
		t.Fatalf("after the removals %q are live", live)
	}
	if got := s.trash(); len(got) != 5 {
		t.Fatalf("the trash has %v", got)
	}
	p := s.start()
	for _, d := range p.wait(5, quarantine.Quarantined) {
		if !d.Sealed || d.Explained || d.Rule != "unexplained" {
			t.Errorf("%s: sealed %v, explained %v, rule %q", d.OriginalName, d.Sealed, d.Explained, d.Rule)
		}
		same(t, d.OriginalName, p.bytesOf(d.ID), content[d.OriginalName])
	}
	for i := range 5 {
		name := fmt.Sprintf("vm-%d_disk", i)
		p.post(deletion{ResourceID: fmt.Sprint("vm-", i), ResourceName: fmt.Sprint("web", i), Project: "physics", User: "alice",
			Addresses: []string{fmt.Sprintf("192.0.2.%d", i)}, Disks: []ref{{Name: name, Role: "root", Required: true}}})
	}
	for _, d := range p.disks(quarantine.Quarantined) {
		var n int
		if _, err := fmt.Sscanf(d.OriginalName, "vm-%d_disk", &n); err != nil {
			t.Fatal(err)
		}
		if d.ResourceName != fmt.Sprint("web", n) || d.Project != "physics" || d.User != "alice" || d.Role != "root" ||
			!slices.Equal(d.Addresses, []string{fmt.Sprintf("192.0.2.%d", n)}) {
			t.Errorf("%s is joined with %+v", d.OriginalName, d)
		}
		if d.Rule != "default" || d.RetainUntil.Sub(d.QuarantinedAt) < 20*24*time.Hour {
			t.Errorf("%s: rule %s until %s: a later identity shortened what was promised", d.OriginalName, d.Rule, d.RetainUntil)
		}
	}
	p.stop()
}

// An event that comes before the removal explains the disk as it is adopted.
// Two lives of one name (a rebuild) are two disks with two identities.
func TestTwoLivesOfOneName(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	ended := func() string { return time.Now().UTC().Format(time.RFC3339Nano) }
	live := func(kind, request, user string) deletion {
		return deletion{Kind: kind, ResourceID: "vm-1", RequestID: request, User: user, StartedAt: ended(), Disks: []ref{{Name: "vm-1_disk", Role: "root"}}}
	}
	first := s.image("vm-1_disk")
	rebuild := live("rebuild", "req-1", "first")
	p.post(rebuild)
	s.remove("vm-1_disk")
	removed := time.Now()
	p.wait(1, quarantine.Quarantined)
	rebuild.EndedAt = ended()
	p.post(rebuild)
	eventually(t, "a new life begins; the trash counts whole seconds", func() error {
		if took := time.Since(removed); took < 2*time.Second {
			return fmt.Errorf("only %s have passed", took)
		}
		return nil
	})
	second := s.image("vm-1_disk")
	deleted := live("delete", "req-2", "second")
	p.post(deleted, rebuild) // and the old one once more
	s.remove("vm-1_disk")
	disks := p.wait(2, quarantine.Quarantined)
	want := map[string][]byte{"first": first, "second": second}
	for _, d := range disks {
		b, ok := want[d.User]
		if !ok {
			t.Fatalf("the disks are %+v", disks)
		}
		delete(want, d.User)
		same(t, "the disk of "+d.User, p.bytesOf(d.ID), b)
	}
}

// A sealed disk cannot be removed with the cloud's key by any of the ways that
// `rbd` has.
func TestSealedDiskStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	b := s.image("vm-1_disk")
	s.remove("vm-1_disk")
	d := p.wait(1, quarantine.Quarantined)[0]
	for name, args := range map[string][]string{
		"rm":               {"rm", "--no-progress", s.spec + "/vm-1_disk"},
		"trash rm":         {"trash", "rm", "--no-progress", s.spec + "/" + d.ImageID},
		"trash rm --force": {"trash", "rm", "--no-progress", "--force", s.spec + "/" + d.ImageID},
	} {
		var refused *cephlab.CommandError
		if _, err := s.lab.RBD(s.ctx, cephlab.Cloud, args...); !errors.As(err, &refused) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	// A purge passes over what it may not remove, and may end with success.
	_, _ = s.lab.RBD(s.ctx, cephlab.Cloud, "trash", "purge", "--no-progress", "--expired-before", "2099-01-01", s.spec)
	_, _ = s.lab.RBD(s.ctx, cephlab.Cloud, "trash", "purge", "--no-progress", s.spec)
	if s.trash()[d.ImageID] != "vm-1_disk" {
		t.Errorf("the trash has %v", s.trash())
	}
	same(t, "the disk", p.bytesOf(d.ID), b)
}

// Without a guard the service seizes at the first sign of a deletion; a race,
// and the record says so. A required disk that is gone is recorded as lost.
func TestSeize(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{unguard: true})
	s.configure("reconcile: {", "reconcile: {lost_after: 1ms, ")
	p := s.start()
	b := s.image("vm-1_disk")
	p.post(deletion{ResourceID: "vm-1", Disks: []ref{{Name: "vm-1_disk", Required: true}}})
	d := p.wait(1, quarantine.Quarantined)[0]
	if d.Capture != string(quarantine.CaptureRaced) {
		t.Errorf("capture %q", d.Capture)
	}
	same(t, "the seized disk", p.bytesOf(d.ID), b)
	p.post(deletion{ResourceID: "vm-2", Disks: []ref{{Name: "vm-2_disk", Required: true}}})
	p.job(quarantine.JobReconcile)
	if lost := p.wait(1, quarantine.Lost); lost[0].ResourceID != "vm-2" {
		t.Errorf("lost: %+v", lost)
	}
}

// Losing the catalog loses nothing: from the records on the images come the
// same disks, states, holds and dates.
func TestCatalogRebuild(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	for i := range 4 {
		name := fmt.Sprintf("vm-%d_disk", i)
		s.image(name)
		p.post(deletion{ResourceID: fmt.Sprint("vm-", i), Project: "physics", Disks: []ref{{Name: name}}})
		s.remove(name)
	}
	disks := p.wait(4, quarantine.Quarantined)
	ctx := t.Context()
	if _, err := p.Hold(ctx, disks[0].ID, wire.HoldRequest{CaseID: "CERT-1", Reason: "a case"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Extend(ctx, disks[1].ID, wire.ExtendRequest{Until: disks[1].RetainUntil.Add(1000 * time.Hour), Reason: "longer"}); err != nil {
		t.Fatal(err)
	}
	asked, err := p.Purge(ctx, disks[2].ID, wire.ReasonRequest{Reason: "the owner asked"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.second().Approve(ctx, asked.ID, wire.ReasonRequest{Reason: "agreed"}); err != nil {
		t.Fatal(err)
	}
	// Used bytes are measured by the reconciler and are no part of a record.
	p.job(quarantine.JobReconcile)
	before := asText(t, p.disks())
	if _, err := p.RebuildCatalog(ctx); err != nil {
		t.Fatal(err)
	}
	p.job(quarantine.JobReconcile)
	if after := asText(t, p.disks()); after != before {
		t.Errorf("rebuilt by command:\n%s\nwant\n%s", after, before)
	}
	p.kill()
	s.loseCatalog()
	p = s.start()
	p.wait(3, quarantine.Quarantined)
	p.job(quarantine.JobReconcile)
	if after := asText(t, p.disks()); after != before {
		t.Errorf("after the loss of the file:\n%s\nwant\n%s", after, before)
	}
}

// The guard that somebody switched off behind our back is found within one
// run, and the doctor names pool, fault and the command that mends it. It also
// warns of the key that could do it, and not of the one that cannot.
func TestGuardSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.configure("    op_timeout: 20s\n", fmt.Sprintf("    op_timeout: 20s\n    audit: {user: %s}\n", cephlab.Auditor))
	p := s.start()
	p.job(quarantine.JobGuard)
	findings := func(subject string) []quarantine.Finding {
		all, err := p.Doctor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []quarantine.Finding
		for _, f := range all {
			if f.Subject == subject {
				out = append(out, f)
			}
		}
		return out
	}
	if f := findings("pool " + s.spec); len(f) != 1 || f[0].Severity != quarantine.SeverityOK {
		t.Fatalf("of the guarded pool: %+v", f)
	}
	if f := findings("key client." + cephlab.ClassicCloud); len(f) != 1 || f[0].Severity != quarantine.SeverityWarn {
		t.Errorf("of the key that can: %+v", f)
	}
	if f := findings("key client." + cephlab.Cloud); len(f) != 0 {
		t.Errorf("of the key that cannot: %+v", f)
	}
	if _, err := s.lab.RBD(s.ctx, cephlab.ClassicCloud, "config", "pool", "set", s.spec, "rbd_move_to_trash_on_remove", "false"); err != nil {
		t.Fatal(err)
	}
	rep := p.tryJob(quarantine.JobGuard)
	if rep.Failed() != 1 {
		t.Errorf("the guard run says %+v", rep)
	}
	f := findings("pool " + s.spec)
	if len(f) != 1 || f[0].Severity != quarantine.SeverityFault || f[0].Hint != "quarantinectl ceph guard on "+s.spec {
		t.Errorf("of the pool without a guard: %+v", f)
	}
	if _, err := p.SetGuard(t.Context(), s.spec, wire.GuardRequest{On: true, Reason: "mended"}); err != nil {
		t.Fatal(err)
	}
	p.job(quarantine.JobGuard)
}

// A stop while Ceph hangs ends within the operations' timeout, in order.
func TestStopWhileCephHangs(t *testing.T) {
	t.Parallel()
	lab, err := cephlab.Start(t.Context(), cephlab.Options{Pools: []string{"vms"}, CommitInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := newSite(t, siteOptions{lab: lab, spec: "vms"})
	s.configure("op_timeout: 20s", "op_timeout: 5s")
	p := s.start()
	b := s.image("vm-1_disk")
	s.remove("vm-1_disk")
	p.wait(1, quarantine.Quarantined)
	s.image("vm-2_disk")
	s.remove("vm-2_disk")
	if err := lab.Pause("osd"); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if err := lab.Resume("osd"); err != nil {
		t.Fatal(err)
	}
	// A placement group with one copy whose read lease ran out meanwhile (16 s) can stay
	// "laggy", and keeps its clients waiting for ever. Peering anew ends that.
	if _, err := lab.Ceph(s.ctx, "osd", "down", "0"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ceph answers again", func() error {
		_, err := lab.Rados(s.ctx, cephlab.Admin, "-p", "vms", "ls")
		return err
	})
	p = s.start()
	disks := p.wait(2, quarantine.Quarantined)
	i := slices.IndexFunc(disks, func(d wire.Disk) bool { return d.OriginalName == "vm-1_disk" })
	same(t, "vm-1_disk", p.bytesOf(disks[i].ID), b)
	if bytes.Contains([]byte(p.log.String()), []byte("level=ERROR")) {
		t.Errorf("the log has errors:\n%s", p.log)
	}
}
