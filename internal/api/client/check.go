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

// Check compares the daemon's books with Ceph, and tells of each finding as it
// comes; an error of found ends it. progress may be nil. An error means that not
// everything was looked at.
func (c *Client) Check(ctx context.Context, found func(quarantine.CheckFinding) error, progress quarantine.Progress) (res quarantine.CheckResult, err error) {
	k := call{method: http.MethodGet, path: "/v1/doctor/deep", accept: typeSteps, long: true}
	err = c.open(ctx, k, func(body io.Reader) error {
		lines := json.NewDecoder(body)
		for {
			var l wire.CheckLine
			err := lines.Decode(&l)
			switch {
			case errors.Is(err, io.EOF):
				return c.noAnswer(ctx, k, true, errors.New("the answer ended before the check did"))
			case err != nil:
				return c.noAnswer(ctx, k, true, fmt.Errorf("read the answer: %w", err))
			case l.Error != nil:
				return l.Error
			case l.Result != nil:
				res = *l.Result
				return nil
			case l.Finding != nil:
				if err := found(*l.Finding); err != nil {
					return err
				}
			case progress != nil:
				progress(l.Done, l.Total)
			}
		}
	})
	return res, err
}
