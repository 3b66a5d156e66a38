package quarantine

import (
	"context"
	"time"
)

// Watch looks at the setting of every guarded pool again and again until ctx
// ends, and checks a guard as soon as it has changed: what is deleted while a
// guard is off is gone, so that nobody may learn of it at the next run only. It
// is one small read for each pool. Librbd tells nobody when a pool's settings
// change, so there is nothing to wait for.
//
// It does not switch a guard on again: who switched it off may have had a reason,
// and is to be found.
func (g *GuardKeeper) Watch(ctx context.Context, every time.Duration) error {
	seen := map[PoolRef]GuardSetting{}
	unread := map[PoolRef]bool{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select { // first: a start has enough to do
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, pool := range g.clusters.Pools() {
			if pool.Guarded {
				g.glance(ctx, pool, seen, unread)
			}
		}
	}
}

// glance looks at one pool. What cannot be read is told once, and is no change.
func (g *GuardKeeper) glance(ctx context.Context, pool Pool, seen map[PoolRef]GuardSetting, unread map[PoolRef]bool) {
	setting, err := g.guard.ReadGuard(ctx, pool.PoolRef)
	known, ok := seen[pool.PoolRef]
	if err == nil && ok && setting == known {
		unread[pool.PoolRef] = false
		return
	}
	if err == nil {
		_, err = g.Check(ctx, pool, false)
	}
	if err == nil {
		seen[pool.PoolRef] = setting
	}
	if failed := err != nil && ctx.Err() == nil; failed != unread[pool.PoolRef] {
		unread[pool.PoolRef] = failed
		if failed {
			g.ledger.log.Error("the guard of a pool cannot be watched", "pool", pool.PoolRef.String(), "error", err)
		}
	}
}

// tell says in the log and in the custody log that a guard went, or came back.
// Of a pool that was never looked at before, it tells what is wrong.
func (g *GuardKeeper) tell(ctx context.Context, before, now GuardStatus) {
	e := Entry{Actor: "guard", Outcome: OutcomeDone, Reason: now.Fault, Detail: map[string]string{
		"pool": now.Pool.PoolRef.String(), "fsid": now.Pool.FSID, "checked_before": before.CheckedAt.Format(time.RFC3339),
	}}
	switch {
	case before.Fault == "" && now.Fault != "":
		e.Act = "guard-lost"
		g.ledger.log.Error("the guard of a pool does not hold", "pool", now.Pool.PoolRef.String(), "fault", now.Fault, "hint", now.Hint)
	case before.Fault != "" && now.Fault == "":
		e.Act, e.Reason = "guard-found", "it holds again: before, "+before.Fault
		g.ledger.log.Info("the guard of a pool holds again", "pool", now.Pool.PoolRef.String())
	default:
		return
	}
	g.ledger.note(ctx, Disk{}, e)
}
