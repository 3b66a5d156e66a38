//go:build openstack

package acceptance

import (
	"context"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
)

// brokerOutage is how long the message broker is away.
const brokerOutage = time.Minute

// Many servers of all kinds, deleted at once by two people: every disk is in
// quarantine, sealed, and it is known whose it was, who deleted it and which
// addresses the server had; nothing is left in the cloud in a state of error;
// and the product's own account says 100 %. The same while the message broker
// is away, while the daemon crashes, and while there is no daemon at all.
func TestManyAtOnce(t *testing.T) {
	s := running(t)
	n := fleetSize(t)
	t.Run("Plain", func(t *testing.T) {
		f := fleetBefore(t, s, n)
		f.deleteServers(t)
		f.waitGone(t)
		f.deleteVolumes(t)
		f.finish(t, s, byBoth)
	})
	t.Run("BrokerAway", func(t *testing.T) {
		f := fleetBefore(t, s, n)
		f.deleteServers(t)
		f.waitSomeGone(t)
		must(t, s.lab.StopService(t.Context(), "rabbitmq"))
		t.Cleanup(func() { // also when the test fails in the middle
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
			defer cancel()
			if err := s.lab.StartService(ctx, "rabbitmq"); err != nil {
				t.Error(err)
			}
		})
		f.outlast(t, brokerOutage)
		must(t, s.lab.StartService(t.Context(), "rabbitmq"))
		f.waitGoneAfterOutage(t)
		f.finishVolumesAfterOutage(t, s)
		f.deleteVolumes(t)
		// What the broker had in memory is gone with it; the clouds' APIs, which
		// are asked on a schedule, tell it.
		t.Logf("by the events alone %d of %d disks are unexplained", len(f.unexplained(t, s)), f.disks())
		s.job(t, "reconcile")
		s.job(t, "clouds")
		f.finish(t, s, byStock)
	})
	t.Run("DaemonKilled", func(t *testing.T) {
		f := fleetBefore(t, s, n)
		f.deleteServers(t)
		f.waitSomeGone(t)
		s.kill(t)
		s.start(t, options{})
		f.waitGone(t)
		f.deleteVolumes(t)
		// The daemon takes stock when it starts, and may have seen the volumes
		// that stay after they had lost their servers.
		f.finish(t, s, byEvents)
	})
	t.Run("DaemonAway", func(t *testing.T) {
		// The daemon has taken stock of the cloud once. Then it is away, and
		// with it the queue that would have kept the events: when it comes, it
		// listens on another one.
		f := fleetBefore(t, s, n)
		s.stop(t)
		f.deleteServers(t)
		f.waitGone(t)
		f.deleteVolumes(t)
		s.start(t, options{queue: "quarantine.late"})
		s.endAfter(t)
		f.finish(t, s, byStock)
	})
	t.Run("FirstInstallation", func(t *testing.T) {
		// As before, but the daemon never saw these servers alive. Nova's
		// database still tells name, project, owner and deleter of each. It does
		// not tell addresses, and nobody remembers a deleted volume.
		s.stop(t)
		s.endAfter(t)
		f := boot(t, s, len(kinds))
		f.deleteServers(t)
		f.waitGone(t)
		f.deleteVolumes(t)
		s.start(t, options{queue: "quarantine.late"})
		f.finish(t, s, byNova)
		// The events have waited in the usual queue, and complete it all.
		restart(t, s)
		f.finish(t, s, byEvents)
	})
}

// fleetBefore boots a fleet beside the running daemon, which then takes stock
// of the cloud, as it does by the clock in service.
func fleetBefore(t *testing.T, s *site, n int) *fleet {
	t.Helper()
	if !s.daemon.alive() {
		s.start(t, options{})
	}
	start := time.Now()
	f := boot(t, s, n)
	s.job(t, "reconcile")
	s.job(t, "clouds")
	t.Logf("%d servers with %d disks are there after %s", n, f.disks(), time.Since(start).Round(time.Second))
	return f
}

// finish checks the end: disks, cloud and account.
func (f *fleet) finish(t *testing.T, s *site, k known) {
	t.Helper()
	t.Logf("deleted after %s", time.Since(f.began).Round(time.Second))
	f.quarantined(t, s, k)
	t.Logf("%d disks of %d servers are in quarantine, as they must be, after %s", f.disks(), len(f.servers), time.Since(f.began).Round(time.Second))
	if left := trouble(t, f.admin); left != "" {
		t.Errorf("left in the cloud: %s", left)
	}
	f.covered(t, s)
}

// waitGoneAfterOutage waits as waitGone does. A cloud that was without its
// broker may have lost a request, or timed out in the middle of one; whoever
// asked for the deletion then asks again.
func (f *fleet) waitGoneAfterOutage(t *testing.T) {
	t.Helper()
	const unheard = 90 * time.Second // without any server's going
	last, since := f.remaining(t), time.Now()
	for deadline := time.Now().Add(patience); ; wait(t) {
		n := f.remaining(t)
		switch {
		case n == 0:
			return
		case n < last:
			last, since = n, time.Now()
		case time.Since(since) > unheard:
			t.Logf("%d servers are deleted once more; in error: %s", n, trouble(t, f.admin))
			f.deleteAgain(t)
			since = time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d servers are still there: %s", n, trouble(t, f.admin))
		}
	}
}

// finishVolumesAfterOutage has Cinder finish the deletes of which it lost the
// word with the broker: their volumes, which nobody has destroyed, are "deleting"
// until cinder-volume starts again, as operators know.
func (f *fleet) finishVolumesAfterOutage(t *testing.T, s *site) {
	t.Helper()
	const unheard = 30 * time.Second // without any volume's going
	last, since := -1, time.Now()
	for deadline := time.Now().Add(patience); ; wait(t) {
		left, err := listed(t, f.admin, "volume", "volumes", "all_tenants=1&status=deleting")
		must(t, err)
		switch {
		case len(left) == 0:
			return
		case len(left) != last:
			last, since = len(left), time.Now()
		case time.Since(since) > unheard:
			t.Logf("cinder-volume is started again, because it lost the deletes of %d volumes", len(left))
			must(t, s.lab.StopService(t.Context(), "cinder-volume"))
			must(t, s.lab.StartService(t.Context(), "cinder-volume"))
			since = time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("volumes are still there: %v", left)
		}
	}
}

// outlast waits for the time, which is what is tested, and tells how far the
// cloud's deletes came meanwhile.
func (f *fleet) outlast(t *testing.T, outage time.Duration) {
	t.Helper()
	select {
	case <-time.After(outage):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	t.Logf("after %s, %d of %d servers are gone", outage, len(f.servers)-f.remaining(t), len(f.servers))
}

// deleteAgain asks once more for the deletion of what is left.
func (f *fleet) deleteAgain(t *testing.T) {
	t.Helper()
	must(t, forAll(t.Context(), len(f.servers), func(ctx context.Context, i int) error {
		err := f.servers[i].deleter.Delete(ctx, f.servers[i].id)
		if openstacklab.NotFound(err) {
			return nil
		}
		return err
	}))
}

// restart starts the daemon anew, with the usual configuration.
func restart(t *testing.T, s *site) {
	t.Helper()
	restartWith(t, s, options{})
}
