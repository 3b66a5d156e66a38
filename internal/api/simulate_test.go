package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

const shortPolicy = `{"name":"p.yaml","text":"default: {retain: 1h}"}`

// A policy in a request is simulated over what is in the catalog, over the last
// ninety days unless a period is given, and changes nothing; its mistakes are
// told with their places.
func TestSimulate(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	before := w.state()
	got := read[quarantine.Simulation](w, w.send(operator, "POST", "/v1/policy/simulate", `{"policies":[`+shortPolicy+`],"changes":5}`))
	if got.Disks != 1 || got.Shorter != 1 || len(got.Changes) != 1 || got.Changes[0].Disk != d.ID || got.Changes[0].ThenRule != "default" {
		t.Errorf("%d disks, changes %+v", got.Disks, got.Changes)
	}
	if got.To.Sub(got.From) != 90*24*time.Hour || len(got.Points) != 31 || got.Points[30].Now.Disks != 1 {
		t.Errorf("from %s to %s, %d points, the last %+v", got.From, got.To, len(got.Points), got.Points[len(got.Points)-1])
	}
	if after := w.state(); after != before {
		t.Errorf("it changed something:\n%s\nwas\n%s", after, before)
	}
	got = read[quarantine.Simulation](w, w.send(operator, "POST", "/v1/policy/simulate",
		`{"policies":[`+shortPolicy+`],"from":"2020-01-01T00:00:00Z","to":"2020-01-02T00:00:00Z","step":"6h"}`))
	if got.Disks != 0 || len(got.Points) != 5 || len(got.Changes) != 0 {
		t.Errorf("of another period: %+v", got)
	}
	for name, c := range map[string]struct{ body, says string }{
		"a mistake":    {`{"policies":[{"name":"p.yaml","text":"default: {retain: soon}"}]}`, "p.yaml"},
		"no policy":    {`{"policies":[]}`, "policies"},
		"no default":   {`{"policies":[{"name":"p.yaml","text":"rules: []"}]}`, "default"},
		"a step":       {`{"policies":[` + shortPolicy + `],"step":"often"}`, "step"},
		"small steps":  {`{"policies":[` + shortPolicy + `],"step":"1s"}`, "points"},
		"turned round": {`{"policies":[` + shortPolicy + `],"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, "empty"},
	} {
		detail := w.refused(w.send(operator, "POST", "/v1/policy/simulate", c.body), http.StatusBadRequest, wire.CodeInvalid, "otto")
		if !strings.Contains(detail, c.says) {
			t.Errorf("%s: %q does not say %q", name, detail, c.says)
		}
	}
}
