package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Restore gives a disk back as a clone or in place, and tells progress (which may be nil) how far a
// flatten is. An error after the first progress is a *wire.Problem like any
// other. If the answer ends before the restore's end, the error wraps
// ErrUnreachable and ErrUncertain.
func (c *Client) Restore(ctx context.Context, id string, r wire.RestoreRequest, progress quarantine.Progress) (wire.Disk, error) {
	path, err := diskPath(id, "/restore")
	if err != nil {
		return wire.Disk{}, err
	}
	k := call{method: http.MethodPost, path: path, body: r, accept: typeSteps, changes: true, long: true}
	var disk wire.Disk
	err = c.open(ctx, k, func(body io.Reader) error {
		steps := json.NewDecoder(body)
		for {
			var s wire.Step
			err := steps.Decode(&s)
			switch {
			case errors.Is(err, io.EOF):
				return c.noAnswer(ctx, k, true, errors.New("the answer ended before the restore did"))
			case err != nil:
				return c.noAnswer(ctx, k, true, fmt.Errorf("read the answer: %w", err))
			case s.Error != nil:
				return s.Error
			case s.Disk != nil:
				disk = *s.Disk
				return nil
			case progress != nil:
				progress(s.Done, s.Total)
			}
		}
	})
	return disk, err
}
