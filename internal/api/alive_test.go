package api_test

import (
	"net/http"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// What is alive is explained by id and by name, of one cloud or of all, as if it
// were deleted now; what is dead, or never was seen, is not found.
func TestExplainAlive(t *testing.T) {
	t.Parallel()
	w := start(t)
	seen := func(cloud, id, name string, refs ...quarantine.DiskRef) {
		t.Helper()
		d := quarantine.Deletion{ID: cloud + id, Cloud: cloud, Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: id, ResourceName: name,
			Project: quarantine.Principal{ID: "p1", Name: "physics"}, Disks: refs}
		if err := w.catalog.See(w.ctx, []quarantine.Sighting{{SeenAt: w.clock.Now(), Deletion: d}}); err != nil {
			t.Fatal(err)
		}
	}
	seen("vac", "vm-1", "web", quarantine.DiskRef{Pool: "vms", Name: "vm-1_disk", Role: "root"}, quarantine.DiskRef{Pool: "vms", Name: "vm-1_swap", Role: "swap"})
	seen("nebula", "vm-1", "db")
	ask := func(query string) []wire.AliveExplanation {
		return read[[]wire.AliveExplanation](w, w.send(viewer, "GET", "/v1/policy/explain?"+query, ""))
	}
	all := ask("resource=web")
	if len(all) != 1 || all[0].ResourceID != "vm-1" || all[0].Project != "physics" || len(all[0].Disks) != 2 {
		t.Fatalf("%+v", all)
	}
	if d := all[0].Disks[0]; d.Name != "vm-1_disk" || d.Role != "root" || d.Decision.Rule != "web" || !d.RetainUntil.Equal(w.clock.Now().UTC().Truncate(time.Second).Add(30*24*time.Hour)) || len(d.Trace) != 2 {
		t.Errorf("%+v", d)
	}
	if all := ask("resource=vm-1"); len(all) != 2 {
		t.Errorf("of all clouds: %+v", all)
	}
	if all := ask("resource=vm-1&cloud=nebula"); len(all) != 1 || len(all[0].Disks) != 1 || all[0].Disks[0].Decision.Rule != "default" {
		t.Errorf("without disks: %+v", all)
	}
	if err := w.catalog.MarkDead(w.ctx, "vac", quarantine.ResourceVM, "vm-1"); err != nil {
		t.Fatal(err)
	}
	w.refused(w.send(viewer, "GET", "/v1/policy/explain?resource=web", ""), http.StatusNotFound, wire.CodeNotFound, "vera")
}
