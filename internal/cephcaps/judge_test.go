package cephcaps

import (
	"strings"
	"testing"
)

// Of a cluster's keys those of clients that could switch a guard off are
// named: what can be mended with the pools, and what is by its nature so as
// what it is. The caps for a cloud are no matter.
func TestJudge(t *testing.T) {
	all := Caps{Mon: "allow *", OSD: "allow *"}
	got := Judge([]Key{
		{"osd.0", all},
		{"client.openstack", CloudCaps([]string{"vms", "volumes"})},
		{"client.classic", CloudCaps(nil, "volumes")},
		{"client.admin", all},
		{"client.root", all},
		{"client.auditor", AuditCaps()},
		{"client.quarantine", QuarantineCaps("vms", "volumes")},
		{"client.bootstrap-osd", Caps{Mon: "allow profile bootstrap-osd"}},
		{"client.bootstrap-mgr", Caps{Mon: "allow profile bootstrap-mgr"}},
	}, []string{"vms", "volumes/ns"}, "client.quarantine")
	want := []struct {
		entities, problem string
		own, narrow       bool
	}{
		{"client.classic", "guard of volumes/ns", false, true},
		{"client.admin", "admin", false, false},
		{"client.root", "admin", false, false},
		{"client.auditor", "audit", false, false},
		{"client.quarantine", "own", true, false},
		{"client.bootstrap-osd client.bootstrap-mgr", "daemons", false, false},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, w := range want {
		if g := got[i]; strings.Join(g.Entities, " ") != w.entities || !strings.Contains(g.Problem, w.problem) || g.Own != w.own || g.Narrow != w.narrow {
			t.Errorf("got %+v, want %+v", g, w)
		}
	}
}
