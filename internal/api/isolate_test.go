package api_test

import (
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A disk is copied through the API: a dry run says that it could be and makes
// nothing, the answer ends with the copy, and a second wish is a conflict.
func TestIsolate(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	path := "/v1/disks/" + d.ID + "/isolate"
	if a := w.send(operator, "POST", path, `{"reason":"case"}`); a.status != http.StatusConflict || !strings.Contains(string(a.body), "no evidence pool") {
		t.Errorf("without an evidence pool: %d %s", a.status, a.body)
	}
	evidence := quarantine.PoolRef{FSID: d.Key.FSID, Pool: "evidence"}
	w.ceph.AddPool(quarantine.Pool{PoolRef: evidence, Guarded: true, Evidence: true, Protect: 10 * 365 * 24 * 3600e9})
	if a := w.send(operator, "POST", path, `{"reason":"case","dry_run":true}`); a.status != http.StatusOK || strings.Contains(string(a.body), "copy_of") {
		t.Errorf("dry run: %d %s", a.status, a.body)
	}
	if live, err := w.ceph.LiveImages(w.ctx, evidence, ""); err != nil || len(live) != 0 {
		t.Errorf("a dry run made %v, %v", live, err)
	}
	a := w.send(operator, "POST", path, `{"reason":"case"}`)
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `"copy_of":{"disk":"`+d.ID) || !strings.Contains(string(a.body), `"state":"quarantined"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.send(operator, "POST", path, `{"reason":"case"}`); a.status != http.StatusConflict || !strings.Contains(string(a.body), wire.CodeExists) {
		t.Errorf("again: %d %s", a.status, a.body)
	}
}
