package api_test

import (
	"net/http"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A case is opened, edited and closed with what it holds; a standing hold of it
// catches what is deleted later, and its holds are its own after that.
func TestCasesAndStandingHolds(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := read[quarantine.Case](w, w.send(operator, "POST", "/v1/cases", `{"id":"C 1/2","title":"a theft","people":["ann"],"deadline":"2026-12-24T00:00:00Z"}`))
	if c.OpenedBy != "otto" || c.Title != "a theft" {
		t.Errorf("%+v", c)
	}
	w.refused(w.send(operator, "POST", "/v1/cases", `{"id":"C 1/2","title":"again"}`), http.StatusConflict, wire.CodeExists, "otto")
	s := read[quarantine.StandingHold](w, w.send(operator, "POST", "/v1/standing", `{"case_id":"C 1/2","kind":"cloud","value":"vac","reason":"watched"}`))
	w.refused(w.send(operator, "POST", "/v1/standing", `{"case_id":"C","kind":"address","value":"web","reason":"r"}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	w.refused(w.send(operator, "POST", "/v1/standing", `{"case_id":"C","kind":"flavor","value":"m1","reason":"r"}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	d := w.dead(vms, "root")
	if len(d.OpenHolds()) != 1 || d.OpenHolds()[0].Standing != s.ID {
		t.Errorf("held by %+v", d.Holds)
	}
	path := "/v1/cases/C%201%2F2"
	view := read[quarantine.CaseView](w, w.send(viewer, "GET", path, ""))
	if view.Disks != 1 || len(view.Standing) != 1 || view.Overdue {
		t.Errorf("%+v", view)
	}
	if c = read[quarantine.Case](w, w.send(operator, "PUT", path, `{"title":"two thefts"}`)); c.Title != "two thefts" || len(c.People) != 0 {
		t.Errorf("%+v", c)
	}
	w.refused(w.send(admin, "POST", path+"/close", `{"reason":"over"}`), http.StatusConflict, wire.CodeRefused, "ada")
	w.refused(w.send(admin, "POST", path+"/close", `{"reason":" "}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	if c = read[quarantine.Case](w, w.send(admin, "POST", path+"/close", `{"reason":"over","release":true}`)); c.ClosedBy != "ada" {
		t.Errorf("%+v", c)
	}
	if after := w.disk(d.ID); after.Held() || after.Holds[0].ReleaseBy != "ada" {
		t.Errorf("%+v", after.Holds)
	}
	all := read[[]quarantine.StandingHold](w, w.send(viewer, "GET", "/v1/standing", ""))
	if len(all) != 1 || all[0].ReleasedBy != "ada" {
		t.Errorf("%+v", all)
	}
	w.refused(w.send(admin, "POST", "/v1/standing/"+s.ID+"/release", `{"reason":"over"}`), http.StatusNotFound, wire.CodeNotFound, "ada")
	w.refused(w.send(viewer, "GET", "/v1/cases/none", ""), http.StatusNotFound, wire.CodeNotFound, "vera")
	if cases := read[[]quarantine.Case](w, w.send(viewer, "GET", "/v1/cases", "")); len(cases) != 1 {
		t.Errorf("%+v", cases)
	}
}
