//go:build openstack

package acceptance

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// In pools without a guard the daemon seizes: it races with the cloud. Each
// disk of what was deleted is in quarantine by that race, sealed, or recorded
// as lost; of none nothing is said. How many were won is printed; it depends on
// the machine, and losing is no failure. Neither is it the cloud's: a server
// whose disk went away under Nova's hands is deleted once more, as its owner
// would.
func TestSeizeIsNeverSilent(t *testing.T) {
	s := running(t)
	o := options{unguarded: true, lostAfter: "1s"}
	restartWith(t, s, o)
	s.endAfter(t)
	s.unguarded(t, s.lab.Pools().VMs, s.lab.Pools().Volumes)
	f := boot(t, s, 2*len(kinds))
	s.job(t, "reconcile")
	s.job(t, "clouds")
	f.deleteServers(t)
	again := f.waitGoneOrFailed(t)
	t.Logf("%d of %d servers failed in Nova at first: %q", len(again), len(f.servers), again)
	f.deleteVolumes(t)
	var silent []string
	for deadline := time.Now().Add(3 * time.Minute); ; wait(t) {
		s.job(t, "reconcile")
		var won, lost [2]int // by Nova's and Cinder's
		won, lost, silent = f.raced(t, s)
		if len(silent) == 0 {
			t.Logf("seized from Nova: %d of %d; from Cinder: %d of %d", won[0], won[0]+lost[0], won[1], won[1]+lost[1])
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of these nothing is said: %q\nthe daemon's log:\n%s", silent, s.daemon.tail(40))
		}
	}
	if left := trouble(t, f.admin); left != "" {
		t.Errorf("left in the cloud: %s", left)
	}
	_, code := s.coverage(t, f.began)
	if _, lost, _ := f.raced(t, s); (code == 5) != (lost[0]+lost[1] > 0) {
		t.Errorf("coverage exits with %d; lost are %v", code, lost)
	}
}

// raced counts the fleet's disks that were seized, and those that are recorded
// as lost, of Nova's and of Cinder's; and names those of which nothing is said.
func (f *fleet) raced(t *testing.T, s *site) (won, lost [2]int, silent []string) {
	t.Helper()
	state := map[string]string{}
	for _, d := range s.disks(t, "--from", f.began.Add(-time.Minute).Format(time.RFC3339)) {
		is := d.State
		if d.State == "quarantined" && (d.Capture != "raced" || !d.Sealed) {
			is = fmt.Sprintf("%s, capture %s, sealed %v", d.State, d.Capture, d.Sealed)
		}
		// The row of a disk that was won is the one that counts.
		if state[d.OriginalName] != "quarantined" {
			state[d.OriginalName] = is
		}
	}
	for _, x := range f.all() {
		side := 0
		if x.volume != "" {
			side = 1
		}
		switch state[x.image] {
		case "quarantined":
			won[side]++
		case "lost":
			lost[side]++
		default:
			silent = append(silent, x.image+" "+state[x.image])
		}
	}
	return won, lost, silent
}

// waitGoneOrFailed waits until the cloud has deleted all servers, and deletes
// those once more that failed. It says which they were, and why.
func (f *fleet) waitGoneOrFailed(t *testing.T) []string {
	t.Helper()
	var again []string
	for deadline := time.Now().Add(patience); ; wait(t) {
		if f.remaining(t) == 0 {
			return again
		}
		failed, err := listed(t, f.admin, "compute", "servers", "all_tenants=1&status=ERROR")
		must(t, err)
		for _, m := range f.servers {
			if failed[m.id] == "" {
				continue
			}
			v, err := f.admin.Server(t.Context(), m.id)
			must(t, err)
			why := m.name + ": " + v.Fault.Message
			if v.TaskState != "" || slices.Contains(again, why) {
				continue
			}
			again = append(again, why)
			must(t, m.deleter.Delete(t.Context(), m.id))
		}
		if time.Now().After(deadline) {
			t.Fatalf("servers are still there: %s", trouble(t, f.admin))
		}
	}
}
