package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Above a watermark the projects with more than their share lose their longest dead
// disks, after the grace and by a purge, until there is room; what is held or under
// compliance stays. By what is in quarantine first, then by the pool's own fill.
func TestCapacity(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	write(t, s.policyPath, `rules:
  - {name: secret, match: 'project.name == "secret"', retain: 10d, mode: compliance}
default: {retain: 10d}
`)
	p := s.start()
	die := func(project string, n int) {
		for i := range n {
			name := fmt.Sprintf("%s-%d", project, i)
			s.image(name + "_disk")
			p.post(deletion{ResourceID: name, Project: project, Disks: []ref{{Name: name + "_disk", Required: true}}})
			s.remove(name + "_disk")
		}
	}
	die("flooder", 6)
	die("other", 2)
	die("secret", 2)
	p.wait(10, quarantine.Quarantined)
	p.job(quarantine.JobReconcile) // measures
	one := p.disks()[0].UsedBytes
	if one < 1<<20 {
		t.Fatalf("a disk takes %d bytes", one)
	}
	held := byName(t, p.disks(), "flooder-0_disk")
	if _, err := p.Hold(s.ctx, held.ID, wire.HoldRequest{CaseID: "C-1", Reason: "evidence"}); err != nil {
		t.Fatal(err)
	}
	p.stop()

	// Ten disks, and room for seven: the share is three.
	mark := "guard: true}"
	s.configure(mark, fmt.Sprintf("guard: true, capacity: {quarantine_high: %d, quarantine_low: %d}}", 9*one, 7*one))
	p = s.start()
	s.shiftClock(2 * 24 * time.Hour)
	plan, err := p.RunJob(s.ctx, quarantine.JobCollect, wire.JobRequest{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	rep := p.job(quarantine.JobCollect)
	if !slices.Equal(plan.Items, rep.Items) {
		t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
	}
	expiring := p.wait(3, quarantine.Expiring)
	for _, d := range expiring {
		if d.Project != "flooder" || d.ID == held.ID || d.EarlyBy != quarantine.EarlyByCapacity || !strings.Contains(d.EarlyWhy, "fair share") {
			t.Errorf("%s of %s goes: %s: %s", d.OriginalName, d.Project, d.EarlyBy, d.EarlyWhy)
		}
		for _, stays := range p.disks(quarantine.Quarantined) {
			if stays.Project == "flooder" && stays.ID != held.ID && stays.DeletedAt.Before(d.DeletedAt) {
				t.Errorf("%s goes, and %s died before it", d.OriginalName, stays.OriginalName)
			}
		}
	}
	s.shiftClock(3*24*time.Hour + time.Hour)
	p.job(quarantine.JobCollect)
	p.wait(3, quarantine.Purged)
	if n := len(s.trash()); n != 7 {
		t.Errorf("%d are in the trash", n)
	}
	before := s.recounted(p, 7)

	// By the pool's fill: down to about five of seven.
	p.stop()
	s.configure(fmt.Sprintf("{quarantine_high: %d, quarantine_low: %d}", 9*one, 7*one),
		fmt.Sprintf("{high: %.12f%%, low: %.12f%%}", 90*before.Fill(), 60*before.Fill()))
	p = s.start()
	p.job(quarantine.JobCollect)
	gone := len(p.disks(quarantine.Expiring))
	if gone < 1 || gone > 3 {
		t.Errorf("%d go for the fill", gone)
	}
	s.shiftClock(4*24*time.Hour + 2*time.Hour)
	p.job(quarantine.JobCollect)
	p.wait(3+gone, quarantine.Purged)
	if after := s.recounted(p, 7-gone); after.Fill() >= before.Fill() {
		t.Errorf("the fill was %v, and is %v", before.Fill(), after.Fill())
	}
	left := p.disks(quarantine.Quarantined)
	if len(left) != 7-gone || byName(t, left, "flooder-0_disk").ID != held.ID {
		t.Errorf("%d are left", len(left))
	}
	for _, name := range []string{"secret-0_disk", "secret-1_disk"} {
		byName(t, left, name)
	}
}

func byName(t *testing.T, disks []wire.Disk, name string) wire.Disk {
	t.Helper()
	i := slices.IndexFunc(disks, func(d wire.Disk) bool { return d.OriginalName == name })
	if i < 0 {
		t.Fatalf("no disk %s among %d", name, len(disks))
	}
	return disks[i]
}

// recounted waits until Ceph's figures are those of so many images (site.image): they
// are some seconds old, the bytes (by OSD) more so than the objects (by placement
// group).
func (s *site) recounted(p *process, images int) quarantine.PoolUsage {
	s.t.Helper()
	var u quarantine.PoolUsage
	eventually(s.t, "Ceph has counted anew", func() error {
		pools, err := p.Capacity(s.ctx)
		if err != nil || len(pools) != 1 || pools[0].Usage == nil {
			return fmt.Errorf("%+v, %v", pools, err)
		}
		u = *pools[0].Usage
		// Two objects an image, and RBD's own small ones: three an image, five a pool.
		objects := int64(images*2 + images*3 + 8)
		// A MiB and a block an image, and half a MiB for all small ones.
		written := int64(images) * (1<<20 + 4096)
		if u.Objects > objects || u.UsedBytes < written || u.UsedBytes > written+1<<19 {
			return fmt.Errorf("%d objects, %d bytes, for %d images", u.Objects, u.UsedBytes, images)
		}
		return nil
	})
	return u
}
