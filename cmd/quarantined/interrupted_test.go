package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/ceph"
	"quarantine/internal/quarantine"
)

// large makes an image of that size whose objects Ceph has no map of, so that a
// removal asks for each of them, has it die, and brings it to where a pass
// purges it. It returns the disk.
func (s *site) large(p *process, size, objectSize string) wire.Disk {
	s.t.Helper()
	s.rbd("create", "--size", size, "--object-size", objectSize, "--image-feature", "layering,exclusive-lock", s.spec+"/vm-1_disk")
	s.remove("vm-1_disk")
	p.wait(1, quarantine.Quarantined)
	s.shiftClock(21 * day)
	p.job(quarantine.JobCollect)
	d := p.wait(1, quarantine.Expiring)[0]
	s.shiftClock(23 * day)
	return d
}

// look connects as the service does.
func (s *site) look() *ceph.Registry {
	s.t.Helper()
	pool, namespace, _ := strings.Cut(s.spec, "/")
	c, err := ceph.Connect(s.ctx, ceph.ClusterConfig{
		Name: "look", Conf: s.lab.Conf, User: cephlab.Quarantine, OpTimeout: 20 * time.Second, Workers: 4,
		Pools: []quarantine.Pool{{PoolRef: quarantine.PoolRef{Pool: pool, Namespace: namespace}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := ceph.NewRegistry(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.Close() })
	return r
}

// collectUntil runs a pass and kills the daemon in the middle of it, when the
// condition holds.
func (s *site) collectUntil(p *process, what string, cond func() error) {
	s.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.RunJob(s.ctx, quarantine.JobCollect, wire.JobRequest{}) // it is killed
	}()
	eventually(s.t, what, cond)
	p.kill()
	<-done
}

// purgedNext runs passes until one finishes the purge. Those before it may only
// find that Ceph still knows the daemon that died as one who has the image open.
func (s *site) purgedNext(p *process) {
	s.t.Helper()
	eventually(s.t, "a pass finishes the purge", func() error {
		rep, err := p.RunJob(s.ctx, quarantine.JobCollect, wire.JobRequest{})
		if err != nil {
			return err
		}
		if len(rep.Items) != 1 || rep.Items[0].Act != "finish" {
			s.t.Fatalf("the pass did %+v", rep.Items)
		}
		if what := rep.Items[0].Error; what != "" && !strings.Contains(what, "the removal is interrupted") {
			s.t.Fatal(what)
		} else if what != "" {
			return errors.New(what)
		}
		return nil
	})
	p.wait(1, quarantine.Purged)
	if got := s.trash(); len(got) != 0 || len(s.live()) != 0 {
		s.t.Errorf("left: trash %v, live %v", got, s.live())
	}
}

// The removal of a large image keeps the budget of objects, and is cut short in
// its middle. What is left is never sealed again as what the disk held: a hold
// is refused, and says so. The next pass goes on with what is left.
func TestRemovalOfALargeImageGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.configure("collect: {", "collect: {objects_per_second: 2000, ")
	p := s.start()
	d := s.large(p, "24G", "4M")
	began := time.Now()
	s.collectUntil(p, "a part of the image is removed", func() error {
		left, err := s.sizeOf(d.ImageID)
		if err == nil && left > 16<<30 {
			err = fmt.Errorf("it has %d bytes", left)
		}
		return err
	})
	// Steps of 1,024 objects: the third begins after two were paid for.
	if took := time.Since(began); took < time.Second {
		t.Errorf("2,048 objects in %s, told 2,000 a second", took)
	}
	p = s.start()
	if _, err := p.Hold(s.ctx, d.ID, wire.HoldRequest{CaseID: "case-1", Reason: "late"}); !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "in part") {
		t.Errorf("a hold: %v", err)
	}
	s.purgedNext(p)
}

// The daemon is killed while Ceph itself removes the image, which is then
// neither in the trash for good nor gone. The next pass finishes that.
func TestKilledInsideTheRemoval(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	d := s.large(p, "3G", "64K")
	r := s.look()
	key := keyOf(&d)
	s.collectUntil(p, "Ceph is removing the image", func() error {
		e, err := r.FindInTrash(s.ctx, key)
		if err == nil && !e.Removing {
			err = errors.New("it is not")
		}
		return err
	})
	if there, err := r.HasImage(s.ctx, key); err != nil || !there {
		t.Fatalf("the removal was over when the daemon was killed: %v", err)
	}
	s.purgedNext(s.start())
}

// sizeOf reads the size of an image in bytes as one who only reads, and whom the
// collector therefore does not wait for.
func (s *site) sizeOf(imageID string) (int64, error) {
	pool, namespace, _ := strings.Cut(s.spec, "/")
	out, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "info", "--pool", pool, "--namespace", namespace, "--image-id", imageID, "--format", "json")
	if err != nil {
		return 0, err
	}
	var info struct{ Size int64 }
	return info.Size, json.Unmarshal([]byte(out), &info)
}

func keyOf(d *wire.Disk) quarantine.Key {
	return quarantine.PoolRef{FSID: d.Cluster, Pool: d.Pool, Namespace: d.Namespace}.Key(d.ImageID)
}
