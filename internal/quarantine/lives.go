package quarantine

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// lives finds the Deletions that ended earlier lives of disks. A disk that was
// given back and died again is in the catalog as it died last; what it died of
// before, and under what name, is in the custody log. It is read when it is
// asked for first, because nearly always nobody asks.
type lives struct {
	ledger *Ledger
	pools  []Pool
	// ended are the lives by the id of the Deletion, nil until they were read;
	// since is how far back.
	ended map[string][]endedLife
	since time.Time
}

type endedLife struct {
	pool PoolRef
	name string
}

// endedBy reports whether the Deletion destroyed, as the reference says, a disk
// that was in quarantine, given back since, and has died again.
func (l *lives) endedBy(ctx context.Context, del *Deletion, ref DiskRef) (bool, error) {
	if since := del.FirstSign().Add(-ClockSkew); l.ended == nil || since.Before(l.since) {
		if err := l.load(ctx, since); err != nil {
			return false, err
		}
	}
	return slices.ContainsFunc(l.ended[del.ID], func(e endedLife) bool { return ref.Matches(e.pool, e.name) }), nil
}

// load reads the disks that died last at that time or later: what ended an
// earlier life of theirs was before.
func (l *lives) load(ctx context.Context, since time.Time) error {
	ended := map[string][]endedLife{}
	for _, pool := range l.pools {
		err := eachDisk(ctx, l.ledger.disks, DiskFilter{Pool: &pool.PoolRef, DeletedFrom: since}, func(d *Disk) error {
			if d.AliveSince.IsZero() {
				return nil
			}
			for _, life := range l.ledger.history(ctx, d.ID).lives {
				ended[life.deletion] = append(ended[life.deletion], endedLife{pool.PoolRef, life.name})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("find the disks of %s that were given back once: %w", pool.PoolRef, err)
		}
	}
	l.ended, l.since = ended, since
	return nil
}
