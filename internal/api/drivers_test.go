package api_test

import (
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A driver that asks is told to go on where the guard keeps the disk, and that
// all is done when it asks again; what it was about to remove is recorded.
func TestDriverAsks(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := w.ceph.CloudCreate(vms, "one-1-9-0", 4096); err != nil {
		t.Fatal(err)
	}
	ask := func(query, body string) quarantine.Interception {
		return read[quarantine.Interception](w, w.send(hook, "POST", "/v1/drivers/vac/remove"+query, body))
	}
	if got := ask("", "one-1-9-0"); got.Act != quarantine.Proceed || !strings.Contains(got.Reason, "guard") {
		t.Errorf("the first answer is %+v", got)
	}
	if err := w.ceph.CloudRemove(vms, "one-1-9-0"); err != nil {
		t.Fatal(err)
	}
	if got := ask("", "one-1-9-0"); got.Act != quarantine.Done || len(got.Disks) != 1 {
		t.Errorf("the second answer is %+v", got)
	}
	if got := ask("", "migration"); got.Act != quarantine.Proceed || len(got.Disks) != 0 {
		t.Errorf("of what is no deletion the answer is %+v", got)
	}
	w.silent()
}

// The answer's text is that which the shell script on the front-end looks for.
func TestDriverAnswersForAShell(t *testing.T) {
	t.Parallel()
	w := start(t)
	if a := w.send(hook, "POST", "/v1/drivers/vac/remove", "nothing"); !strings.Contains(string(a.body), `"act":"proceed"`) {
		t.Errorf("%s", a.body)
	}
}

// What a driver has removed while nobody answered is recorded, and nothing is
// done with what is live under the name now.
func TestDriverReportsLate(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "one-1-9-0")
	if _, err := w.ceph.CloudCreate(vms, "one-1-9-0", 4096); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		read[quarantine.Interception](w, w.send(hook, "POST", "/v1/drivers/vac/remove?late=true", "one-1-9-0"))
	}
	if disk := w.disk(d.ID); disk.Deletion == nil || disk.Deletion.ResourceID != "9" {
		t.Errorf("the disk is explained by %+v", disk.Deletion)
	}
	if _, live := w.ceph.LookLive(vms, "one-1-9-0"); !live {
		t.Error("the live image was taken")
	}
}

// Who asks what cannot be answered hears why, and that it must not take that for
// an answer: the status is never one of success.
func TestDriverIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/v1/drivers/vac/paint", "root", http.StatusNotFound, wire.CodeNotFound},
		{"/v1/drivers/nobody/remove", "root", http.StatusNotFound, wire.CodeNotFound},
		{"/v1/drivers/vac/remove?cloud=nebula", "root", http.StatusForbidden, wire.CodeForbidden},
		{"/v1/drivers/vac/remove", "stranger", http.StatusBadRequest, wire.CodeInvalid},
		{"/v1/drivers/vac/remove?late=perhaps", "root", http.StatusBadRequest, wire.CodeInvalid},
		{"/v1/drivers/vac/remove", "silence", http.StatusServiceUnavailable, wire.CodeUnavailable},
	} {
		w.refused(w.send(hook, "POST", c.path, c.body), c.status, c.code, "vac-hook")
	}
	w.refused(w.send(viewer, "POST", "/v1/drivers/vac/remove", "root"), http.StatusForbidden, wire.CodeForbidden, "vera")
}

// A call that has more to do than to remove disks goes on, whatever became of
// these.
func TestDriverGoesOn(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.dead(vms, "with its directory")
	got := read[quarantine.Interception](w, w.send(hook, "POST", "/v1/drivers/vac/remove", "with its directory"))
	if got.Act != quarantine.Proceed || len(got.Disks) != 1 {
		t.Errorf("the answer is %+v", got)
	}
}
