package client

import (
	"context"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Check compares the daemon's books with Ceph, and tells of each finding as it
// comes; an error of found ends it. progress may be nil. An error means that not
// everything was looked at.
func (c *Client) Check(ctx context.Context, found func(quarantine.CheckFinding) error, progress quarantine.Progress) (res quarantine.CheckResult, err error) {
	k := call{method: http.MethodGet, path: "/v1/doctor/deep", accept: typeSteps, long: true}
	err = lines(ctx, c, k, "the check", func(l wire.CheckLine) (bool, error) {
		switch {
		case l.Error != nil:
			return true, l.Error
		case l.Result != nil:
			res = *l.Result
			return true, nil
		case l.Finding != nil:
			return false, found(*l.Finding)
		case progress != nil:
			progress(l.Done, l.Total)
		}
		return false, nil
	})
	return res, err
}
