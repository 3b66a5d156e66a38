package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Patterns are the patterns that were registered with the mux.
func (s *Server) Patterns() []string { return s.router.patterns }

// OpenAPI is the description as huma keeps it.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.api.OpenAPI() }

// SetBodyTimeout makes bodies arrive sooner.
func (s *Server) SetBodyTimeout(d time.Duration) { s.bodyTimeout = d }
