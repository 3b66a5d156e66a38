package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// genericBody reports the deletion of a VM with one disk, root.
func genericBody(vm string) string {
	return fmt.Sprintf(`{"kind":"delete","resource_kind":"vm","resource_id":%q,"resource_name":"web","ended_at":"2026-11-20T12:00:00Z","disks":[{"name":"root"}]}`, vm)
}

// A hook's report is committed before it is answered, joins the disk that is
// there, and may come twice. curl's default media type is taken.
func TestHookRecords(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	for range 2 {
		got := read[wire.Hooked](w, w.send(hook, "POST", "/v1/hooks/generic", genericBody("vm-1"), "Content-Type", "application/x-www-form-urlencoded"))
		if got.DryRun || len(got.Deletions) != 1 || got.Deletions[0].Cloud != "vac" || got.Deletions[0].ResourceID != "vm-1" {
			t.Errorf("%+v", got)
		}
		if disk := w.disk(d.ID); disk.Deletion == nil || disk.Deletion.ID != got.Deletions[0].ID {
			t.Errorf("the disk is not explained: %+v", disk.Deletion)
		}
	}
	w.silent()
}

// A dry run shows what would be recorded and records nothing; everybody may
// try.
func TestHookDryRun(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.dead(vms, "root")
	before := w.state()
	for _, secret := range []string{viewer, operator, admin, hook} {
		got := read[wire.Hooked](w, w.send(secret, "POST", "/v1/hooks/generic?dry_run=true", genericBody("vm-1")))
		if !got.DryRun || len(got.Deletions) != 1 {
			t.Errorf("%+v", got)
		}
	}
	if w.state() != before {
		t.Error("something was recorded")
	}
	// A misspelt dry_run must not record.
	for _, query := range []string{"dryrun=true", "dry-run=true", "dry_run=yes"} {
		w.refused(w.send(admin, "POST", "/v1/hooks/generic?"+query, genericBody("vm-1")), http.StatusBadRequest, wire.CodeInvalid, "ada")
	}
	// A viewer may do no more than try.
	detail := w.refused(w.send(viewer, "POST", "/v1/hooks/generic", genericBody("vm-1")), http.StatusForbidden, wire.CodeForbidden, "vera")
	if !strings.Contains(detail, "dry_run") {
		t.Errorf("%q does not say what a viewer may do", detail)
	}
	if w.state() != before {
		t.Error("something was recorded")
	}
}

// For which cloud a hook speaks: its token says it, and nothing else can; for
// people ?cloud= does, or that there is only one of the type.
func TestHookCloud(t *testing.T) {
	t.Parallel()
	var cloud string
	w := start(t, func(w *world) {
		note := func(c string, _ []byte) ([]quarantine.Deletion, error) {
			cloud = c
			return nil, nil
		}
		w.cfg.Hooks = map[string]api.Hook{
			"generic": {CloudType: "generic", Decode: note}, "opennebula": {CloudType: "opennebula", Decode: note}, "openstack": {CloudType: "openstack", Decode: note},
		}
	})
	for _, c := range []struct{ secret, path, want string }{
		{hook, "generic", "vac"},
		{hook, "generic?cloud=vac", "vac"},
		{operator, "generic", "vac"},
		{admin, "generic?cloud=vac", "vac"},
		{operator, "opennebula?cloud=nebula-2", "nebula-2"},
	} {
		cloud = ""
		got := read[wire.Hooked](w, w.send(c.secret, "POST", "/v1/hooks/"+c.path, "{}"))
		if cloud != c.want || got.Deletions == nil {
			t.Errorf("%s: cloud %q, want %q; %+v", c.path, cloud, c.want, got)
		}
	}
	for _, c := range []struct {
		secret, path string
		status       int
		code, part   string
	}{
		{hook, "generic?cloud=nebula", 403, wire.CodeForbidden, "speaks for cloud vac"},
		{hook, "opennebula", 400, wire.CodeInvalid, "type opennebula; vac is of type generic"},
		{operator, "opennebula", 400, wire.CodeInvalid, "nebula, nebula-2"},
		{operator, "generic?cloud=nebula", 400, wire.CodeInvalid, "type generic"},
		{operator, "generic?cloud=moon", 400, wire.CodeInvalid, "moon"},
		{operator, "openstack", 400, wire.CodeInvalid, "no cloud of type openstack"},
		{hook, "xen", 404, wire.CodeNotFound, "generic, opennebula, openstack"},
	} {
		cloud = ""
		detail := w.refused(w.send(c.secret, "POST", "/v1/hooks/"+c.path, "{}"), c.status, c.code, actors[c.secret])
		if !strings.Contains(detail, c.part) || cloud != "" {
			t.Errorf("%s: %q does not say %q, or it was decoded for %q", c.path, detail, c.part, cloud)
		}
	}
}

// A payload that cannot be read is the sender's fault, with the reason, and
// nothing of it is recorded.
func TestHookRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Hooks["opennebula"] = api.Hook{CloudType: "opennebula", Decode: func(cloud string, body []byte) ([]quarantine.Deletion, error) {
			switch string(body) {
			case "error":
				return nil, errors.New("an error of no kind")
			case "halves":
				return []quarantine.Deletion{{Cloud: cloud}}, nil
			}
			panic("a bug")
		}}
	})
	before := w.state()
	for _, c := range []struct{ path, body, part string }{
		{"generic", "", "body"},
		{"generic", "{", "invalid"},
		{"generic", `{"resource_id":"x"}`, "disks"},
		{"generic", `{"deletions":[` + genericBody("vm-1") + `,{"resource_id":"x"}]}`, "deletions[1]"},
		{"opennebula?cloud=nebula", "error", "of no kind"},
		{"opennebula?cloud=nebula", "halves", "has no id"},
		{"opennebula?cloud=nebula&dry_run=true", "halves", "has no id"},
	} {
		detail := w.refused(w.send(admin, "POST", "/v1/hooks/"+c.path, c.body), http.StatusBadRequest, wire.CodeInvalid, "ada")
		if !strings.Contains(detail, c.part) {
			t.Errorf("%s %s: %q does not say %q", c.path, c.body, detail, c.part)
		}
	}
	if a := w.send(admin, "POST", "/v1/hooks/opennebula?cloud=nebula", "panic"); a.status != http.StatusInternalServerError {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.logged(500, "ada", "panic")
	if w.state() != before {
		t.Error("something was recorded")
	}
}

// As long as the commit fails the hook is not answered with success: 503 and a
// time to wait, so that the sender comes back.
func TestHookIsAnsweredAfterTheCommit(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Recorder = recorder(func(context.Context, []quarantine.Deletion) error {
			return fmt.Errorf("catalog: %w: disk full", quarantine.ErrUnavailable)
		})
	})
	a := w.send(hook, "POST", "/v1/hooks/generic", genericBody("vm-1"))
	w.refused(a, http.StatusServiceUnavailable, wire.CodeUnavailable, "vac-hook")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
