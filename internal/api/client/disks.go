package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Disk returns a disk with its custody entries, by its id or the beginning of
// it. quarantine.ErrNotFound if there is none, ErrInvalid if several begin so.
func (c *Client) Disk(ctx context.Context, id string) (wire.DiskDetail, error) {
	return onDisk[wire.DiskDetail](ctx, c, id, "", call{method: http.MethodGet})
}

// Explain returns what the policy decided about a disk, and would today.
func (c *Client) Explain(ctx context.Context, id string) (wire.Explanation, error) {
	return onDisk[wire.Explanation](ctx, c, id, "/explain", call{method: http.MethodGet})
}

// Hold places a legal hold. quarantine.ErrRefused if the disk is being purged
// or has left quarantine.
func (c *Client) Hold(ctx context.Context, id string, r wire.HoldRequest) (wire.Disk, error) {
	return c.act(ctx, id, "/hold", r)
}

// Release lifts the hold of a case. quarantine.ErrNotFound if none is open.
func (c *Client) Release(ctx context.Context, id string, r wire.HoldRequest) (wire.Disk, error) {
	return c.act(ctx, id, "/release", r)
}

// Extend moves retain-until to a later date. quarantine.ErrRefused if it is an
// earlier one.
func (c *Client) Extend(ctx context.Context, id string, r wire.ExtendRequest) (wire.Disk, error) {
	return c.act(ctx, id, "/extend", r)
}

func (c *Client) act(ctx context.Context, id, act string, body any) (wire.Disk, error) {
	return onDisk[wire.Disk](ctx, c, id, act, call{method: http.MethodPost, body: body, changes: true})
}

func onDisk[T any](ctx context.Context, c *Client, id, act string, k call) (T, error) {
	path, err := diskPath(id, act)
	if err != nil {
		var none T
		return none, err
	}
	k.path = path
	return answer[T](ctx, c, k)
}

func diskPath(id, act string) (string, error) {
	if id == "" {
		return "", fmt.Errorf("the disk's id is %w: it is empty", quarantine.ErrInvalid)
	}
	return "/v1/disks/" + url.PathEscape(id) + act, nil
}
