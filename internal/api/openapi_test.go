package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// description is what the test reads of the OpenAPI document.
type description struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Security    []map[string][]string
		Parameters  []struct{ Name, In string }
		Responses   map[string]struct {
			Content map[string]any
		}
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any
	}
}

// The description lists exactly the routes that the mux has, says which need a
// token and how errors look, and refers to nothing that it does not hold.
func TestDescriptionListsEveryRoute(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.send("", "GET", "/openapi.json", "")
	var doc description
	if err := json.Unmarshal(a.body, &doc); err != nil || a.header.Get("Content-Type") != "application/openapi+json" || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("%v %v %s", err, a.header, doc.OpenAPI)
	}
	var listed []string
	ids := map[string]bool{}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			route := strings.ToUpper(method) + " " + path
			listed = append(listed, route)
			if op.Summary == "" || op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s: id %q, summary %q", route, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			if len(op.Responses["200"].Content) == 0 {
				t.Errorf("%s: no answer is described", route)
			}
			if !strings.HasPrefix(path, "/v1/") {
				if len(op.Security) > 0 {
					t.Errorf("%s needs no token", route)
				}
				continue
			}
			if len(op.Security) != 1 {
				t.Errorf("%s: security %v", route, op.Security)
			}
			if op.Responses["default"].Content["application/problem+json"] == nil {
				t.Errorf("%s: problems are not described", route)
			}
			if strings.Contains(path, "{") && len(op.Parameters) == 0 {
				t.Errorf("%s: the path's parameter is not described", route)
			}
		}
	}
	patterns := slices.Clone(w.server.Patterns())
	slices.Sort(patterns)
	slices.Sort(listed)
	if !slices.Equal(patterns, listed) {
		t.Errorf("listed %q\nthe mux has %q", listed, patterns)
	}
	for ref := range references(a.body) {
		if doc.Components.Schemas[ref] == nil {
			t.Errorf("%s is referred to and not there", ref)
		}
	}
	if doc.Components.Schemas["Problem"] == nil || doc.Components.Schemas["ErrorModel"] != nil || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Errorf("schemas %v", slices.Sorted(maps.Keys(doc.Components.Schemas)))
	}
	yaml := w.send("", "GET", "/openapi.yaml", "")
	for path := range doc.Paths {
		if !strings.Contains(string(yaml.body), path+":") {
			t.Errorf("%s is not in the YAML", path)
		}
	}
}

func references(doc []byte) map[string]bool {
	const prefix = `"#/components/schemas/`
	found := map[string]bool{}
	for _, part := range strings.Split(string(doc), prefix)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		found[name] = true
	}
	return found
}

// The answers are as the description says: each JSON answer is checked against
// the schema of its route.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root", []byte("x"))
	w.dead(one, "one-5")
	w.reported("web", "root", nil)
	doc := w.server.OpenAPI()
	checked := 0
	for _, r := range append(routesOf(d), route{"GET", "/v1/guard?pool=vms", "", ""}, route{"GET", "/readyz", "", ""}, route{"GET", "/healthz", "", ""}) {
		a := w.send(admin, r.method, r.path, r.body)
		route := w.requests.take()[0].route
		method, path, _ := strings.Cut(route, " ")
		item := doc.Paths[path]
		op := map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put}[method]
		media := op.Responses["200"].Content["application/json"]
		if a.status != http.StatusOK {
			media = op.Responses["default"].Content[a.header.Get("Content-Type")]
		} else if a.header.Get("Content-Type") != "application/json" {
			if op.Responses["200"].Content[a.header.Get("Content-Type")] == nil {
				t.Errorf("%s answers with %s, which is not described", route, a.header.Get("Content-Type"))
			}
			continue
		}
		if media == nil {
			t.Errorf("%s: the answer %d is not described", route, a.status)
			continue
		}
		var v any
		if err := json.Unmarshal(a.body, &v); err != nil {
			t.Errorf("%s: %v", route, err)
			continue
		}
		var res huma.ValidateResult
		huma.Validate(doc.Components.Schemas, media.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &res)
		if len(res.Errors) > 0 {
			t.Errorf("%s: %v in %s", route, res.Errors, a.body)
		}
		checked++
	}
	if checked < 15 {
		t.Errorf("only %d answers were checked", checked)
	}
}
