package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Cases returns all cases, the oldest first.
func (c *Client) Cases(ctx context.Context) ([]quarantine.Case, error) {
	return answer[[]quarantine.Case](ctx, c, call{method: http.MethodGet, path: "/v1/cases"})
}

// Case returns a case with what it holds. quarantine.ErrNotFound.
func (c *Client) Case(ctx context.Context, id string) (quarantine.CaseView, error) {
	return onPart[quarantine.CaseView](ctx, c, "/v1/cases/", id, "", call{method: http.MethodGet})
}

// OpenCase opens a case. quarantine.ErrExists.
func (c *Client) OpenCase(ctx context.Context, r wire.OpenCaseRequest) (quarantine.Case, error) {
	return answer[quarantine.Case](ctx, c, call{method: http.MethodPost, path: "/v1/cases", body: r, changes: true})
}

// EditCase replaces what stands in a case. quarantine.ErrNotFound.
func (c *Client) EditCase(ctx context.Context, id string, r wire.CaseRequest) (quarantine.Case, error) {
	return onPart[quarantine.Case](ctx, c, "/v1/cases/", id, "", call{method: http.MethodPut, body: r, changes: true})
}

// CloseCase closes a case, and lifts its holds if the request says so.
// quarantine.ErrRefused while it has some.
func (c *Client) CloseCase(ctx context.Context, id string, r wire.CloseCaseRequest) (quarantine.Case, error) {
	return onPart[quarantine.Case](ctx, c, "/v1/cases/", id, "/close", call{method: http.MethodPost, body: r, changes: true, long: true})
}

// StandingHolds returns all standing holds, the oldest first, released ones too.
func (c *Client) StandingHolds(ctx context.Context) ([]quarantine.StandingHold, error) {
	return answer[[]quarantine.StandingHold](ctx, c, call{method: http.MethodGet, path: "/v1/standing"})
}

// PlaceStanding holds all that will be deleted and that the request selects.
func (c *Client) PlaceStanding(ctx context.Context, r wire.StandingRequest) (quarantine.StandingHold, error) {
	return answer[quarantine.StandingHold](ctx, c, call{method: http.MethodPost, path: "/v1/standing", body: r, changes: true})
}

// ReleaseStanding ends a standing hold. What it has held stays held.
// quarantine.ErrNotFound.
func (c *Client) ReleaseStanding(ctx context.Context, id string, r wire.ReasonRequest) (quarantine.StandingHold, error) {
	return onPart[quarantine.StandingHold](ctx, c, "/v1/standing/", id, "/release", call{method: http.MethodPost, body: r, changes: true})
}

// onPart is a call about one thing of a collection.
func onPart[T any](ctx context.Context, c *Client, collection, id, act string, k call) (T, error) {
	if id == "" {
		var none T
		return none, fmt.Errorf("the id is %w: it is empty", quarantine.ErrInvalid)
	}
	k.path = collection + url.PathEscape(id) + act
	return answer[T](ctx, c, k)
}
