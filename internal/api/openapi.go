package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
)

// bearer is the name of the security scheme.
const bearer = "bearer"

// openapi is the description of the API, made once.
type openapi struct{ json, yaml []byte }

func (s *Server) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Quarantine for the disks of deleted VMs", Version: "1",
				Description: "Times are UTC in RFC 3339, sizes are bytes. Errors are problems (RFC 9457) with a code that programs branch on.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{bearer: {Type: "http", Scheme: "bearer"}},
			},
		},
		// "json" is what huma makes of application/problem+json.
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		// A misspelt filter would list everything, a misspelt dry_run record.
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{s.transform},
	}
}

// schemaOf is the schema of a type, as a reference.
func schemaOf[T any](s *Server) *huma.Schema {
	t := reflect.TypeFor[T]()
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

func binary() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "binary"} }

func oneOrAll(one *huma.Schema) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one}}}
}

// answers documents a media type of an operation's answer.
func (s *Server) answers(op huma.Operation, mediaType string, schema *huma.Schema) huma.Operation {
	ok := op.Responses["200"]
	if ok == nil {
		ok = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{}}
		op.Responses["200"] = ok
	}
	ok.Content[mediaType] = &huma.MediaType{Schema: schema}
	return op
}

// describe writes the description down, when all routes are registered.
func (s *Server) describe() error {
	doc := s.api.OpenAPI()
	schemas := doc.Components.Schemas.Map()
	// huma's own form of errors, which transform never lets out.
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	// Durations are written as people write them (quarantine.FormatDuration).
	for schema, property := range map[string]string{"Decision": "retain", "GuardSetting": "expire", "Pool": "protect"} {
		if sc := schemas[schema]; sc != nil && sc.Properties[property] != nil {
			sc.Properties[property] = &huma.Schema{Type: huma.TypeString, Description: "a duration such as 14d or 1d12h"}
		}
	}
	var err error
	if s.openapi.json, err = json.Marshal(doc); err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	if s.openapi.yaml, err = doc.YAML(); err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	return nil
}

func (s *Server) serveOpenAPIJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(s.openapi.json)
}

func (s *Server) serveOpenAPIYAML(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+yaml")
	_, _ = w.Write(s.openapi.yaml)
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons" doc:"why the service cannot do its work just now"`
}

// liveness is the answer of /healthz.
type liveness struct {
	Status string `json:"status"`
}

var _ huma.StatusError = (*wire.Problem)(nil)
