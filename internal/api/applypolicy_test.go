package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// The policy on disk is applied: what it lengthens at once, what it shortens when
// another admin has approved the request that the answer has. To ask again makes no
// second request. A dry run is a simulation, and changes nothing.
func TestApplyPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := w.dead(vms, "other")
	w.reported("web", "webs", func(*quarantine.Deletion) {})
	web := w.dead(vms, "webs")
	from := func(d quarantine.Disk, days int) { // is kept for so long
		t.Helper()
		if is := w.disk(d.ID); !is.RetainUntil.Equal(d.QuarantinedAt.Add(time.Duration(days) * day)) {
			t.Errorf("%s is kept until %s, and not for %d days from %s", d.OriginalName, is.RetainUntil, days, d.QuarantinedAt)
		}
	}
	apply := func() quarantine.PolicyApplication {
		t.Helper()
		a := w.send(admin, "POST", "/v1/policy/apply", `{"reason":"as agreed"}`)
		lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
		var last wire.ApplyLine
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || a.status != http.StatusOK || last.Result == nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return *last.Result
	}
	w.writePolicy("20d", "13d")
	w.refused(w.send(admin, "POST", "/v1/policy/apply", `{"reason":"as agreed"}`), http.StatusConflict, wire.CodeRefused, "ada")
	w.refused(w.send(admin, "POST", "/v1/policy/apply", `{"reason":" "}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	w.writePolicy("20d", "15d")
	w.clock.add(time.Hour)
	look := func() quarantine.Simulation {
		return read[quarantine.Simulation](w, w.send(operator, "POST", "/v1/policy/simulate", `{"on_disk":true,"apply":true,"changes":5}`))
	}
	look() // the policy comes into force
	before := w.state()
	dry := look()
	if dry.Shorter != 1 || dry.Longer != 1 || dry.Changes[0].Disk != web.ID || w.state() != before {
		t.Errorf("%+v", dry)
	}
	first := apply()
	if first.Longer != 1 || first.Shorter != 1 || first.Request == nil || first.Request.State != quarantine.RequestOpen || first.Request.Subject != first.Policy {
		t.Errorf("%+v", first)
	}
	from(other, 15)
	from(web, 30)
	if again := apply(); again.Longer != 0 || again.Request == nil || again.Request.ID != first.Request.ID {
		t.Errorf("again: %+v", again)
	}
	path := "/v1/requests/" + first.Request.ID + "/approve"
	w.refused(w.send(admin, "POST", path, `{"reason":"mine"}`), http.StatusConflict, wire.CodeRefused, "ada")
	if r, err := w.approvals.Approve(w.ctx, "eve", first.Request.ID, "agreed"); err != nil || r.State != quarantine.RequestApproved {
		t.Errorf("%+v, %v", r, err)
	}
	if err := w.approvals.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	from(web, 20)
	if last := apply(); last.Longer+last.Shorter+last.Stricter != 0 || last.Request != nil {
		t.Errorf("at last: %+v", last)
	}
}

// writePolicy keeps the disks of VMs called web, and all others, for so long.
func (w *world) writePolicy(web, all string) {
	w.t.Helper()
	text := fmt.Sprintf("rules:\n  - {name: web, match: 'resource_name == \"web\"', retain: %s}\ndefault: {retain: %s, lock: {unlock_delay: 14d}}\n", web, all)
	if err := os.WriteFile(w.rules, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}
