package quarantine

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Watermarks say when a pool has too little room. Above a high one disks go before
// their time, down to the low one. A pair of zeros is not looked at.
type Watermarks struct {
	// High and Low are the pool's fill, from 0 to 1 (PoolUsage.Fill).
	High float64 `json:"high,omitempty"`
	Low  float64 `json:"low,omitempty"`
	// QuarantineHigh and QuarantineLow are bytes, as measured, of the disks in
	// quarantine in the pool.
	QuarantineHigh int64 `json:"quarantine_high,omitempty"`
	QuarantineLow  int64 `json:"quarantine_low,omitempty"`
}

// CapacityConfig says which pools are kept from filling up, and how.
type CapacityConfig struct {
	// Pools have watermarks, by the pool outside any namespace. In a pool that is
	// not here nothing goes before its time.
	Pools map[PoolRef]Watermarks
	// MinAge is how long every disk stays, from its death and from its capture,
	// whatever its policy says.
	MinAge time.Duration
	// Grace is how long what is due waits until it is free, for the forecast.
	Grace time.Duration
}

// DefaultMinAge is the default of CapacityConfig.MinAge.
const DefaultMinAge = 24 * time.Hour

// Capacity looks at how full pools are. It changes nothing.
type Capacity struct {
	gauge    Gauge
	shares   Shares
	promises Promises
	marks    Marks
	clusters Clusters
	cfg      CapacityConfig

	mu sync.Mutex
	// freed is when a disk of the pool was purged last.
	freed map[PoolRef]time.Time
}

// CapacityCatalog is what the service needs of the catalog.
type CapacityCatalog interface {
	Shares
	Promises
	Marks
}

// NewCapacity makes the service.
func NewCapacity(gauge Gauge, catalog CapacityCatalog, clusters Clusters, cfg CapacityConfig) *Capacity {
	return &Capacity{gauge: gauge, shares: catalog, promises: catalog, marks: catalog, clusters: clusters, cfg: cfg, freed: map[PoolRef]time.Time{}}
}

// statsLag is how long Ceph's figures of a pool may still show what was removed.
// What was purged in a pass that was killed is not remembered; then a pass within
// this time may mark too many, and the next takes them back.
const statsLag = 2 * time.Minute

// sameFree: what is free for two pools is the same if it differs by one part in so
// many at most.
const sameFree = 200

// objectBytes is the size of RBD's objects, unless an image was made with another.
const objectBytes = 4 << 20

// PoolState is how full a pool is, with all its namespaces.
type PoolState struct {
	FSID       string     `json:"fsid"`
	Pool       string     `json:"pool"`
	Watermarks Watermarks `json:"watermarks"`
	// Usage is nil where it could not be read.
	Usage *PoolUsage `json:"usage,omitempty"`
	// Staying is what the disks in quarantine take, as measured, and Going what
	// those take that are on their way out.
	Staying int64 `json:"staying_bytes"`
	Going   int64 `json:"going_bytes"`
	// Beside is what is on its way out of other pools on the same OSDs.
	Beside int64 `json:"beside_bytes,omitempty"`
	// Of Staying: see Share.
	Evictable  int64 `json:"evictable_bytes"`
	Held       int64 `json:"held_bytes"`
	Compliance int64 `json:"compliance_bytes"`
	Young      int64 `json:"young_bytes"`
	Unmeasured int64 `json:"unmeasured_bytes"`
	Projects   int   `json:"projects"`
	// Need is what has to go before its time, and Why which watermark says so. Short
	// is what of it may not, because it is protected, or nobody's who has more than
	// the fair share.
	Need  int64  `json:"need_bytes"`
	Short int64  `json:"short_bytes"`
	Why   string `json:"why,omitempty"`
	// Fault is why the figures cannot be trusted: nothing is evicted meanwhile.
	Fault string `json:"fault,omitempty"`
	// Forecast is nil where it was not asked for, or the usage is not known.
	Forecast *Forecast `json:"forecast,omitempty"`

	shares []Share
	query  ShareQuery
	// surplus is what could stay of what was evicted.
	surplus int64
}

// Ref is the pool, outside any namespace.
func (s *PoolState) Ref() PoolRef { return PoolRef{FSID: s.FSID, Pool: s.Pool} }

// Pools returns the pools in the service's care, each once, without namespaces.
func (c *Capacity) Pools() []PoolRef {
	var out []PoolRef
	seen := map[PoolRef]bool{}
	for _, p := range c.clusters.Pools() {
		ref := p.PoolRef
		ref.Namespace = ""
		if !seen[ref] {
			seen[ref] = true
			out = append(out, ref)
		}
	}
	return out
}

// States looks at all pools.
func (c *Capacity) States(ctx context.Context, now time.Time) ([]PoolState, error) {
	states, err := c.looks(ctx, now)
	if err != nil {
		return nil, err
	}
	for i := range states {
		c.judge(states, i, now)
	}
	return states, nil
}

// looks reads how full each pool is.
func (c *Capacity) looks(ctx context.Context, now time.Time) ([]PoolState, error) {
	states := []PoolState{}
	for _, p := range c.Pools() {
		st, err := c.look(ctx, p, now)
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	return states, nil
}

// judge works out what has to go from one of the pools.
func (c *Capacity) judge(states []PoolState, i int, now time.Time) {
	st := &states[i]
	st.Beside = beside(states, i)
	c.weigh(st, now)
	if st.Need <= 0 {
		return
	}
	level := fairLevel(st.Need, st.shares)
	st.Short = st.Need
	for _, s := range st.shares {
		st.Short -= min(s.Evictable, max(0, s.Staying()-level))
	}
	st.Short = max(0, st.Short)
}

// beside is what is on its way out of the pools that share this one's OSDs: it will
// be free for this one, too. Without it, each of several pools on the same OSDs would
// evict what is missing on them, and together they would evict it several times over.
//
// That they share them shows in what Ceph says is free: it works that out by the rule
// that places a pool's data, and divides by the number of copies, so that it is the
// same, but for what was written between two questions. Pools on the same OSDs with
// another number of copies are not known by it, and each counts for itself. Others
// that have the same by chance evict less at first, and the rest when these are done.
func beside(states []PoolState, i int) int64 {
	var bytes int64
	st := &states[i]
	for j := range states {
		other := &states[j]
		if j == i || other.FSID != st.FSID || other.Fault != "" || st.Usage == nil || other.Usage == nil {
			continue
		}
		if a, b := st.Usage.FreeBytes, other.Usage.FreeBytes; max(a, b)-min(a, b) <= max(a, b)/sameFree {
			bytes += other.Going
		}
	}
	return bytes
}

// look reads how full the pool is. The error is the catalog's; of Ceph's figures it
// says Fault.
func (c *Capacity) look(ctx context.Context, pool PoolRef, now time.Time) (PoolState, error) {
	st := PoolState{FSID: pool.FSID, Pool: pool.Pool, Watermarks: c.cfg.Pools[pool], query: ShareQuery{FSID: pool.FSID, Pool: pool.Pool, Now: now, Born: now.Add(-c.cfg.MinAge)}}
	u, err := c.gauge.Usage(ctx, pool)
	if err == nil {
		st.Usage = &u
	} else if ctx.Err() != nil {
		return st, err
	}
	// After Ceph was asked: what came since then is not in its figures, and then
	// rather too much is on its way out than too little.
	shares, serr := c.shares.PoolShares(ctx, st.query)
	if serr != nil {
		return st, fmt.Errorf("sum up what is in quarantine in %s: %w", pool, serr)
	}
	st.shares, st.Projects = shares, len(shares)
	for _, s := range shares {
		st.Staying += s.Staying()
		st.Going += s.Going
		st.Evictable += s.Evictable
		st.Held += s.Held
		st.Compliance += s.Compliance
		st.Young += s.Young
		st.Unmeasured += s.Unmeasured
	}
	if err != nil {
		st.Fault = "how full it is cannot be read: " + err.Error()
	} else if all := st.Staying + st.Going; all > max(u.UsedBytes, u.Objects*objectBytes) {
		// Whole objects are measured, which may be nearly empty.
		st.Fault = fmt.Sprintf("%s were measured in quarantine there, and Ceph says that only %s are used, in %d objects: is the data in another pool?", FormatBytes(all), FormatBytes(u.UsedBytes), u.Objects)
	}
	return st, nil
}

// weigh compares the figures with the watermarks. The fill is looked at without
// what is on its way out: what goes already need not go twice.
func (c *Capacity) weigh(st *PoolState, now time.Time) {
	w := st.Watermarks
	st.surplus = math.MaxInt64
	if w.QuarantineHigh > 0 {
		st.surplus = w.QuarantineLow - st.Staying
		if st.Staying > w.QuarantineHigh {
			st.Need = st.Staying - w.QuarantineLow
			st.Why = fmt.Sprintf("%s are in quarantine in pool %s, above %s: they go down to %s", FormatBytes(st.Staying), st.Pool, FormatBytes(w.QuarantineHigh), FormatBytes(w.QuarantineLow))
		}
	}
	if w.High <= 0 {
		return
	}
	if st.Fault != "" || c.lately(st.Ref(), now) {
		st.surplus = min(st.surplus, 0)
		return
	}
	full := float64(st.Usage.CapacityBytes() + st.Beside)
	left := st.Usage.UsedBytes - st.Going
	low, high := int64(w.Low*full), int64(w.High*full)
	st.surplus = min(st.surplus, low-left)
	if need := left - low; left > high && need > st.Need {
		st.Need, st.query.Fill = need, true
		st.Why = fmt.Sprintf("pool %s is %.1f %% full without what is on its way out, above %.1f %%: it goes down to %.1f %%", st.Pool, 100*float64(left)/full, 100*w.High, 100*w.Low)
	}
}

// lately reports whether a disk of the pool was purged so short a time ago that
// Ceph's figures may not show it.
func (c *Capacity) lately(pool PoolRef, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.freed[pool]
	return ok && now.Sub(at).Abs() < statsLag
}

// purged notes that a disk of the pool was purged.
func (c *Capacity) purged(pool PoolRef, now time.Time) {
	pool.Namespace = ""
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freed[pool] = now
}

// FormatBytes is the number of bytes as people write it, in IEC units.
func FormatBytes(n int64) string {
	if n < 1<<10 && n > -1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n), -1
	for ; math.Abs(v) >= 1<<10 && i < 5; i++ {
		v /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[i])
}
