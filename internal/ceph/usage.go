package ceph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

var _ quarantine.Gauge = (*Registry)(nil)

// Usage asks the monitors how full the pool is. Similar to: ceph df detail.
func (r *Registry) Usage(ctx context.Context, pool quarantine.PoolRef) (quarantine.PoolUsage, error) {
	c, err := r.cluster(pool.FSID)
	if err != nil {
		return quarantine.PoolUsage{}, err
	}
	out, err := c.monCommand(ctx, "df", "detail", "detail")
	if err != nil {
		return quarantine.PoolUsage{}, err
	}
	u, err := decodeUsage(out, pool.Pool)
	if err != nil {
		return u, fmt.Errorf("cluster %s: how full pool %s is: %w", c.name, pool.Pool, err)
	}
	return u, nil
}

// decodeUsage reads one pool's figures. Each has to be there: one that is missing
// would count as nothing.
func decodeUsage(df []byte, pool string) (quarantine.PoolUsage, error) {
	var all struct {
		Pools []struct {
			Name  string `json:"name"`
			Stats struct {
				Stored    *int64 `json:"stored"`     // what clients wrote
				StoredRaw *int64 `json:"stored_raw"` // the same in all copies
				BytesUsed *int64 `json:"bytes_used"` // what all copies take
				MaxAvail  *int64 `json:"max_avail"`
				Objects   *int64 `json:"objects"`
			} `json:"stats"`
		} `json:"pools"`
	}
	if err := json.Unmarshal(df, &all); err != nil || len(all.Pools) == 0 {
		return quarantine.PoolUsage{}, fmt.Errorf("the answer does not parse: %w", errors.Join(quarantine.ErrUnavailable, err))
	}
	for _, p := range all.Pools {
		if p.Name != pool {
			continue
		}
		s := p.Stats
		if s.Stored == nil || s.StoredRaw == nil || s.BytesUsed == nil || s.MaxAvail == nil || s.Objects == nil {
			return quarantine.PoolUsage{}, fmt.Errorf("the answer is not whole: %w", quarantine.ErrUnavailable)
		}
		u := quarantine.PoolUsage{FreeBytes: *s.MaxAvail, Objects: *s.Objects}
		if *s.StoredRaw > 0 {
			u.UsedBytes = int64(float64(*s.BytesUsed) * (float64(*s.Stored) / float64(*s.StoredRaw)))
		}
		return u, nil
	}
	return quarantine.PoolUsage{}, fmt.Errorf("the answer does not have it: %w", quarantine.ErrNotFound)
}
