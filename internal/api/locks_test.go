package api_test

import (
	"net/http"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
)

// An admin asks for a locked rule to be loosened, an operator takes it back; both say
// why, and a rule that is not locked is not found.
func TestLocks(t *testing.T) {
	t.Parallel()
	w := start(t)
	if all := read[[]policy.Lock](w, w.send(viewer, "GET", "/v1/policy/locks", "")); len(all) != 1 || all[0].Rule != "default" || all[0].Unlock != nil {
		t.Errorf("%+v", all)
	}
	l := read[policy.Lock](w, w.send(admin, "POST", "/v1/policy/unlock", `{"rule":"default","reason":"it ended"}`))
	if l.Unlock == nil || l.Unlock.By != "ada" || l.Unlock.Reason != "it ended" {
		t.Errorf("%+v", l)
	}
	if e := w.custody.last(); e.Act != "policy-unlock" || e.Actor != "ada" || e.Detail["rule"] != "default" {
		t.Errorf("custody: %+v", e)
	}
	w.refused(w.send(admin, "POST", "/v1/policy/unlock", `{"rule":"default","reason":" "}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	w.refused(w.send(admin, "POST", "/v1/policy/unlock", `{"rule":"web","reason":"r"}`), http.StatusNotFound, wire.CodeNotFound, "ada")
	if l := read[policy.Lock](w, w.send(operator, "POST", "/v1/policy/relock", `{"rule":"default","reason":"no"}`)); l.Unlock != nil {
		t.Errorf("%+v", l)
	}
}
