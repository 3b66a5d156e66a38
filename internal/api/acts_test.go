package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
)

// Holds, releases and extensions answer with the disk as it is
// then, and the custody log names the token's owner.
func TestActs(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	path := "/v1/disks/" + d.ID[:8]

	got := read[wire.Disk](w, w.send(operator, "POST", path+"/hold", `{"case_id":"C-1","reason":"evidence"}`))
	if !got.Held || len(got.Holds) != 1 || got.Holds[0].By != "otto" || got.Holds[0].Reason != "evidence" {
		t.Errorf("held: %+v", got)
	}
	w.refused(w.send(admin, "POST", path+"/purge", `{"reason":"space"}`), http.StatusConflict, wire.CodeRefused, "ada")
	got = read[wire.Disk](w, w.send(admin, "POST", path+"/release", `{"case_id":"C-1","reason":"closed"}`))
	if got.Held || got.Holds[0].ReleaseBy != "ada" {
		t.Errorf("released: %+v", got)
	}
	w.refused(w.send(admin, "POST", path+"/release", `{"case_id":"C-1","reason":"closed"}`), http.StatusNotFound, wire.CodeNotFound, "ada")
	got = read[wire.Disk](w, w.send(operator, "POST", path+"/extend", `{"until":"2027-01-01T01:00:00+01:00","reason":"slow"}`))
	if want := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); !got.RetainUntil.Equal(want) {
		t.Errorf("extended: %+v", got)
	}
	w.refused(w.send(operator, "POST", path+"/extend", `{"until":"2026-12-01T00:00:00Z","reason":"slow"}`), http.StatusConflict, wire.CodeRefused, "otto")
	if e := w.custody.last(); e.Actor != "otto" || e.Reason != "slow" {
		t.Errorf("custody: %+v", e)
	}
	w.silent()
}

// What is wrong with an act's body is told by the name of the field; nothing is
// changed, and the log has one line.
func TestBodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	before := w.state()
	for _, c := range []struct{ path, body, part string }{
		{"hold", `{"case_id":"C-1","reason":"r"`, "body: "},
		{"hold", ``, "body"},
		{"hold", `null`, "body"},
		{"hold", `[]`, "body"},
		{"hold", `{"case_id":"C-1","reason":"r"} {}`, "body: "},
		{"hold", `{"case_id":"C-1"}`, "reason"},
		{"hold", `{"reason":"r"}`, "case_id"},
		{"hold", `{"case_id":"","reason":"r"}`, "body.case_id"},
		{"hold", `{"case_id":"C-1","reason":" \t"}`, "body.reason"},
		{"hold", `{"case_id":"  ","reason":"r"}`, "case id"},
		{"hold", `{"case_id":"C-1","reason":7}`, "body.reason"},
		{"hold", `{"case_id":"C-1","reason":"r","untl":"2027"}`, "body.untl"},
		{"hold", `{"case_id":"C-1","reason":"` + strings.Repeat("x", 2001) + `"}`, "body.reason"},
		{"extend", `{"until":"2026-11-19T00:00:00Z","reason":"r"}`, "has passed"},
		{"extend", `{"until":"2027-11-19","reason":"r"}`, "body.until"},
		{"extend", `{"until":"next year","reason":"r"}`, "body.until"},
		{"extend", `{"reason":"r"}`, "until"},
		{"purge", `{"reason":""}`, "body.reason"},
		{"shorten", `{"reason":"r"}`, "until"},
		{"shorten", `{"until":"2026-11-19","reason":"r"}`, "body.until"},
		{"shorten", `{"until":"2027-11-19T00:00:00Z","reason":"r"}`, "extends it"},
		{"shorten", `{"until":"2026-11-22T00:00:00Z","reason":" "}`, "body.reason"},
		{"export", `{"reason":" "}`, "body.reason"},
		{"restore", `{"name":"again"}`, "reason"},
		{"restore", `{"name":"again","reason":" "}`, "body.reason"},
		{"restore", `{"reason":"r"}`, "body.name"},
		{"restore", `{"name":"a/b","reason":"r"}`, "a/b"},
		{"restore", `{"name":"quarantine.x","reason":"r"}`, "reserved"},
		{"restore", `{"in_place":true,"name":"x","reason":"r"}`, "in place"},
		{"restore", `{"in_place":true,"flatten":true,"reason":"r"}`, "in place"},
		{"restore", `{"name":"x","namespace":"blue","reason":"r"}`, "body.pool"},
		{"restore", `{"name":"x","flaten":true,"reason":"r"}`, "body.flaten"},
	} {
		a := w.send(admin, "POST", "/v1/disks/"+d.ID+"/"+c.path, c.body)
		if detail := w.refused(a, http.StatusBadRequest, wire.CodeInvalid, "ada"); !strings.Contains(detail, c.part) {
			t.Errorf("%s %s: %q does not name %s", c.path, c.body, detail, c.part)
		} else if strings.Contains(detail, "xxxx") {
			t.Errorf("%s: the value is repeated: %.80s…", c.path, detail)
		}
		if w.state() != before {
			t.Fatalf("%s %s changed something", c.path, c.body)
		}
	}
}

// An act on a disk that is not there is not found, and nothing is changed.
func TestActsOnNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.dead(vms, "root")
	before := w.state()
	for act, body := range map[string]string{
		"hold": `{"case_id":"C-1","reason":"r"}`, "release": `{"case_id":"C-1","reason":"r"}`, "extend": `{"until":"2027-11-19T00:00:00Z","reason":"r"}`,
		"shorten": `{"until":"2026-11-22T00:00:00Z","reason":"r"}`,
		"purge":   `{"reason":"r"}`, "export": `{"reason":"r"}`, "restore": `{"name":"x","reason":"r"}`,
	} {
		w.refused(w.send(admin, "POST", "/v1/disks/0123456789abcdef/"+act, body), http.StatusNotFound, wire.CodeNotFound, "ada")
	}
	if w.state() != before {
		t.Error("something was changed")
	}
}

// Any media type is taken for JSON: curl -d says that its body is a form.
func TestMediaTypeDoesNotMatter(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	for _, ct := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", "nonsense"} {
		a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/hold", `{"case_id":"C-1","reason":"r"}`, "Content-Type", ct)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", ct, a.status, a.body)
		}
	}
}
