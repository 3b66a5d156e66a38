package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Safety holds the margins of everything that removes.
type Safety struct {
	// Grace is how long a disk stays expiring before a pass may purge it.
	Grace time.Duration
	// MaxClockJump is how far the clock may be from where the last run saw it.
	// A larger step, in either direction, may be a wrong clock: no pass removes
	// anything until a person confirms it.
	MaxClockJump time.Duration
	// MaxDisks and MaxBytes bound what one pass purges.
	MaxDisks int
	MaxBytes int64
	// Workers is how many disks are purged at once.
	Workers int
	// DisksPerSecond bounds how fast they are purged, evenly; 0: as fast as Ceph
	// goes.
	DisksPerSecond float64
	// ObjectsPerSecond and BytesPerSecond bound how fast each pool's RADOS
	// objects, and the bytes in them, are removed; 0: no bound. A disk counts
	// for its size, or for what is allocated where that was measured.
	ObjectsPerSecond float64
	BytesPerSecond   int64
	// Windows are the times of day during which space is freed; none: always.
	// Disks whose time is over are marked at any time.
	Windows []Window
	// MaxLatency is how long Ceph's OSDs may take for a write before removals
	// slow down; 0: they never do.
	MaxLatency time.Duration
	// StopChecks are the Ceph health checks during which nothing is removed,
	// beside HEALTH_ERR, which always stops.
	StopChecks []string
}

// DefaultSafety is for production.
func DefaultSafety() Safety {
	return Safety{
		Grace:        24 * time.Hour,
		MaxClockJump: 24 * time.Hour,
		MaxDisks:     2000,
		MaxBytes:     20 << 40,
		Workers:      16,
		MaxLatency:   50 * time.Millisecond,
		StopChecks: []string{"PG_AVAILABILITY", "PG_DEGRADED", "PG_DAMAGED", "OBJECT_UNFOUND", "OBJECT_DEGRADED",
			"OSD_DOWN", "OSD_SCRUB_ERRORS", "MON_DOWN", "OSD_ORPHAN"},
	}
}

// clockMark is the name of the mark with the last time seen.
const clockMark = "clock"

// clockwatch compares the clock with the last run's, across restarts.
type clockwatch struct {
	marks Marks
	clock Clock
	max   time.Duration
}

type seenTime struct {
	Seen time.Time `json:"seen"`
}

// observe returns why the clock is not to be trusted, or nil, in which case it
// has noted the present time. A service that was down for longer than the
// margin looks the same as a clock that jumped, and needs the same word from a
// person: it is cheap, and the other way round would be irreparable.
func (w *clockwatch) observe(ctx context.Context) error {
	now := w.clock().UTC()
	b, err := w.marks.Mark(ctx, clockMark)
	switch {
	case errors.Is(err, ErrNotFound):
		return w.note(ctx, now)
	case err != nil:
		return fmt.Errorf("read the last time seen: %w", err)
	}
	var last seenTime
	if err := json.Unmarshal(b, &last); err != nil {
		return fmt.Errorf("read the last time seen: %w: %w", ErrInvalid, err)
	}
	if jump := now.Sub(last.Seen); jump.Abs() > w.max {
		dir := "ahead of"
		if jump < 0 {
			dir = "behind"
		}
		return refusedf("the clock says %s, %s %s the last run (%s): a wrong clock, or the service was down that long",
			now.Format(time.RFC3339), jump.Abs().Round(time.Second), dir, last.Seen.Format(time.RFC3339))
	}
	return w.note(ctx, now)
}

// note makes the present time the last one seen.
func (w *clockwatch) note(ctx context.Context, now time.Time) error {
	b, err := json.Marshal(seenTime{now})
	if err != nil {
		return fmt.Errorf("encode the time: %w", err)
	}
	if err := w.marks.SetMark(ctx, clockMark, b); err != nil {
		return fmt.Errorf("note the time: %w", err)
	}
	return nil
}

// healthy returns why nothing may be removed in the cluster, or nil.
func healthy(ctx context.Context, c Clusters, fsid string, stop []string) error {
	h, err := c.Health(ctx, fsid)
	if err != nil {
		return fmt.Errorf("ask cluster %s for its health: %w", fsid, err)
	}
	if h.Status != "HEALTH_OK" && h.Status != "HEALTH_WARN" {
		return refusedf("Ceph is in %s (%s)", h.Status, strings.Join(h.Checks, ", "))
	}
	for _, check := range h.Checks {
		if slices.Contains(stop, check) {
			return refusedf("Ceph reports %s", check)
		}
	}
	return nil
}

// allHealthy returns why nothing may be removed in any of the clusters, or nil.
func allHealthy(ctx context.Context, c Clusters, stop []string) error {
	for _, fsid := range clusterIDs(c) {
		if err := healthy(ctx, c, fsid, stop); err != nil {
			return err
		}
	}
	return nil
}

// clusterIDs returns the fsids of the clusters that have pools in our care.
func clusterIDs(c Clusters) []string {
	var ids []string
	for _, pool := range c.Pools() {
		if !slices.Contains(ids, pool.FSID) {
			ids = append(ids, pool.FSID)
		}
	}
	return ids
}
