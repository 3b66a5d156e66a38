package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

const day = 24 * time.Hour

// act is what the daemon is killed in, at every fault point.
type act struct {
	name string
	// prepare brings the disk to where the act begins; nil: it is live.
	prepare func(s *site, p *process)
	// do lets the armed daemon act. Its errors are not looked at: it may die.
	do func(s *site, p *process)
	// after are the states in which the disk may be when the next daemon has
	// come to terms with what it found; restored means live again.
	after []quarantine.State
}

func acts() []act {
	const q, e, pu, r = quarantine.Quarantined, quarantine.Expiring, quarantine.Purged, quarantine.Restored
	capture := func(s *site, p *process) {
		p.post(deletion{ResourceID: "vm-1", Project: "physics", Disks: []ref{{Name: "vm-1_disk", Role: "root"}}})
		s.remove("vm-1_disk")
		p.wait(1, q)
	}
	restore := func(req wire.RestoreRequest) func(*site, *process) {
		req.Reason = "a test"
		return func(s *site, p *process) {
			id := s.onlyDisk(p)
			_, _ = p.Restore(s.ctx, id, req, nil)
		}
	}
	collect := func(s *site, p *process) { _, _ = p.RunJob(s.ctx, quarantine.JobCollect, wire.JobRequest{}) }
	expired := func(s *site, p *process) {
		capture(s, p)
		s.shiftClock(11 * day)
		p.job(quarantine.JobCollect)
		p.wait(1, e)
		s.shiftClock(13 * day)
	}
	return []act{
		{"adopt", nil, func(s *site, p *process) {
			s.remove("vm-1_disk")
			// The watch hears of it; the daemon dies or seals it.
			eventually(s.t, "the disk is sealed, or the daemon dead", func() error {
				select {
				case <-p.done:
					return nil
				default:
				}
				page, err := p.DiskPage(s.ctx, clientQuery(q), 10, 0)
				if err == nil && len(page.Disks) != 1 {
					err = fmt.Errorf("%d disks", len(page.Disks))
				}
				return err
			})
		}, []quarantine.State{q}},
		{"clone", capture, restore(wire.RestoreRequest{Name: "copy", Flatten: true}), []quarantine.State{q}},
		{"in place", capture, restore(wire.RestoreRequest{InPlace: true}), []quarantine.State{q, r}},
		{"expire", func(s *site, p *process) {
			capture(s, p)
			s.shiftClock(11 * day)
		}, collect, []quarantine.State{q, e}},
		{"purge", expired, collect, []quarantine.State{pu, e}},
	}
}

// The daemon is killed with SIGKILL at every fault point, before and after
// each outside act (each call to Ceph, each change of state, each custody
// entry), on a real Ceph. When it is started again every disk ends in a legal
// state, with its bytes; none is lost, purged early, or purged twice.
func TestKillWalk(t *testing.T) {
	t.Parallel()
	lab := cephlab.Shared(t)
	pool, err := lab.NewPool(t.Context(), "walk")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range acts() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			points := walk(t, lab, pool, a, 0)
			if len(points) < 6 {
				t.Fatalf("the good run passed only %q", points)
			}
			for n, point := range points {
				// The end of one act and the beginning of the next are the
				// same place in the life of a process.
				if strings.HasSuffix(point, ".before") && n > 0 && strings.HasSuffix(points[n-1], ".after") {
					continue
				}
				t.Run(fmt.Sprintf("%02d", n+1), func(t *testing.T) {
					t.Parallel()
					got := walk(t, lab, pool, a, n+1)
					if len(got) != n+1 {
						t.Errorf("passed %d points before the end, want %d: %q", len(got), n+1, got)
					}
				})
			}
		})
	}
}

// walk performs the act in a namespace of its own with a daemon that is killed
// at the point of that number (0: never), starts another, and checks how it
// ends. It returns the points that were passed.
func walk(t *testing.T, lab *cephlab.Lab, pool string, a act, at int) []string {
	s := newSite(t, siteOptions{lab: lab, spec: newNamespace(t, lab, pool)})
	content := s.image("vm-1_disk")
	pointsPath := filepath.Join(s.dir, "points")
	p := s.start(envPoints+"="+pointsPath, fmt.Sprint(envKillAt, "=", at))
	if a.prepare != nil {
		a.prepare(s, p)
	}
	p.job(quarantine.JobReconcile) // what start and preparation set off is over
	p.arm()
	a.do(s, p)
	if at == 0 {
		p.stop()
	} else if !p.died(time.Minute) {
		t.Fatal("the daemon was not killed")
	}
	b, err := os.ReadFile(pointsPath)
	if err != nil {
		t.Fatal(err)
	}
	points := strings.Split(strings.TrimSpace(string(b)), "\n")
	if at > 0 {
		t.Logf("killed at %s", points[len(points)-1])
	}
	s.settled(content, a.after)
	return points
}

// settled starts a daemon on what the last one left, and checks the disk.
func (s *site) settled(content []byte, states []quarantine.State) {
	s.t.Helper()
	p := s.start()
	p.job(quarantine.JobReconcile)
	disks := p.disks()
	if len(disks) != 1 {
		s.t.Fatalf("the catalog has %d disks: %+v", len(disks), disks)
	}
	d := disks[0]
	if d.State == string(quarantine.Purging) || d.State == string(quarantine.Restored) && d.Sealed {
		// The collector's, which finishes it when Ceph has forgotten the daemon that
		// died as one that has the image open, after 30 s.
		for deadline := time.Now().Add(90 * time.Second); d.State == string(quarantine.Purging) || d.State == string(quarantine.Restored) && d.Sealed; d = p.disks()[0] {
			if rep := p.tryJob(quarantine.JobCollect); rep.Stopped != "" || time.Now().After(deadline) {
				s.t.Fatalf("the collector does not finish it: %q, %+v", rep.Stopped, rep.Items)
			}
			tick(s.ctx, time.Second)
		}
	}
	if !slices.Contains(states, quarantine.State(d.State)) {
		s.t.Fatalf("the disk is %s, want one of %q", d.State, states)
	}
	_, inTrash := s.trash()[d.ImageID]
	live := slices.Contains(s.live(), "vm-1_disk")
	switch quarantine.State(d.State) {
	case quarantine.Quarantined, quarantine.Expiring:
		if !inTrash || live || !d.Sealed {
			s.t.Errorf("%s, but in the trash %v, live %v, sealed %v", d.State, inTrash, live, d.Sealed)
		}
		same(s.t, "the disk", p.bytesOf(d.ID), content)
	case quarantine.Restored:
		if inTrash || !live {
			s.t.Errorf("restored, but in the trash %v, live %v", inTrash, live)
		}
		same(s.t, "the restored image", s.content(s.spec+"/vm-1_disk"), content)
	case quarantine.Purged:
		if inTrash || live {
			s.t.Errorf("purged, but in the trash %v, live %v", inTrash, live)
		}
	}
	s.purgedAtMostOnce(p, d.ID)
}

// purgedAtMostOnce reads the custody log: no purge is done twice, and none
// before the disk's time and grace were over.
func (s *site) purgedAtMostOnce(p *process, id string) {
	s.t.Helper()
	detail, err := p.Disk(s.ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	if detail.CustodyFault != "" {
		s.t.Errorf("custody: %s", detail.CustodyFault)
	}
	done := 0
	for _, e := range detail.Custody {
		if e.Act != "purge" {
			continue
		}
		if e.Outcome == quarantine.OutcomeDone {
			done++
		}
		if !e.At.After(detail.RetainUntil.Add(day)) {
			s.t.Errorf("%s of the purge at %s, before %s and the grace were over", e.Outcome, e.At, detail.RetainUntil)
		}
	}
	if done > 1 {
		s.t.Errorf("purged %d times", done)
	}
}

// onlyDisk is the id of the one disk that there is.
func (s *site) onlyDisk(p *process) string {
	s.t.Helper()
	disks := p.disks()
	if len(disks) != 1 {
		s.t.Fatalf("there are %d disks", len(disks))
	}
	return disks[0].ID
}
