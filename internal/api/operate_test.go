package api_test

import (
	"time"

	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Guards are shown and switched by the names that people write; a cluster that
// does not answer is told beside the others.
func TestGuard(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, want := range map[string]quarantine.PoolRef{"vms": vms, "vms/blue": nsed, "alpha:one": one, "beta:one": twin} {
		if st := read[quarantine.GuardStatus](w, w.send(viewer, "GET", "/v1/guard?pool="+name, "")); st.Pool.PoolRef != want || !st.Setting.On || st.Fault != "" {
			t.Errorf("%s: %+v", name, st)
		}
	}
	if all := read[[]quarantine.GuardStatus](w, w.send(viewer, "GET", "/v1/guard", "")); len(all) != 4 || all[3].Pool.PoolRef != twin {
		t.Errorf("%+v", all)
	}
	w.refused(w.send(viewer, "GET", "/v1/guard?pool=nowhere", ""), http.StatusNotFound, wire.CodeNotFound, "vera")
	w.refused(w.send(viewer, "GET", "/v1/guard?pool=one", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")

	st := read[quarantine.GuardStatus](w, w.send(admin, "PUT", "/v1/guard?pool=vms", `{"on":false,"reason":"test"}`))
	if st.Setting.On || st.Fault == "" {
		t.Errorf("%+v", st)
	}
	if e := w.custody.last(); e.Act != "guard-off" || e.Actor != "ada" || e.Reason != "test" {
		t.Errorf("custody: %+v", e)
	}
	before := w.state()
	w.refused(w.send(admin, "PUT", "/v1/guard", `{"on":true}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	w.refused(w.send(admin, "PUT", "/v1/guard?pool=vms", `{}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	w.refused(w.send(admin, "PUT", "/v1/guard?pool=nowhere", `{"on":true}`), http.StatusNotFound, wire.CodeNotFound, "ada")
	if w.state() != before {
		t.Error("something was changed")
	}

	w.ceph.FailNext("ReadGuard", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	all := read[[]quarantine.GuardStatus](w, w.send(viewer, "GET", "/v1/guard", ""))
	if len(all) != 4 || !strings.Contains(all[0].Fault, "no answer") || all[0].Pool.PoolRef != vms || all[2].Fault != "" {
		t.Errorf("%+v", all)
	}
}

// A job runs with its options, by its caller; that the clock is right only an
// admin can say.
func TestJobs(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct{ secret, body, want string }{
		{operator, ``, "collect by otto, dry run false, clock confirmed false"},
		{operator, `{"dry_run":true}`, "collect by otto, dry run true, clock confirmed false"},
		{admin, `{"confirm_clock":true}`, "collect by ada, dry run false, clock confirmed true"},
	} {
		rep := read[quarantine.Report](w, w.send(c.secret, "POST", "/v1/jobs/collect", c.body))
		if got := w.jobs.all(); got[len(got)-1] != c.want || rep.Job != "collect" || rep.Items == nil {
			t.Errorf("%q, want %q; %+v", got, c.want, rep)
		}
	}
	before := w.state()
	w.refused(w.send(operator, "POST", "/v1/jobs/collect", `{"confirm_clock":true}`), http.StatusForbidden, wire.CodeForbidden, "otto")
	w.refused(w.send(operator, "POST", "/v1/jobs/guard", `{}`), http.StatusConflict, wire.CodeBusy, "otto")
	w.refused(w.send(operator, "POST", "/v1/jobs/laundry", `{}`), http.StatusNotFound, wire.CodeNotFound, "otto")
	w.refused(w.send(operator, "POST", "/v1/jobs/collect", `{"dryrun":true}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	w.refused(w.send(operator, "POST", "/v1/jobs/collect", `{"dry_run":"yes"}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	if w.state() != before {
		t.Error("a job ran")
	}
}

// Status, findings and readiness have no null where a list belongs.
func TestLooks(t *testing.T) {
	t.Parallel()
	w := start(t)
	st := w.send(viewer, "GET", "/v1/status", "")
	if got := read[wire.Status](w, st); got.Version != "test" || strings.Contains(string(st.body), "null") {
		t.Errorf("%s", st.body)
	}
	if got := read[[]quarantine.Finding](w, w.send(viewer, "GET", "/v1/doctor", "")); len(got) != 1 || got[0].Subject != "patient" {
		t.Errorf("%+v", got)
	}
	if a := w.send("", "GET", "/healthz", ""); string(a.body) != `{"status":"ok"}`+"\n" {
		t.Errorf("%s", a.body)
	}
	if a := w.send("", "GET", "/readyz", ""); a.status != http.StatusOK || string(a.body) != `{"ready":true,"reasons":[]}`+"\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.reasons = []string{"Ceph does not answer"}
	a := w.send("", "GET", "/readyz", "")
	var got struct {
		Ready   bool
		Reasons []string
	}
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusServiceUnavailable || got.Ready || !slices.Equal(got.Reasons, w.reasons) {
		t.Errorf("%d %s (%v)", a.status, a.body, err)
	}
	if a := w.send("", "GET", "/metrics", ""); string(a.body) != "up 1\n" {
		t.Errorf("%s", a.body)
	}
	w.silent() // a probe every few seconds is no failure of a request
}

// A rebuild by an admin answers with what it found again.
func TestRebuild(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	rep := read[quarantine.Report](w, w.send(admin, "POST", "/v1/catalog/rebuild", ""))
	if rep.Actor != "ada" || len(rep.Items) != 1 || rep.Items[0].Disk != d.ID {
		t.Errorf("%+v", rep)
	}
	w.ceph.FailNext("EachTrash", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	w.refused(w.send(admin, "POST", "/v1/catalog/rebuild", ""), http.StatusServiceUnavailable, wire.CodeUnavailable, "ada")
	if w.disk(d.ID).State != quarantine.Quarantined {
		t.Error("the disk is gone from the catalog")
	}
}

// A custody chain that does not hold is an error of the service, whatever the
// log's error wraps; one that cannot be read may be asked again.
func TestVerifyCustody(t *testing.T) {
	t.Parallel()
	w := start(t)
	if got := read[map[string]bool](w, w.send(viewer, "POST", "/v1/custody/verify", "")); !got["ok"] {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("line 3: %w", quarantine.ErrInvalid), 500, wire.CodeInternal},
		{errors.New("line 3 was changed"), 500, wire.CodeInternal},
		{fmt.Errorf("read: %w", quarantine.ErrUnavailable), 503, wire.CodeUnavailable},
	} {
		w.custody.fault = c.err
		w.refused(w.send(viewer, "POST", "/v1/custody/verify", ""), c.status, c.code, "vera")
	}
}

// A client that goes away ends the job that it started.
func TestJobEndsWithItsClient(t *testing.T) {
	t.Parallel()
	running, ended := make(chan struct{}), make(chan error, 1)
	w := start(t, func(w *world) {
		w.cfg.Jobs = jobFunc(func(ctx context.Context) (quarantine.Report, error) {
			close(running)
			<-ctx.Done()
			ended <- ctx.Err()
			return quarantine.Report{}, fmt.Errorf("collect: %w", ctx.Err())
		})
	})
	ctx, leave := context.WithCancel(w.ctx)
	req, err := http.NewRequestWithContext(ctx, "POST", w.http.URL+"/v1/jobs/collect", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+operator)
	go func() {
		<-running
		leave()
	}()
	if resp, err := w.client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("there was an answer")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.requests.take()
	w.logged(499, "otto", "context canceled")
}

// An operator pauses removals, with a reason that the next pass gives; one that is
// over already is refused, and so is to lift what is not there.
func TestPause(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := read[quarantine.Pause](w, w.send(operator, "POST", "/v1/collect/pause", `{"reason":"an incident"}`))
	if p.By != "otto" || p.Reason != "an incident" || !p.Until.IsZero() {
		t.Errorf("%+v", p)
	}
	until := w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if p := read[quarantine.Pause](w, w.send(operator, "POST", "/v1/collect/pause", `{"reason":"r","until":"`+until+`"}`)); p.Until.Format(time.RFC3339) != until {
		t.Errorf("%+v", p)
	}
	if e := w.custody.last(); e.Act != "pause" || e.Actor != "otto" || e.Detail["until"] != until {
		t.Errorf("custody: %+v", e)
	}
	w.refused(w.send(operator, "POST", "/v1/collect/pause", `{"reason":" "}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	w.refused(w.send(operator, "POST", "/v1/collect/pause", `{"reason":"r","until":"2020-01-01T00:00:00Z"}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	w.refused(w.send(admin, "POST", "/v1/collect/resume", `{"reason":""}`), http.StatusBadRequest, wire.CodeInvalid, "ada")
	if a := w.send(admin, "POST", "/v1/collect/resume", `{"reason":"over"}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.refused(w.send(admin, "POST", "/v1/collect/resume", `{"reason":"over"}`), http.StatusConflict, wire.CodeRefused, "ada")
}
