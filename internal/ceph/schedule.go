package ceph

import (
	"context"
	"errors"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// scheduleObject is where the manager's module rbd_support keeps a pool's
// schedules in an omap (trash_purge_schedule.py). A schedule for all pools is an
// option of the module, which this service's key cannot read.
const scheduleObject = "rbd_trash_purge_schedule"

// maxSchedules bounds what is read of them.
const maxSchedules = 100

// PurgeSchedules returns the schedules by which Ceph itself purges the trash of
// the pool, as the manager writes them (JSON); none is usual. Similar to: rbd
// trash purge schedule ls --pool POOL.
func (r *Registry) PurgeSchedules(ctx context.Context, pool quarantine.PoolRef) ([]string, error) {
	c, io, err := r.pool(ctx, whole(pool))
	if err != nil {
		return nil, err
	}
	return get(ctx, c, "read the trash purge schedules of "+pool.String(), func() ([]string, error) {
		var found []string
		err := io.ListOmapValues(scheduleObject, "", "", maxSchedules, func(_ string, value []byte) {
			found = append(found, string(value))
		})
		if errors.Is(err, rados.ErrNotFound) {
			return nil, nil
		}
		return found, err
	}, nil)
}
