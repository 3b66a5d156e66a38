package api_test

import (
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// route is a request that succeeds if the token may make it.
type route struct {
	method, path, body string
	need               api.Role
}

// routesOf are all routes with a token. Each pattern of the mux must be among
// them, which TestEveryRoleOnEveryRoute checks.
func routesOf(d quarantine.Disk) []route {
	disk := "/v1/disks/" + d.ID
	reason := `{"reason":"because"}`
	caseReason := `{"case_id":"C-1","reason":"because"}`
	return []route{
		{"GET", "/v1/disks", "", api.RoleViewer},
		{"GET", disk, "", api.RoleViewer},
		{"GET", disk + "/explain", "", api.RoleViewer},
		{"POST", disk + "/hold", caseReason, api.RoleOperator},
		{"POST", disk + "/release", caseReason, api.RoleAdmin},
		{"POST", disk + "/extend", `{"until":"2027-11-20T12:00:00Z","reason":"because"}`, api.RoleOperator},
		{"POST", disk + "/export", reason, api.RoleOperator},
		{"POST", disk + "/restore", `{"name":"again","reason":"because"}`, api.RoleOperator},
		{"POST", disk + "/isolate", `{"reason":"because","dry_run":true}`, api.RoleOperator},
		{"POST", "/v1/restore", `{"vm":"vm-9","as":"volume","reason":"because"}`, api.RoleOperator},
		{"POST", "/v1/restores/0123456789abcdef/cancel", "", api.RoleOperator},
		{"POST", disk + "/purge", reason, api.RoleOperator},
		{"POST", disk + "/shorten", `{"until":"2026-11-22T12:00:00Z","reason":"because"}`, api.RoleOperator},
		{"GET", "/v1/cases", "", api.RoleViewer},
		{"POST", "/v1/cases", `{"id":"C-2","title":"a theft"}`, api.RoleOperator},
		{"GET", "/v1/cases/C-2", "", api.RoleViewer},
		{"PUT", "/v1/cases/C-2", `{"title":"two thefts"}`, api.RoleOperator},
		{"POST", "/v1/cases/C-2/close", reason, api.RoleAdmin},
		{"GET", "/v1/standing", "", api.RoleViewer},
		{"POST", "/v1/standing", `{"case_id":"C-1","kind":"user","value":"mallory","reason":"because"}`, api.RoleOperator},
		{"POST", "/v1/standing/0123456789abcdef/release", reason, api.RoleAdmin},
		{"GET", "/v1/requests", "", api.RoleViewer},
		{"GET", "/v1/requests/0123456789abcdef", "", api.RoleViewer},
		{"POST", "/v1/requests/0123456789abcdef/approve", reason, api.RoleAdmin},
		{"POST", "/v1/requests/0123456789abcdef/deny", reason, api.RoleAdmin},
		{"POST", "/v1/requests/0123456789abcdef/withdraw", reason, api.RoleOperator},
		{"GET", "/v1/guard", "", api.RoleViewer},
		{"PUT", "/v1/guard?pool=vms", `{"on":true,"reason":"because"}`, api.RoleAdmin},
		{"POST", "/v1/jobs/collect", `{}`, api.RoleOperator},
		{"GET", "/v1/status", "", api.RoleViewer},
		{"GET", "/v1/coverage", "", api.RoleViewer},
		{"POST", "/v1/collect/pause", reason, api.RoleOperator},
		{"POST", "/v1/collect/resume", reason, api.RoleAdmin},
		{"POST", "/v1/policy/simulate", `{"policies":[{"name":"p.yaml","text":"default: {retain: 1d}"}]}`, api.RoleOperator},
		{"POST", "/v1/policy/apply", `{"reason":"because"}`, api.RoleAdmin},
		{"GET", "/v1/policy/explain?resource=alive", "", api.RoleViewer},
		{"POST", "/v1/policy/explain", `{"resource_name":"web"}`, api.RoleViewer},
		{"GET", "/v1/policy/locks", "", api.RoleViewer},
		{"POST", "/v1/policy/unlock", `{"rule":"default","reason":"because"}`, api.RoleAdmin},
		{"POST", "/v1/policy/relock", `{"rule":"default","reason":"because"}`, api.RoleOperator},
		{"GET", "/v1/parents", "", api.RoleViewer},
		{"GET", "/v1/capacity", "", api.RoleViewer},
		{"GET", "/v1/doctor", "", api.RoleViewer},
		{"GET", "/v1/doctor/deep", "", api.RoleViewer},
		{"POST", "/v1/catalog/rebuild", "", api.RoleAdmin},
		{"POST", "/v1/custody/verify", "", api.RoleViewer},
		{"POST", "/v1/hooks/generic", genericBody("vm-9"), api.RoleHook},
		{"POST", "/v1/drivers/vac/remove", "root", api.RoleHook},
	}
}

// may is what the documentation of api.Role says, written down a second time.
func may(role, need api.Role) bool {
	switch role {
	case api.RoleAdmin:
		return true
	case api.RoleOperator:
		return need != api.RoleAdmin
	case api.RoleViewer:
		return need == api.RoleViewer
	}
	return need == api.RoleHook
}

// Every role gets in where the documentation says so and nowhere else; who is
// kept out is told which role it takes, is logged once, and changes nothing.
func TestEveryRoleOnEveryRoute(t *testing.T) {
	t.Parallel()
	tokens := map[api.Role]string{api.RoleViewer: viewer, api.RoleOperator: operator, api.RoleAdmin: admin, api.RoleHook: hook}
	for role, secret := range tokens {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			d := w.dead(vms, "root")
			for _, r := range routesOf(d) {
				before := w.state()
				a := w.send(secret, r.method, r.path, r.body)
				if may(role, r.need) {
					// Some acts cannot follow upon another; what counts is that
					// the role was not what refused them.
					if a.status != http.StatusOK && a.status != http.StatusNotFound && a.status != http.StatusConflict {
						t.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
					}
					w.log.take()
					continue
				}
				detail := w.refused(a, http.StatusForbidden, wire.CodeForbidden, actors[secret])
				if !strings.Contains(detail, "role") || !strings.Contains(detail, actors[secret]) {
					t.Errorf("%s %s: %q does not say what is needed", r.method, r.path, detail)
				}
				if after := w.state(); after != before {
					t.Errorf("%s %s changed something:\n%s\nwas\n%s", r.method, r.path, after, before)
				}
			}
		})
	}
}

// The table above has every route but those that need no token, and those
// really need none.
func TestEveryRouteHasItsRole(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	tested := map[string]bool{}
	for _, r := range routesOf(d) {
		w.send(admin, r.method, r.path, r.body)
		tested[w.requests.take()[0].route] = true
	}
	public := map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true, "GET /openapi.json": true, "GET /openapi.yaml": true}
	for _, pattern := range w.server.Patterns() {
		if tested[pattern] == public[pattern] {
			t.Errorf("%s: with a role %t, public %t", pattern, tested[pattern], public[pattern])
		}
		if path, ok := strings.CutPrefix(pattern, "GET "); ok && public[pattern] {
			w.log.take()
			if a := w.send("", "GET", path, ""); a.status != http.StatusOK || len(a.body) == 0 {
				t.Errorf("%s: %d %s", pattern, a.status, a.body)
			}
			w.silent()
		}
	}
	if len(tested)+len(public) != len(w.server.Patterns()) {
		t.Errorf("%d routes with a role and %d without are not %d", len(tested), len(public), len(w.server.Patterns()))
	}
}

// Without a token that is known here every route answers 401 and says how to
// send one; nothing is changed, and the log has one line without the token.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	before := w.state()
	for name, header := range map[string]string{
		"none":          "",
		"unknown":       "Bearer secret-of-nobody",
		"empty":         "Bearer ",
		"cut short":     "Bearer " + admin[:len(admin)-1],
		"other scheme":  "Basic " + admin,
		"no scheme":     admin,
		"digest itself": "Bearer 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
	} {
		for _, r := range routesOf(d) {
			var headers []string
			if header != "" {
				headers = []string{"Authorization", header}
			}
			a := w.send("", r.method, r.path, r.body, headers...)
			w.refused(a, http.StatusUnauthorized, wire.CodeUnauthorized, "")
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
				t.Errorf("%s: WWW-Authenticate %q", name, got)
			}
		}
	}
	if w.state() != before {
		t.Error("something was changed")
	}
	// The scheme's case does not matter.
	if a := w.send("", "GET", "/v1/status", "", "Authorization", "bearer  "+viewer); a.status != http.StatusOK {
		t.Errorf("bearer in lower case: %d", a.status)
	}
}

// A server is not made without each of its parts, nor with a token that can
// never work or that hides who acts.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	sum := w.cfg.Tokens[0].SHA256
	other := sum
	other[0]++
	cases := map[string]func(c *api.Config){
		"Clock":        func(c *api.Config) { c.Clock = nil },
		"Log":          func(c *api.Config) { c.Log = nil },
		"MaxBody":      func(c *api.Config) { c.MaxBody = 0 },
		"Clusters":     func(c *api.Config) { c.Clusters = nil },
		"Disks":        func(c *api.Config) { c.Disks = nil },
		"Custody":      func(c *api.Config) { c.Custody = nil },
		"Recorder":     func(c *api.Config) { c.Recorder = nil },
		"Holds":        func(c *api.Config) { c.Holds = nil },
		"Restorer":     func(c *api.Config) { c.Restorer = nil },
		"Exporter":     func(c *api.Config) { c.Exporter = nil },
		"Cases":        func(c *api.Config) { c.Cases = nil },
		"CaseViews":    func(c *api.Config) { c.CaseViews = nil },
		"Standing":     func(c *api.Config) { c.Standing = nil },
		"Approvals":    func(c *api.Config) { c.Approvals = nil },
		"Requests":     func(c *api.Config) { c.Requests = nil },
		"Guards":       func(c *api.Config) { c.Guards = nil },
		"Jobs":         func(c *api.Config) { c.Jobs = nil },
		"Doctor":       func(c *api.Config) { c.Doctor = nil },
		"Policy":       func(c *api.Config) { c.Policy = nil },
		"Rebuild":      func(c *api.Config) { c.Rebuild = nil },
		"Status":       func(c *api.Config) { c.Status = nil },
		"Ready":        func(c *api.Config) { c.Ready = nil },
		"Metrics":      func(c *api.Config) { c.Metrics = nil },
		"Requested":    func(c *api.Config) { c.Requested = nil },
		"hook generic": func(c *api.Config) { c.Hooks = map[string]api.Hook{"generic": {CloudType: "generic"}} },
		"no name":      func(c *api.Config) { c.Tokens = []api.Token{{Role: api.RoleAdmin, SHA256: sum}} },
		"same name": func(c *api.Config) {
			c.Tokens = []api.Token{{Name: "a", Role: api.RoleAdmin, SHA256: sum}, {Name: "a", Role: api.RoleViewer, SHA256: other}}
		},
		"same secret": func(c *api.Config) {
			c.Tokens = []api.Token{{Name: "a", Role: api.RoleAdmin, SHA256: sum}, {Name: "b", Role: api.RoleViewer, SHA256: sum}}
		},
		"no digest": func(c *api.Config) { c.Tokens = []api.Token{{Name: "a", Role: api.RoleAdmin}} },
		`"root"`:    func(c *api.Config) { c.Tokens = []api.Token{{Name: "a", Role: "root", SHA256: sum}} },
		`"moon" is not configured`: func(c *api.Config) {
			c.Tokens = []api.Token{{Name: "a", Role: api.RoleHook, Cloud: "moon", SHA256: sum}}
		},
	}
	for want, change := range cases {
		c := w.cfg
		change(&c)
		_, err := api.New(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of %s", err, want)
		}
	}
}
