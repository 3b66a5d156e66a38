//go:build openstack

package acceptance

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/quarantine"
)

// unguarded switches the guard of pools off until the end of the test.
func (s *site) unguarded(t *testing.T, pools ...string) {
	t.Helper()
	for _, pool := range pools {
		must(t, s.lab.Guard(t.Context(), pool, false))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		for _, pool := range pools {
			if err := s.lab.Guard(ctx, pool, true); err != nil {
				t.Error(err)
			}
		}
	})
}

// names says which images the verdicts name.
func names(c quarantine.Coverage, verdict string) []string {
	var all []string
	for _, v := range c.Verdicts {
		if v.Verdict == verdict {
			all = append(all, v.Image)
		}
	}
	slices.Sort(all)
	return all
}

// notes checks that coverage does not end well, and has exactly the images
// under the verdict.
func (s *site) notes(t *testing.T, since time.Time, verdict string, want ...string) {
	t.Helper()
	slices.Sort(want)
	c, code := s.coverage(t, since)
	if got := names(c, verdict); code != 5 || c.Percent() >= 100 || !slices.Equal(got, want) {
		t.Errorf("coverage exits with %d, %.1f %%, and names as %s %q, want %q: %s", code, c.Percent(), verdict, got, want, asJSON(c.Verdicts))
	}
}

// A disk that died while nobody guarded it is not in quarantine, and coverage
// says so: it ends with 5 and names each such disk, as missed before the
// reconciler has looked, and as lost from then on. It does not depend on the
// daemon's having been there.
func TestCoverageNamesWhatWasNotGuarded(t *testing.T) {
	s := running(t)
	for name, away := range map[string]bool{"DaemonThere": false, "DaemonAway": true} {
		t.Run(name, func(t *testing.T) {
			restartWith(t, s, options{lostAfter: "1s"})
			s.endAfter(t)
			f := boot(t, s, len(kinds))
			s.job(t, "reconcile")
			s.job(t, "clouds")
			if away {
				s.stop(t)
			}
			s.unguarded(t, s.lab.Pools().VMs, s.lab.Pools().Volumes)
			f.deleteServers(t)
			f.waitGone(t)
			f.deleteVolumes(t)
			var gone []string
			for _, x := range f.all() {
				gone = append(gone, x.image)
			}
			if away {
				s.start(t, options{lostAfter: "1s", queue: "quarantine.late"})
				// It has looked by itself after its start, if not in full.
				c, code := s.coverage(t, f.began)
				if got := slices.Sorted(slices.Values(append(names(c, quarantine.VerdictMissed), names(c, quarantine.VerdictLost)...))); code != 5 || !slices.Equal(got, slices.Sorted(slices.Values(gone))) {
					t.Errorf("coverage exits with %d and names %q, want %q", code, got, gone)
				}
			} else {
				s.notes(t, f.began, quarantine.VerdictMissed, gone...)
			}
			s.job(t, "clouds")
			s.job(t, "reconcile")
			s.notes(t, f.began, quarantine.VerdictLost, gone...)
			if left := trouble(t, f.admin); left != "" {
				t.Errorf("left in the cloud: %s", left)
			}
		})
	}
}

// The disk of a server that lives on is removed behind everybody's back, with
// the guard off. No cloud knows of it; coverage names it.
func TestCoverageNamesWhatWasRemovedBehindOurBack(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "robbed"})
	must(t, err)
	t.Cleanup(func() { deleteAfter(t, alice, v.ID) })
	must(t, alice.Stop(t.Context(), v.ID))
	since := time.Now().UTC().Truncate(time.Second)
	s.job(t, "reconcile")
	pool, disk := s.lab.Pools().VMs, v.ID+"_disk"
	s.unguarded(t, pool)
	if _, err := s.lab.Ceph.RBD(t.Context(), "admin", "rm", "--no-progress", pool+"/"+disk); err != nil {
		t.Fatal(err)
	}
	s.notes(t, since, quarantine.VerdictMissed, disk)
	s.job(t, "reconcile")
	s.notes(t, since, quarantine.VerdictLost, disk)
}

// deleteAfter deletes a server at the end of a test.
func deleteAfter(t *testing.T, who *openstacklab.Session, server string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	if err := who.Delete(ctx, server); err != nil {
		t.Error(err)
		return
	}
	if err := who.WaitGone(ctx, server); err != nil {
		t.Error(err)
	}
}

// endAfter ends the daemon with the test: the next finds none with settings that
// are not its own, and starts one.
func (s *site) endAfter(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.daemon.end(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
}

// restartWith ends the daemon, if it runs, and starts it anew.
func restartWith(t *testing.T, s *site, o options) {
	t.Helper()
	must(t, s.daemon.end(syscall.SIGTERM))
	s.start(t, o)
}
