package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// serve starts a server with one answer, and a client of it.
func serve(t *testing.T, h http.HandlerFunc, edit ...func(*client.Config)) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return dial(t, srv.URL, edit...)
}

func dial(t *testing.T, url string, edit ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{Server: url, Token: "secret"}
	for _, e := range edit {
		e(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is a handler that answers so.
func answer(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hold is a request that changes something.
func hold(ctx context.Context, c *client.Client) error {
	_, err := c.Hold(ctx, "3fa1c09be2d47a55", wire.HoldRequest{CaseID: "C", Reason: "r"})
	return err
}

// Each method asks its route, with the token and its body, and reads the answer.
func TestRoutes(t *testing.T) {
	t.Parallel()
	const id = "3fa1c09be2d47a55"
	for name, c := range map[string]struct {
		call func(ctx context.Context, c *client.Client) error
		want string // method, path and query, body
	}{
		"disk":    {func(ctx context.Context, c *client.Client) error { _, err := c.Disk(ctx, "3fa1"); return err }, "GET /v1/disks/3fa1"},
		"explain": {func(ctx context.Context, c *client.Client) error { _, err := c.Explain(ctx, id); return err }, "GET /v1/disks/" + id + "/explain"},
		"hold":    {hold, "POST /v1/disks/" + id + `/hold {"case_id":"C","reason":"r"}`},
		"release": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Release(ctx, id, wire.HoldRequest{CaseID: "C", Reason: "r"})
			return err
		}, "POST /v1/disks/" + id + `/release {"case_id":"C","reason":"r"}`},
		"extend": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Extend(ctx, id, wire.ExtendRequest{Until: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "r"})
			return err
		}, "POST /v1/disks/" + id + `/extend {"until":"2027-01-02T03:04:05Z","reason":"r"}`},
		"purge": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Purge(ctx, id, wire.ReasonRequest{Reason: "r"})
			return err
		}, "POST /v1/disks/" + id + `/purge {"reason":"r"}`},
		"shorten": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Shorten(ctx, id, wire.ShortenRequest{Until: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "r"})
			return err
		}, "POST /v1/disks/" + id + `/shorten {"until":"2027-01-02T03:04:05Z","reason":"r"}`},
		"request": {func(ctx context.Context, c *client.Client) error { _, err := c.Request(ctx, "q1"); return err }, "GET /v1/requests/q1"},
		"approve": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Approve(ctx, "q1", wire.ReasonRequest{Reason: "r"})
			return err
		}, `POST /v1/requests/q1/approve {"reason":"r"}`},
		"deny": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Deny(ctx, "q1", wire.ReasonRequest{Reason: "r"})
			return err
		}, `POST /v1/requests/q1/deny {"reason":"r"}`},
		"withdraw": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Withdraw(ctx, "q1", wire.ReasonRequest{Reason: "r"})
			return err
		}, `POST /v1/requests/q1/withdraw {"reason":"r"}`},
		"case": {func(ctx context.Context, c *client.Client) error { _, err := c.Case(ctx, "C/1"); return err }, "GET /v1/cases/C%2F1"},
		"open case": {func(ctx context.Context, c *client.Client) error {
			_, err := c.OpenCase(ctx, wire.OpenCaseRequest{ID: "C", Title: "t", People: []string{"ann"}})
			return err
		}, `POST /v1/cases {"id":"C","title":"t","people":["ann"]}`},
		"edit case": {func(ctx context.Context, c *client.Client) error {
			_, err := c.EditCase(ctx, "C", wire.CaseRequest{Title: "t"})
			return err
		}, `PUT /v1/cases/C {"title":"t"}`},
		"close case": {func(ctx context.Context, c *client.Client) error {
			_, err := c.CloseCase(ctx, "C", wire.CloseCaseRequest{Reason: "r", Release: true})
			return err
		}, `POST /v1/cases/C/close {"reason":"r","release":true}`},
		"place standing": {func(ctx context.Context, c *client.Client) error {
			_, err := c.PlaceStanding(ctx, wire.StandingRequest{CaseID: "C", Kind: "user", Value: "v", Reason: "r"})
			return err
		}, `POST /v1/standing {"case_id":"C","kind":"user","value":"v","reason":"r"}`},
		"release standing": {func(ctx context.Context, c *client.Client) error {
			_, err := c.ReleaseStanding(ctx, "s1", wire.ReasonRequest{Reason: "r"})
			return err
		}, `POST /v1/standing/s1/release {"reason":"r"}`},
		"guard": {func(ctx context.Context, c *client.Client) error { _, err := c.Guard(ctx, "vms/ns"); return err }, "GET /v1/guard?pool=vms%2Fns"},
		"set guard": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SetGuard(ctx, "main:vms", wire.GuardRequest{On: true})
			return err
		}, `PUT /v1/guard?pool=main%3Avms {"on":true}`},
		"job": {func(ctx context.Context, c *client.Client) error {
			_, err := c.RunJob(ctx, "collect", wire.JobRequest{DryRun: true})
			return err
		}, `POST /v1/jobs/collect {"dry_run":true}`},
		"pause": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Pause(ctx, wire.PauseRequest{Reason: "r", Until: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)})
			return err
		}, `POST /v1/collect/pause {"reason":"r","until":"2027-01-02T03:04:05Z"}`},
		"resume": {func(ctx context.Context, c *client.Client) error {
			return c.Resume(ctx, wire.ReasonRequest{Reason: "r"})
		}, `POST /v1/collect/resume {"reason":"r"}`},
		"simulate": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Simulate(ctx, wire.SimulateRequest{Policies: []policy.File{{Name: "p", Text: "t"}}, Step: "1d", Changes: 3})
			return err
		}, `POST /v1/policy/simulate {"policies":[{"name":"p","text":"t"}],"step":"1d","changes":3}`},
		"explain facts": {func(ctx context.Context, c *client.Client) error {
			_, err := c.ExplainFacts(ctx, wire.PolicyFacts{ResourceName: "web", Metadata: map[string]string{"a": "b"}, SizeBytes: 7})
			return err
		}, `POST /v1/policy/explain {"resource_name":"web","metadata":{"a":"b"},"size_bytes":7}`},
		"unlock": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Unlock(ctx, wire.UnlockRequest{Rule: "law", Reason: "r"})
			return err
		}, `POST /v1/policy/unlock {"rule":"law","reason":"r"}`},
		"relock": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Relock(ctx, wire.UnlockRequest{Rule: "law", Reason: "r"})
			return err
		}, `POST /v1/policy/relock {"rule":"law","reason":"r"}`},
		"status":  {func(ctx context.Context, c *client.Client) error { _, err := c.Status(ctx); return err }, "GET /v1/status"},
		"rebuild": {func(ctx context.Context, c *client.Client) error { _, err := c.RebuildCatalog(ctx); return err }, "POST /v1/catalog/rebuild"},
		"custody": {func(ctx context.Context, c *client.Client) error { return c.VerifyCustody(ctx) }, "POST /v1/custody/verify"},
		"hook": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Hook(ctx, "generic", "htc", true, []byte("<raw>"))
			return err
		}, "POST /v1/hooks/generic?cloud=htc&dry_run=true <raw>"},
		"an id with a slash": {func(ctx context.Context, c *client.Client) error { _, err := c.Disk(ctx, "a/../b"); return err }, "GET /v1/disks/a%2F..%2Fb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got, auth string
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got, auth = strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)), r.Header.Get("Authorization")
				answer(http.StatusOK, "application/json", "{}")(w, r)
			})
			if err := c.call(t.Context(), cl); err != nil {
				t.Error(err)
			}
			if got != c.want || auth != "Bearer secret" {
				t.Errorf("asked %q with %q, want %q", got, auth, c.want)
			}
		})
	}
}

// The lists are read as such, and a path before the API's is kept.
func TestListsBehindAPath(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /q/v1/guard", answer(http.StatusOK, "application/json", `[{"fault":"off"}]`))
	mux.HandleFunc("GET /q/v1/cases", answer(http.StatusOK, "application/json", `[{"id":"C"}]`))
	mux.HandleFunc("GET /q/v1/standing", answer(http.StatusOK, "application/json", `[{"id":"s1"}]`))
	mux.HandleFunc("GET /q/v1/requests", func(w http.ResponseWriter, r *http.Request) {
		answer(http.StatusOK, "application/json", `[{"id":"`+r.URL.RawQuery+`"}]`)(w, r)
	})
	mux.HandleFunc("GET /q/v1/doctor", answer(http.StatusOK, "application/json; charset=utf-8", `[{"severity":"fault","subject":"s","problem":"p"}]`))
	mux.HandleFunc("GET /q/v1/capacity", answer(http.StatusOK, "application/json", `[{"pool":"vms","short_bytes":7}]`))
	c := serve(t, mux.ServeHTTP, func(cfg *client.Config) { cfg.Server += "/q/" })
	if guards, err := c.Guards(t.Context()); err != nil || len(guards) != 1 || guards[0].Fault != "off" {
		t.Errorf("guards: %+v, %v", guards, err)
	}
	if found, err := c.Cases(t.Context()); err != nil || len(found) != 1 || found[0].ID != "C" {
		t.Errorf("cases: %+v, %v", found, err)
	}
	if found, err := c.StandingHolds(t.Context()); err != nil || len(found) != 1 || found[0].ID != "s1" {
		t.Errorf("standing holds: %+v, %v", found, err)
	}
	if found, err := c.Requests(t.Context(), []quarantine.RequestState{quarantine.RequestDone, quarantine.RequestDenied}, 7); err != nil || len(found) != 1 || found[0].ID != "limit=7&state=done%2Cdenied" {
		t.Errorf("requests: %+v, %v", found, err)
	}
	if pools, err := c.Capacity(t.Context()); err != nil || len(pools) != 1 || pools[0].Short != 7 {
		t.Errorf("capacity: %+v, %v", pools, err)
	}
	if found, err := c.Doctor(t.Context()); err != nil || len(found) != 1 || found[0].Severity != quarantine.SeverityFault {
		t.Errorf("doctor: %+v, %v", found, err)
	}
}

// An act without an id would be another route: it is not sent.
func TestEmptyID(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) })
	if _, err := c.Disk(t.Context(), ""); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("disk: %v", err)
	}
	if _, err := c.Restore(t.Context(), "", wire.RestoreRequest{}, nil); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("restore: %v", err)
	}
	if _, err := c.Export(t.Context(), "", wire.ReasonRequest{}, nil); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("export: %v", err)
	}
}

// encode is v as JSON.
func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
