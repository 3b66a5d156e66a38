package quarantine

import "context"

// Gauge tells how full pools are.
type Gauge interface {
	// Usage asks how full the pool is, with all its namespaces; those of the
	// reference have no part in it. Ceph's own figures are some seconds old.
	// ErrNotFound if there is no such pool. Similar to: ceph df detail.
	Usage(ctx context.Context, pool PoolRef) (PoolUsage, error)
}

// PoolUsage is how full a pool is, in bytes as its clients count them: one copy,
// however many Ceph keeps.
type PoolUsage struct {
	// UsedBytes is what is taken (bytes_used of `ceph df`, by the number of
	// copies): with what allocation wastes, and without what compression saves.
	UsedBytes int64 `json:"used_bytes"`
	// FreeBytes is what can be written until the fullest of the pool's OSDs is full
	// (max_avail of `ceph df`). Pools on the same OSDs share it.
	FreeBytes int64 `json:"free_bytes"`
	// Objects is how many RADOS objects there are.
	Objects int64 `json:"objects"`
}

// CapacityBytes is what the pool holds when it is full.
func (u PoolUsage) CapacityBytes() int64 { return u.UsedBytes + u.FreeBytes }

// Fill is how full it is, from 0 to 1: %USED of `ceph df`.
func (u PoolUsage) Fill() float64 {
	if u.CapacityBytes() <= 0 {
		return 0
	}
	return float64(u.UsedBytes) / float64(u.CapacityBytes())
}
