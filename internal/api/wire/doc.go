// Package wire is the language of the HTTP API: the JSON bodies that the
// server (internal/api) writes and the client (internal/api/client) reads, and
// the way errors travel. Field names are snake_case and stable; times are UTC
// in RFC 3339, sizes are bytes.
package wire
