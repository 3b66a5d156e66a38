package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// With no run of a job before the end of the year: a seal that the cloud's key
// removes is noticed and taken again, and a disk that it forces out is lost, both
// in the metrics and in the custody log, within a few looks of the watch.
func TestSealWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.configure("watch: 1m", "watch: 200ms")
	p := s.start()
	for _, name := range []string{"unsealed", "forced", "whole"} {
		s.image(name)
		s.remove(name)
	}
	data, err := s.lab.NewPool(s.ctx, "data")
	if err != nil {
		t.Fatal(err)
	}
	s.rbd("create", "--size", "8M", "--data-pool", data, s.spec+"/apart")
	s.remove("apart")
	disks := map[string]wire.Disk{}
	for _, d := range p.wait(4, quarantine.Quarantined) {
		disks[d.OriginalName] = d
	}
	acts := func(name string) (acts string) {
		d, err := p.Disk(s.ctx, disks[name].ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Custody {
			acts += e.Act + " "
		}
		disks[name] = d.Disk
		return acts
	}
	unseal := func(name string) {
		t.Helper()
		s.rbd("snap", "rm", "--no-progress", "--pool", s.spec, "--image-id", disks[name].ImageID, "--snap", "quarantine")
	}
	var at time.Time
	// The second has its data in another pool, where its snapshots count.
	for _, name := range []string{"unsealed", "apart"} {
		at = time.Now()
		unseal(name)
		t.Logf("%s: rbd snap rm took %s", name, time.Since(at))
		eventually(t, "seal-lost", func() error {
			if got := acts(name); got != "adopt seal seal-lost seal " {
				return fmt.Errorf("%s: the custody log has %s", name, got)
			}
			return nil
		})
		t.Logf("%s: sealed again %s after the seal's removal began", name, time.Since(at))
		if d := disks[name]; !d.Sealed || d.SealBrokenAt.IsZero() || d.State != string(quarantine.Quarantined) {
			t.Errorf("the disk is %+v", d)
		}
		if snaps := s.rbd("snap", "ls", "--pool", s.spec, "--image-id", disks[name].ImageID); !strings.Contains(snaps, "quarantine") {
			t.Errorf("%s has the snapshots %s", name, snaps)
		}
	}

	// Out of the header, which no monitor hears of, and then by force, as fast as
	// it goes.
	key := s.headerKey(disks["forced"].ImageID)
	if _, err := s.lab.Rados(s.ctx, cephlab.Cloud, "-p", s.spec, "rmomapkey", "rbd_header."+disks["forced"].ImageID, key); err != nil {
		t.Fatal(err)
	}
	at = time.Now()
	s.rbd("trash", "rm", "--no-progress", "--force", "--pool", s.spec, disks["forced"].ImageID)
	eventually(t, "disk-forced-out", func() error {
		if got := acts("forced"); got != "adopt seal disk-forced-out lost " {
			return fmt.Errorf("the custody log has %s", got)
		}
		return nil
	})
	t.Logf("known as lost %s after trash rm --force began", time.Since(at))
	if got := acts("whole"); got != "adopt seal " {
		t.Errorf("of the disk that nobody touched the custody log has %s", got)
	}
	eventually(t, "the metrics", func() error {
		resp, err := http.Get("http://" + p.addr + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		for _, act := range []string{"seal-lost", "disk-forced-out"} {
			if !strings.Contains(string(text), "quarantine_tampering_total{act=\""+act+"\"} ") || strings.Contains(string(text), "quarantine_tampering_total{act=\""+act+"\"} 0\n") {
				err = fmt.Errorf("the metrics do not tell of %s", act)
			}
		}
		return err
	})
	p.stop()
}

// headerKey is the key of the image's only snapshot in its header.
func (s *site) headerKey(imageID string) string {
	s.t.Helper()
	out, err := s.lab.Rados(s.ctx, cephlab.Cloud, "-p", s.spec, "listomapkeys", "rbd_header."+imageID)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range strings.Fields(out) {
		if strings.HasPrefix(k, "snapshot_") {
			return k
		}
	}
	s.t.Fatalf("no snapshot in %s", out)
	return ""
}
