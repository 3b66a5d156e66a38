package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// newIsolatingSite makes a site with an evidence pool, and a policy that has all
// disks copied there. The rate is in bytes a second.
func newIsolatingSite(t *testing.T, rate int) (s *site, evidence string) {
	s = newSite(t, siteOptions{})
	evidence, err := s.lab.NewPool(s.ctx, cephlab.EvidencePrefix+"d")
	if err != nil {
		t.Fatal(err)
	}
	s.guardPool(evidence)
	write(t, s.policyPath, "default: {retain: 10d, isolate: true}\n")
	s.configure("    pools:\n", "    evidence: {pool: "+evidence+"}\n    pools:\n")
	s.configure("jitter:", fmt.Sprintf("isolate: {schedule: \"0 0 1 1 *\", bytes_per_second: %d}\njitter:", rate))
	return s, evidence
}

// copied returns the only disk in quarantine that is a copy, having checked it.
func (p *process) copied(id, evidence string, data []byte) wire.Disk {
	p.t.Helper()
	sum := sha256.Sum256(data)
	var copies []wire.Disk
	for _, d := range p.disks(quarantine.Quarantined) {
		if d.CopyOf != nil {
			copies = append(copies, d)
		}
	}
	if len(copies) != 1 {
		p.t.Fatalf("copies: %+v", copies)
	}
	c := copies[0]
	if c.Pool != evidence || c.CopyOf.Disk != id || c.CopyOf.SHA256 != hex.EncodeToString(sum[:]) || c.Parent != nil || !c.Sealed {
		p.t.Errorf("the copy is %+v", c)
	}
	same(p.t, "the copy", p.bytesOf(c.ID), data)
	return c
}

// With the cloud's key a disk can be forced out of the trash; its copy cannot be
// seen, read or removed. The original is lost, loudly, and the copy is given
// back with every byte.
func TestIsolatedCopyOutlivesTheCloudsKey(t *testing.T) {
	t.Parallel()
	s, evidence := newIsolatingSite(t, 1<<30)
	p := s.start()
	data := s.image("vm-1_disk")
	p.post(deletion{ResourceID: "vm-1", Project: "physics", Disks: []ref{{Name: "vm-1_disk", Role: "root"}}})
	s.remove("vm-1_disk")
	orig := p.wait(1, quarantine.Quarantined)[0]
	p.job(quarantine.JobIsolate)
	c := p.copied(orig.ID, evidence, data)
	if c.Project != "physics" || !c.DeletedAt.Equal(orig.DeletedAt) || !c.RetainUntil.Equal(orig.RetainUntil) {
		t.Errorf("the copy of %+v is %+v", orig, c)
	}
	// EPERM, which rbd tells of a removal from the trash in words of its own.
	refused := func(err error) bool {
		return err != nil && (strings.Contains(err.Error(), "not permitted") || strings.Contains(err.Error(), "Deferment time has not expired"))
	}
	for _, try := range [][]string{
		{"ls", evidence},
		{"trash", "ls", evidence},
		{"info", "--pool", evidence, "--image-id", c.ImageID},
		{"snap", "rm", "--pool", evidence, "--image-id", c.ImageID, "--snap", quarantine.SealSnapshot},
		{"trash", "rm", "--no-progress", "--force", evidence + "/" + c.ImageID},
		{"trash", "restore", evidence + "/" + c.ImageID},
	} {
		if out, err := s.lab.RBD(s.ctx, cephlab.Cloud, try...); !refused(err) {
			t.Errorf("the cloud's key: rbd %q: %q, %v", try, out, err)
		}
	}
	s.rbd("snap", "rm", "--no-progress", "--pool", s.spec, "--image-id", orig.ImageID, "--snap", quarantine.SealSnapshot)
	s.rbd("trash", "rm", "--no-progress", "--force", s.spec+"/"+orig.ImageID)
	p.job(quarantine.JobReconcile)
	if lost := p.wait(1, quarantine.Lost)[0]; lost.ID != orig.ID || len(lost.Copies) != 1 || lost.Copies[0].Disk != c.ID {
		t.Errorf("lost is %+v", lost)
	}
	s.loseCatalogOf(&p)
	c = p.copied(orig.ID, evidence, data)
	if _, err := p.Restore(s.ctx, c.ID, wire.RestoreRequest{Pool: s.spec, Name: "back", Flatten: true, Reason: "a test"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "what was given back", s.content(s.spec+"/back"), data)
}

// loseCatalogOf ends the daemon, removes its catalog, and starts another, which
// finds the disks from Ceph and the custody log.
func (s *site) loseCatalogOf(p **process) {
	s.t.Helper()
	(*p).stop()
	s.loseCatalog()
	*p = s.start()
	(*p).job(quarantine.JobReconcile)
}

// A daemon that is killed in the middle of a copy leaves the original as it was;
// the next one ends with one copy.
func TestIsolateAfterAKill(t *testing.T) {
	t.Parallel()
	s, evidence := newIsolatingSite(t, 1<<20)
	p := s.start()
	data := s.image("vm-1_disk")
	s.remove("vm-1_disk")
	orig := p.wait(1, quarantine.Quarantined)[0]
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.RunJob(s.ctx, quarantine.JobIsolate, wire.JobRequest{}) // it dies
	}()
	eventually(t, "the copy is begun", func() error {
		out, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "ls", evidence)
		if err == nil && !strings.Contains(out, quarantine.CopyPrefix+orig.ID) {
			err = fmt.Errorf("there is %q", out)
		}
		return err
	})
	p.kill()
	<-done
	out, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "ls", evidence)
	if err != nil || !strings.Contains(out, quarantine.CopyPrefix+orig.ID) {
		t.Fatalf("it was not in the middle: %q, %v", out, err)
	}
	p = s.start()
	p.job(quarantine.JobReconcile)
	p.job(quarantine.JobIsolate)
	p.copied(orig.ID, evidence, data)
	same(t, "the original", p.bytesOf(orig.ID), data)
	if out, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "ls", evidence); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("left live: %q, %v", out, err)
	}
}
