package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

// A restore to a cloud tells its steps and ends with the result.
func TestRestoreToCloud(t *testing.T) {
	t.Parallel()
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + string(body)
		answer(http.StatusOK, steps, "{\"restore\":\"r1\"}\n{\"stage\":\"flatten\",\"disk_id\":\"x\",\"done\":1,\"total\":3}\n{\"disk\":{\"id\":\"x\"},\"result\":{\"disks\":[{\"id\":\"x\"}],\"made\":[{\"kind\":\"volume\",\"id\":\"v\"}]}}\n")(w, r)
	})
	var seen []wire.Step
	res, err := c.RestoreToCloud(t.Context(), "x", wire.RestoreRequest{As: "volume", Reason: "r"}, func(s wire.Step) { seen = append(seen, s) })
	if err != nil || len(res.Made) != 1 || res.Made[0].ID != "v" || len(seen) != 1 || seen[0].Done != 1 || seen[0].Stage != "flatten" {
		t.Errorf("%+v, %v; steps %+v", res, err, seen)
	}
	if asked != `POST /v1/disks/x/restore {"as":"volume","reason":"r"}` {
		t.Errorf("asked %s", asked)
	}
	_, err = c.RestoreVM(t.Context(), wire.VMRestoreRequest{VM: "web", As: "volume", Reason: "r"}, nil)
	if err != nil || asked != `POST /v1/restore {"vm":"web","as":"volume","reason":"r"}` {
		t.Errorf("asked %s, %v", asked, err)
	}
}

// A plan is asked for as a dry run.
func TestPlan(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"dry_run":true`) {
			t.Errorf("asked %s", body)
		}
		answer(http.StatusOK, steps, "{\"plan\":{\"cloud\":\"os\",\"items\":[{\"disk\":\"x\"}]}}\n")(w, r)
	})
	p, err := c.PlanVM(t.Context(), wire.VMRestoreRequest{VM: "web", As: "volume", Reason: "r"})
	if err != nil || len(p.Items) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = c.PlanRestore(t.Context(), "x", wire.RestoreRequest{As: "volume", Reason: "r"})
	if err != nil || p.Cloud != "os" {
		t.Errorf("%+v, %v", p, err)
	}
}

// When the caller's context ends, the daemon is told, and its answer is heard to
// the end: what was taken back.
func TestRestoreIsCancelled(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/restores/r1/cancel" {
			answer(http.StatusOK, "application/json", `{"restore":"r1"}`)(w, r)
			close(told)
			return
		}
		w.Header().Set("Content-Type", steps)
		send := func(s wire.Step) {
			_ = json.NewEncoder(w).Encode(s)
			_ = http.NewResponseController(w).Flush()
		}
		send(wire.Step{Restore: "r1"})
		send(wire.Step{Stage: "clone"})
		select {
		case <-told:
		case <-r.Context().Done():
			t.Error("the client has hung up")
		}
		send(wire.Step{Result: &wire.CloudResult{Removed: []string{"the copy"}}, Error: wire.NewProblem(409, wire.CodeCancelled, "cancelled")})
	})
	ctx, cancel := context.WithCancel(t.Context())
	res, err := c.RestoreToCloud(ctx, "x", wire.RestoreRequest{As: "volume", Reason: "r"}, func(wire.Step) { cancel() })
	var p *wire.Problem
	if !errors.As(err, &p) || p.Code != wire.CodeCancelled || len(res.Removed) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// Before the daemon has given an id, there is only hanging up.
func TestRestoreIsLeft(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // read to its end: then the server notices who hangs up
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := c.RestoreToCloud(ctx, "x", wire.RestoreRequest{As: "volume", Reason: "r"}, nil)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, client.ErrUncertain) {
		t.Errorf("%v", err)
	}
}
