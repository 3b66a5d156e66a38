package api_test

import (
	"net/http"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// An operator asks, an admin approves, and the disk is marked. Nobody approves a
// request of their own, whatever their role; what is decided is decided.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, other := w.dead(vms, "root"), w.dead(vms, "data")
	purge := read[quarantine.Request](w, w.send(operator, "POST", "/v1/disks/"+d.ID[:8]+"/purge", `{"reason":"space"}`))
	if purge.State != quarantine.RequestOpen || purge.RequestedBy != "otto" || purge.Disk != d.ID || !purge.ExpiresAt.Equal(w.clock.Now().Add(3*day)) {
		t.Errorf("%+v", purge)
	}
	w.refused(w.send(operator, "POST", "/v1/disks/"+d.ID+"/purge", `{"reason":"space"}`), http.StatusConflict, wire.CodeExists, "otto")
	until := w.clock.Now().Add(2 * day).Truncate(time.Second)
	shorten := read[quarantine.Request](w, w.send(admin, "POST", "/v1/disks/"+other.ID+"/shorten", `{"until":"`+until.Format(time.RFC3339)+`","reason":"space"}`))
	path := "/v1/requests/"
	w.refused(w.send(admin, "POST", path+shorten.ID+"/approve", `{"reason":"mine"}`), http.StatusConflict, wire.CodeRefused, "ada")
	w.refused(w.send(admin, "POST", path+purge.ID+"/approve", `{"reason":" "}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	w.refused(w.send(admin, "POST", path+"0123456789abcdef/approve", `{"reason":"r"}`), http.StatusNotFound, wire.CodeNotFound, "ada")
	if got := read[[]quarantine.Request](w, w.send(viewer, "GET", "/v1/requests", "")); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	got := read[quarantine.Request](w, w.send(admin, "POST", path+purge.ID+"/approve", `{"reason":"agreed"}`))
	if got.State != quarantine.RequestDone || got.DecidedBy != "ada" || w.disk(d.ID).State != quarantine.Expiring || w.disk(d.ID).EarlyBy != "otto" {
		t.Errorf("%+v, %+v", got, w.disk(d.ID))
	}
	w.refused(w.send(operator, "POST", path+purge.ID+"/withdraw", `{"reason":"late"}`), http.StatusConflict, wire.CodeRefused, "otto")
	w.refused(w.send(operator, "POST", path+shorten.ID+"/withdraw", `{"reason":"hers"}`), http.StatusConflict, wire.CodeRefused, "otto")
	if got := read[quarantine.Request](w, w.send(admin, "POST", path+shorten.ID+"/deny", `{"reason":"no"}`)); got.State != quarantine.RequestDenied {
		t.Errorf("%+v", got)
	}
	if got := read[[]quarantine.Request](w, w.send(viewer, "GET", "/v1/requests?state=done,denied&limit=1", "")); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := read[[]quarantine.Request](w, w.send(viewer, "GET", "/v1/requests", "")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	w.refused(w.send(viewer, "GET", "/v1/requests?state=lost", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")
	if got := read[quarantine.Request](w, w.send(viewer, "GET", path+shorten.ID, "")); got.DecisionReason != "no" {
		t.Errorf("%+v", got)
	}
	if !w.disk(other.ID).RetainUntil.Equal(other.RetainUntil) {
		t.Error("it was shortened")
	}
}
