package api_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// covered is two clouds, of which one was covered in full and one does not
// answer.
type covered struct{}

func (covered) Clouds() []string { return []string{"vac"} }

func (covered) Coverage(_ context.Context, cloud string, from, to time.Time) (quarantine.Coverage, error) {
	switch cloud {
	case "vac":
		return quarantine.Coverage{Cloud: cloud, From: from, To: to, Captured: 3, Missed: 1, Verdicts: []quarantine.Verdict{{Verdict: quarantine.VerdictMissed, Image: "x"}}}, nil
	case "down":
		return quarantine.Coverage{}, fmt.Errorf("ask down: %w", quarantine.ErrUnavailable)
	}
	return quarantine.Coverage{}, fmt.Errorf("cloud %q with an API: %w", cloud, quarantine.ErrNotFound)
}

// The period is the last day unless it is given; a cloud that does not answer
// is an error and never a coverage; and a time that is none is refused.
func TestCoverage(t *testing.T) {
	t.Parallel()
	w := start(t)
	all := read[[]quarantine.Coverage](w, w.send(viewer, "GET", "/v1/coverage", ""))
	if len(all) != 1 || all[0].Percent() != 75 || all[0].To.Sub(all[0].From) != 24*time.Hour || !all[0].To.Equal(w.clock.Now().UTC()) {
		t.Errorf("%+v", all)
	}
	one := read[[]quarantine.Coverage](w, w.send(viewer, "GET", "/v1/coverage?cloud=vac&from=2026-11-01&to=2026-11-02T12:00:00Z", ""))
	if len(one) != 1 || one[0].To.Sub(one[0].From) != 36*time.Hour {
		t.Errorf("%+v", one)
	}
	w.refused(w.send(viewer, "GET", "/v1/coverage?cloud=down", ""), http.StatusServiceUnavailable, wire.CodeUnavailable, "vera")
	w.refused(w.send(viewer, "GET", "/v1/coverage?cloud=nowhere", ""), http.StatusNotFound, wire.CodeNotFound, "vera")
	w.refused(w.send(viewer, "GET", "/v1/coverage?from=yesterday", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")
}
