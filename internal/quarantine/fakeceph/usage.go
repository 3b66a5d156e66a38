package fakeceph

import (
	"context"
	"fmt"
	"slices"

	"quarantine/internal/quarantine"
)

var _ quarantine.Gauge = (*Ceph)(nil)

// defaultCapacity is what a pool holds until SetCapacity.
const defaultCapacity = 1 << 40

// SetCapacity sets what the pool holds when it is full, with all its namespaces.
func (c *Ceph) SetCapacity(pool quarantine.PoolRef, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.capacity[whole(pool)] = bytes
}

// Usage counts the blocks of all images, and of their snapshots where the image has
// none there by now. Unlike Ceph's, its figures are
// never old.
func (c *Ceph) Usage(ctx context.Context, pool quarantine.PoolRef) (quarantine.PoolUsage, error) {
	return call(ctx, c, Call{Verb: "Usage", Pool: pool}, func() (quarantine.PoolUsage, error) {
		if !slices.ContainsFunc(c.pools, func(p quarantine.Pool) bool { return whole(p.PoolRef) == whole(pool) }) {
			return quarantine.PoolUsage{}, fmt.Errorf("pool %s: %w", pool.Pool, quarantine.ErrNotFound)
		}
		var u quarantine.PoolUsage
		for _, img := range c.images {
			if whole(img.key.PoolRef()) != whole(pool) {
				continue
			}
			u.Objects += int64(len(img.content.blocks))
			for _, s := range img.snaps {
				for n := range s.blocks {
					if _, ok := img.content.blocks[n]; !ok {
						u.Objects++
					}
				}
			}
		}
		u.UsedBytes = u.Objects * BlockSize
		u.Objects = (u.UsedBytes + 4<<20 - 1) / (4 << 20)
		full, ok := c.capacity[whole(pool)]
		if !ok {
			full = defaultCapacity
		}
		u.FreeBytes = max(0, full-u.UsedBytes)
		return u, nil
	})
}
