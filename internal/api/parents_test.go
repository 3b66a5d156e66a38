package api_test

import (
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A disk that was cloned tells of what, and its parent is listed with it; with
// no such disk the list is empty and not null.
func TestParentsAreListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	none := w.send(viewer, "GET", "/v1/parents", "")
	if body := strings.TrimSpace(string(none.body)); body != "[]" {
		t.Errorf("without parents: %s", body)
	}
	if _, err := w.ceph.CloudCreate(one, "base", 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.ceph.CloudSnapshot(one, "base", "snap"); err != nil {
		t.Fatal(err)
	}
	key, err := w.ceph.CloudClone(one, "base", "snap", vms, "disk")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ceph.CloudRemove(vms, "disk"); err != nil {
		t.Fatal(err)
	}
	e, err := w.ceph.FindInTrash(w.ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.adopter.Adopt(w.ctx, e, quarantine.CaptureGuard); err != nil {
		t.Fatal(err)
	}
	list := read[[]quarantine.ParentImage](w, w.send(viewer, "GET", "/v1/parents", ""))
	if len(list) != 1 || list[0].Name != "base" || list[0].Where != quarantine.PlaceLive || list[0].Blocked || len(list[0].Children) != 1 || list[0].Children[0].ID != key.DiskID() {
		t.Errorf("parents: %+v", list)
	}
	d := read[wire.DiskDetail](w, w.send(viewer, "GET", "/v1/disks/"+key.DiskID(), ""))
	if d.Parent == nil || d.Parent.Name != "base" || d.Parent.Pool != "one" || d.Parent.Snapshot != "snap" || d.Parent.CopyBytes != -1 || d.Flatten != "" {
		t.Errorf("the disk stands on %+v", d.Parent)
	}
	if res := w.send(viewer, "POST", "/v1/parents", ""); res.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", string(res.body))
	}
}
