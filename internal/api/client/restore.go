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

// steps sends a call, tells of each step of its answer as it comes, and returns
// the last one, or the error that it has.
func (c *Client) steps(ctx context.Context, k call, tell func(wire.Step)) (last wire.Step, err error) {
	err = lines(ctx, c, k, "the restore", func(s wire.Step) (bool, error) {
		if !s.Last() {
			tell(s)
			return false, nil
		}
		last = s
		if s.Error != nil {
			return true, s.Error
		}
		return true, nil
	})
	return last, err
}

// lines sends a call, and hands over each line of its answer as it comes, until
// take says that it was the last one, or fails. what is named in the error if none
// was.
func lines[T any](ctx context.Context, c *Client, k call, what string, take func(T) (last bool, err error)) error {
	return c.open(ctx, k, func(body io.Reader) error {
		dec := json.NewDecoder(body)
		for {
			var line T
			switch err := dec.Decode(&line); {
			case errors.Is(err, io.EOF):
				return c.noAnswer(ctx, k, true, fmt.Errorf("the answer ended before %s did", what))
			case err != nil:
				return c.noAnswer(ctx, k, true, fmt.Errorf("read the answer: %w", err))
			}
			if last, err := take(line); last || err != nil {
				return err
			}
		}
	})
}
