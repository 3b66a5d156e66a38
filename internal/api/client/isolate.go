package client

import (
	"context"
	"errors"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Isolate copies a disk to the evidence pool, and returns the copy; in a dry run
// the disk itself, if it could be copied. progress may be nil. Errors are those
// of Restore.
func (c *Client) Isolate(ctx context.Context, id string, r wire.IsolateRequest, progress quarantine.Progress) (wire.Disk, error) {
	path, err := diskPath(id, "/isolate")
	if err != nil {
		return wire.Disk{}, err
	}
	k := call{method: http.MethodPost, path: path, body: r, accept: typeSteps, changes: !r.DryRun, long: true}
	last, err := c.steps(ctx, k, func(s wire.Step) {
		if progress != nil {
			progress(s.Done, s.Total)
		}
	})
	switch {
	case err != nil:
		return wire.Disk{}, err
	case last.Disk == nil:
		return wire.Disk{}, c.noAnswer(ctx, k, true, errors.New("the answer tells of no disk"))
	}
	return *last.Disk, nil
}
