package fakeceph

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// Ceph is the fake: all clusters and all pools. It has every method of the
// domain's Ceph interfaces but those that remove; Remover has these.
type Ceph struct {
	clock  quarantine.Clock
	faults faults

	mu     sync.Mutex
	pools  []quarantine.Pool
	guards map[quarantine.PoolRef]quarantine.GuardSetting // by the pool outside any namespace
	images map[quarantine.Key]*image
	// cut are names that clients took which died before there was an image, with
	// the ids that no image has.
	cut      map[quarantine.PoolRef]map[string]string
	second   map[quarantine.PoolRef]map[string]quarantine.Key // by names of no image
	health   map[string]quarantine.Health
	capacity map[quarantine.PoolRef]int64 // by the pool outside any namespace
	loads    map[string]quarantine.Load
	nextID   int
	removals []Removal
	lastSnap uint64 // the last snapshot's id; in no two pools the same
	// removed are the snapshots that are gone, one in each epoch: the first made
	// the second epoch.
	removed []quarantine.SealRef
	// forgotten is the last epoch that the monitors do not know any more.
	forgotten uint64
}

// Removal is the end of one image by the Remover.
type Removal struct {
	Key quarantine.Key
	At  time.Time
}

var (
	_ quarantine.Trash    = (*Ceph)(nil)
	_ quarantine.Images   = (*Ceph)(nil)
	_ quarantine.Cloner   = (*Ceph)(nil)
	_ quarantine.Reader   = (*Ceph)(nil)
	_ quarantine.Guard    = (*Ceph)(nil)
	_ quarantine.Clusters = (*Ceph)(nil)

	_ quarantine.Snapshotter = (*Ceph)(nil)
	_ quarantine.Looker      = (*Ceph)(nil)
)

// New makes a fake with these pools. The guard of those that are Guarded is
// on.
func New(clock quarantine.Clock, pools ...quarantine.Pool) *Ceph {
	c := &Ceph{
		clock: clock, guards: map[quarantine.PoolRef]quarantine.GuardSetting{},
		images: map[quarantine.Key]*image{}, cut: map[quarantine.PoolRef]map[string]string{}, second: map[quarantine.PoolRef]map[string]quarantine.Key{}, health: map[string]quarantine.Health{}, capacity: map[quarantine.PoolRef]int64{},
		loads: map[string]quarantine.Load{},
	}
	for _, p := range pools {
		c.AddPool(p)
	}
	return c
}

// AddPool adds a pool; its guard is on if it is Guarded.
func (c *Ceph) AddPool(p quarantine.Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = append(c.pools, p)
	if p.Guarded {
		c.guards[whole(p.PoolRef)] = quarantine.GuardSetting{On: true, Expire: p.Protect}
	}
}

// Pools returns the configured pools.
func (c *Ceph) Pools() []quarantine.Pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pools)
}

// SetHealth sets what Health answers; a cluster is HEALTH_OK until then.
func (c *Ceph) SetHealth(fsid string, h quarantine.Health) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.health[fsid] = h
}

// Health answers what SetHealth said. ErrUnavailable if no pool is of that
// cluster.
func (c *Ceph) Health(ctx context.Context, fsid string) (quarantine.Health, error) {
	return call(ctx, c, Call{Verb: "Health", Pool: quarantine.PoolRef{FSID: fsid}}, func() (quarantine.Health, error) {
		if h, ok := c.health[fsid]; ok {
			return h, nil
		}
		return quarantine.Health{Status: "HEALTH_OK"}, nil
	})
}

// SetLoad sets what Load answers; a cluster has nothing to do until then.
func (c *Ceph) SetLoad(fsid string, l quarantine.Load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads[fsid] = l
}

// Load answers what SetLoad said. ErrUnavailable if no pool is of that cluster.
func (c *Ceph) Load(ctx context.Context, fsid string) (quarantine.Load, error) {
	return call(ctx, c, Call{Verb: "Load", Pool: quarantine.PoolRef{FSID: fsid}}, func() (quarantine.Load, error) {
		l := c.loads[fsid]
		if l.Of == "" {
			l.Of = "writes of the OSDs"
		}
		return l, nil
	})
}

// Removals returns what the Remover removed so far, in order.
func (c *Ceph) Removals() []Removal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.removals)
}

// known returns an error unless the pool exists. The caller holds c.mu.
func (c *Ceph) known(p quarantine.PoolRef) error {
	if slices.ContainsFunc(c.pools, func(q quarantine.Pool) bool { return q.PoolRef == p }) {
		return nil
	}
	return fmt.Errorf("pool %s: %w", p, quarantine.ErrNotFound)
}

// cluster returns ErrUnavailable unless a pool is of that cluster.
func (c *Ceph) cluster(fsid string) error {
	if slices.ContainsFunc(c.pools, func(p quarantine.Pool) bool { return p.FSID == fsid }) {
		return nil
	}
	return fmt.Errorf("cluster %q: %w", fsid, quarantine.ErrUnavailable)
}

// whole is the pool outside any namespace, where the guard's settings are.
func whole(p quarantine.PoolRef) quarantine.PoolRef {
	p.Namespace = ""
	return p
}

// taken reports whether no image can be made of that name: one has it, or a client
// that died has taken it. The caller holds c.mu.
func (c *Ceph) taken(p quarantine.PoolRef, name string) bool {
	_, cut := c.cut[p][name]
	_, second := c.second[p][name]
	return cut || second || c.live(p, name) != nil
}

// live returns the live image of that name, or nil. The caller holds c.mu.
func (c *Ceph) live(p quarantine.PoolRef, name string) *image {
	for _, img := range c.images {
		if img.trash == nil && img.name == name && img.key.PoolRef() == p {
			return img
		}
	}
	return nil
}
