package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A site with all that can stand in a removal's way: a clone that was restored
// from a disk and stands on it, a group, a migration; and with what must not:
// images without an object map, encrypted ones, snapshots of the cloud. A pass
// names each obstacle and goes on with the others; and what a dry run prints is,
// item by item, what the run then does.
func TestCollectMixedSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	admin := func(args ...string) {
		t.Helper()
		if _, err := s.lab.RBD(s.ctx, cephlab.Admin, args...); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"plain", "cloned", "grouped", "bare", "encrypted", "snapped", "held"}
	for _, name := range names {
		switch name {
		case "bare":
			s.rbd("create", "--size", "64M", "--image-feature", "layering", s.spec+"/"+name)
		case "encrypted":
			s.rbd("create", "--size", "64M", s.spec+"/"+name)
			write(t, s.dir+"/passphrase", "secret")
			s.rbd("encryption", "format", s.spec+"/"+name, "luks2", s.dir+"/passphrase")
		default:
			s.image(name)
		}
	}
	s.rbd("snap", "create", "--no-progress", s.spec+"/snapped@of-the-cloud")
	admin("group", "create", s.spec+"/web")
	admin("group", "image", "add", s.spec+"/web", s.spec+"/grouped")
	s.image("migrating")
	other, err := s.lab.NewPool(s.ctx, "target")
	if err != nil {
		t.Fatal(err)
	}
	admin("migration", "prepare", s.spec+"/migrating", other+"/migrating")
	for _, name := range names {
		s.remove(name)
	}
	disks := map[string]wire.Disk{}
	for _, d := range p.wait(len(names), quarantine.Quarantined) {
		disks[d.OriginalName] = d
	}
	if _, err := p.Restore(s.ctx, disks["cloned"].ID, wire.RestoreRequest{Name: "copy", Reason: "a test"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Hold(s.ctx, disks["held"].ID, wire.HoldRequest{CaseID: "case-1", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}

	// dry plans a run, does it, and compares.
	dry := func() []string {
		t.Helper()
		plan, err := p.RunJob(s.ctx, quarantine.JobCollect, wire.JobRequest{DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		done := p.tryJob(quarantine.JobCollect)
		if plan.Stopped != "" || done.Stopped != "" {
			t.Fatalf("stopped: %q, %q", plan.Stopped, done.Stopped)
		}
		var acts []string
		for i, it := range done.Items {
			acts = append(acts, fmt.Sprint(it.Act, " ", it.Name, " ", it.Error))
			if i >= len(plan.Items) || plan.Items[i] != it {
				t.Errorf("item %d of the run is %+v, and was planned otherwise", i, it)
			}
		}
		if len(plan.Items) != len(done.Items) {
			t.Errorf("planned %+v\ndid     %+v", plan.Items, done.Items)
		}
		slices.Sort(acts)
		return acts
	}
	s.shiftClock(21 * day)
	if acts := dry(); len(acts) != len(names)-1 {
		t.Errorf("the first run did %q", acts)
	}
	s.shiftClock(23 * day)
	acts := dry()
	var purged, stay []string
	for _, a := range acts {
		if strings.HasSuffix(a, " ") {
			purged = append(purged, strings.Fields(a)[1])
		} else {
			stay = append(stay, a)
		}
	}
	if want := []string{"bare", "encrypted", "plain", "snapped"}; !slices.Equal(purged, want) {
		t.Errorf("purged %q, want %q; %q", purged, want, acts)
	}
	if len(stay) != 2 || !strings.Contains(stay[0], "clone "+s.spec+"/copy") || !strings.Contains(stay[1], "group web") {
		t.Errorf("what stays, and why: %q", stay)
	}
	// The image on its way to another pool was never a disk of ours.
	if live := s.live(); !slices.Equal(live, []string{"copy"}) {
		t.Errorf("live: %q", live)
	}
	out, err := s.lab.RBD(s.ctx, cephlab.Admin, "status", other+"/migrating")
	if err != nil || !strings.Contains(out, "state: prepared") {
		t.Errorf("the migration is %q, %v", out, err)
	}
	// With the obstacles gone so are the disks.
	s.rbd("flatten", "--no-progress", s.spec+"/copy")
	admin("group", "remove", s.spec+"/web")
	if acts := dry(); len(acts) != 2 {
		t.Errorf("the last run did %q", acts)
	}
	p.wait(len(names)-1, quarantine.Purged)
}
