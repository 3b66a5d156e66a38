//go:build openstack

package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// known is what must be known of a fleet's disks beyond project, owner, deleter
// and name of each server, by where it came from.
type known struct {
	// addresses of the servers.
	addresses bool
	// volumes: whose they were, who deleted them, and if they went with their
	// server which it was and its addresses. Else they are in quarantine, and
	// nobody knows whose they were.
	volumes bool
	// keptServer: of the volumes that stay, the server that they were attached
	// to; keptDeleter: who deleted them later.
	keptServer, keptDeleter bool
}

var (
	// byEvents is what the notifications tell.
	byEvents = known{addresses: true, volumes: true, keptDeleter: true}
	// byStock is what Nova's database tells of the dead, and what was known of
	// the living when the cloud was asked last. Cinder forgets who deleted a
	// volume.
	byStock = known{addresses: true, volumes: true, keptServer: true}
	// byBoth is both.
	byBoth = known{addresses: true, volumes: true, keptServer: true, keptDeleter: true}
	// byNova is Nova's database alone.
	byNova = known{}
)

// quarantined waits until every disk of the fleet is in quarantine, sealed, and
// known as it must be.
func (f *fleet) quarantined(t *testing.T, s *site, k known) {
	t.Helper()
	var wrong []string
	// The cloud is done; what is left is the product's own work.
	for deadline := time.Now().Add(5 * time.Minute); ; wait(t) {
		if wrong = f.faults(s.disks(t, "--from", f.began.Format(time.RFC3339)), k); len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d disks are not as they must be:\n%s\nthe daemon's log:\n%s", len(wrong), strings.Join(wrong, "\n"), s.daemon.tail(40))
		}
	}
}

// faults says of each disk of the fleet what is wrong with it.
func (f *fleet) faults(disks []wire.Disk, k known) []string {
	byName := map[string]wire.Disk{}
	for _, d := range disks {
		byName[d.OriginalName] = d
	}
	var wrong []string
	look := func(x expected, m *machine) {
		if fault := f.fault(byName[x.image], x, m, k); fault != "" {
			wrong = append(wrong, x.image+": "+fault)
		}
	}
	for _, m := range f.servers {
		for _, x := range m.disks {
			look(x, m)
		}
	}
	for _, x := range f.volumes {
		look(x, nil)
	}
	return wrong
}

// fault says what is wrong with the disk; m is the server that it died with.
func (f *fleet) fault(d wire.Disk, x expected, m *machine, k known) string {
	kind, resource, id := "delete", "vm", ""
	deleter := f.alice
	if m != nil {
		deleter, id = m.deleter, m.id
	}
	if x.volume != "" {
		kind, resource, id = "volume-delete", "volume", x.volume
	}
	lone := m == nil // a volume that stayed when its server went
	for _, check := range []struct {
		ok   bool
		what string
	}{
		{d.ID != "", "it is not there"},
		{d.State == "quarantined" && d.Sealed && d.Capture == "guard", fmt.Sprintf("state %s, sealed %v, capture %s", d.State, d.Sealed, d.Capture)},
		{d.Explained || x.volume != "" && !k.volumes, "unexplained"},
	} {
		if !check.ok {
			return check.what
		}
	}
	if !d.Explained {
		return ""
	}
	for _, check := range []struct {
		ok   bool
		what string
	}{
		{d.Kind == kind && d.ResourceKind == resource && d.ResourceID == id, fmt.Sprintf("a %s of %s %s", d.Kind, d.ResourceKind, d.ResourceID)},
		{d.Role == x.role, "role " + d.Role},
		{d.ProjectID == f.alice.ProjectID && d.Project == "alice", fmt.Sprintf("project %s (%s)", d.Project, d.ProjectID)},
		{d.UserID == f.alice.UserID && d.User == "alice", fmt.Sprintf("user %s (%s)", d.User, d.UserID)},
		{lone && !k.keptDeleter || d.DeleterID == deleter.UserID && d.Deleter == nameOf(deleter, f), fmt.Sprintf("deleter %s (%s)", d.Deleter, d.DeleterID)},
		{x.volume != "" || d.ResourceName == m.name, "name " + d.ResourceName},
		{lone || x.volume == "" || d.ServerID == m.id, "server " + d.ServerID},
		{!lone || !k.keptServer || d.ServerID != "", "no server"},
		{lone || !k.addresses || subset(m.ips, d.Addresses), fmt.Sprintf("addresses %q, not %q", d.Addresses, ipsOf(m))},
	} {
		if !check.ok {
			return check.what
		}
	}
	return ""
}

func nameOf(s *openstacklab.Session, f *fleet) string {
	if s == f.admin {
		return "admin"
	}
	return "alice"
}

func ipsOf(m *machine) []string {
	if m == nil {
		return nil
	}
	return m.ips
}

func subset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(x string) bool { return !slices.Contains(all, x) })
}

// coverage is quarantinectl coverage for the time since then, with its exit
// status.
func (s *site) coverage(t *testing.T, since time.Time) (quarantine.Coverage, int) {
	t.Helper()
	var all []quarantine.Coverage
	out, code := s.ctl(t, "coverage", "--cloud", "os", "--from", since.Format(time.RFC3339), "-o", "json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		t.Fatalf("quarantinectl coverage: exit status %d, %v\n%s", code, err, out)
	}
	return all[0], code
}

// covered checks that all that died since the fleet was deleted is in
// quarantine, by the product's own account.
func (f *fleet) covered(t *testing.T, s *site) {
	t.Helper()
	c, code := s.coverage(t, f.began)
	t.Logf("coverage %.1f %%: %d deletions, captured %d, lost %d, missed %d, unexplained %d", c.Percent(), c.Deletions, c.Captured, c.Lost, c.Missed, c.Unexplained)
	if code != 0 || c.Percent() != 100 || c.Captured < f.disks() {
		t.Errorf("coverage exits with %d: %s, want %d disks captured", code, asJSON(c), f.disks())
	}
}

// job runs a job of the daemon, when it is not running already.
func (s *site) job(t *testing.T, name string) {
	t.Helper()
	var out string
	for deadline := time.Now().Add(3 * time.Minute); ; wait(t) {
		var code int
		if out, code = s.ctl(t, "run", name, "-o", "json"); code == 0 || code == 5 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("quarantinectl run %s: exit status %d\n%s", name, code, out)
		}
	}
}

// unexplained names those of the fleet's disks of which nobody tells whose they
// were.
func (f *fleet) unexplained(t *testing.T, s *site) []string {
	t.Helper()
	ours := map[string]bool{}
	for _, x := range f.all() {
		ours[x.image] = true
	}
	for _, d := range s.disks(t, "--from", f.began.Format(time.RFC3339)) {
		if d.Explained {
			delete(ours, d.OriginalName)
		}
	}
	return slices.Sorted(maps.Keys(ours))
}
