package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Purge asks for a disk to be purged before its time. Another person must approve
// the request; where the daemon does not require that and the token is an admin's,
// it is done. quarantine.ErrRefused under a hold, ErrExists if it is asked for
// already.
func (c *Client) Purge(ctx context.Context, id string, r wire.ReasonRequest) (quarantine.Request, error) {
	return onDisk[quarantine.Request](ctx, c, id, "/purge", call{method: http.MethodPost, body: r, changes: true})
}

// Shorten asks for a disk to be kept until an earlier date, which another person
// must approve.
func (c *Client) Shorten(ctx context.Context, id string, r wire.ShortenRequest) (quarantine.Request, error) {
	return onDisk[quarantine.Request](ctx, c, id, "/shorten", call{method: http.MethodPost, body: r, changes: true})
}

// Requests returns the requests in the states, the newest first; those that are
// open or under way where there is no state.
func (c *Client) Requests(ctx context.Context, states []quarantine.RequestState, limit int) ([]quarantine.Request, error) {
	query := url.Values{}
	if len(states) > 0 {
		query.Set("state", strings.Trim(strings.ReplaceAll(fmt.Sprint(states), " ", ","), "[]"))
	}
	if limit > 0 {
		query.Set("limit", fmt.Sprint(limit))
	}
	return answer[[]quarantine.Request](ctx, c, call{method: http.MethodGet, path: "/v1/requests", query: query})
}

// Request returns one request. quarantine.ErrNotFound.
func (c *Client) Request(ctx context.Context, id string) (quarantine.Request, error) {
	return onRequest(ctx, c, id, "", call{method: http.MethodGet})
}

// Approve agrees to another person's request, which is done then.
// quarantine.ErrRefused for one's own, one that is not open any more, and one whose
// act cannot be done.
func (c *Client) Approve(ctx context.Context, id string, r wire.ReasonRequest) (quarantine.Request, error) {
	return onRequest(ctx, c, id, "/approve", call{method: http.MethodPost, body: r, changes: true, long: true})
}

// Deny ends a request with a no.
func (c *Client) Deny(ctx context.Context, id string, r wire.ReasonRequest) (quarantine.Request, error) {
	return onRequest(ctx, c, id, "/deny", call{method: http.MethodPost, body: r, changes: true})
}

// Withdraw ends one's own request.
func (c *Client) Withdraw(ctx context.Context, id string, r wire.ReasonRequest) (quarantine.Request, error) {
	return onRequest(ctx, c, id, "/withdraw", call{method: http.MethodPost, body: r, changes: true})
}

func onRequest(ctx context.Context, c *Client, id, act string, k call) (quarantine.Request, error) {
	return onPart[quarantine.Request](ctx, c, "/v1/requests/", id, act, k)
}
