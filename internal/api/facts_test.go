package api_test

import (
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
)

// Facts that are given by hand are decided about as a disk's are, and what cannot be,
// or is no fact, is refused with its name.
func TestExplainFacts(t *testing.T) {
	t.Parallel()
	w := start(t)
	ask := func(body string) wire.FactsExplanation {
		t.Helper()
		return read[wire.FactsExplanation](w, w.send(viewer, "POST", "/v1/policy/explain", body))
	}
	x := ask(`{"resource_name":"web","pool":"vms","deleted_at":"2026-11-20T08:00:00Z"}`)
	if x.Decision.Rule != "web" || x.RetainUntil.Format("2006-01-02") != "2026-12-20" || len(x.Trace) != 2 || x.Trace[0].Outcome != "matched" {
		t.Errorf("%+v", x)
	}
	for _, body := range []string{`{}`, `{"resource_name":"db"}`, `{"unexplained":true,"pool":"vms","size_bytes":7}`} {
		if x := ask(body); x.Decision.Rule != "default" || x.DeletedAt.IsZero() {
			t.Errorf("%s: %+v", body, x)
		}
	}
	for body, says := range map[string]string{
		`{"unexplained":true,"resource_name":"web"}`: "unexplained",
		`{"unexplained":true,"cloud":"vac"}`:         "unexplained",
		`{"projekt":{"id":"p1"}}`:                    "projekt",
		`{"kind":"deleted"}`:                         "kind",
		`{"size_bytes":-1}`:                          "size_bytes",
		`{"created_at":"2026-11-21T08:00:00Z","deleted_at":"2026-11-20T08:00:00Z"}`: "created_at",
	} {
		if detail := w.refused(w.send(viewer, "POST", "/v1/policy/explain", body), http.StatusBadRequest, wire.CodeInvalid, "vera"); !strings.Contains(detail, says) {
			t.Errorf("%s: %s", body, detail)
		}
	}
}
