package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// GuardKeeper sets the guard of pools and verifies again and again that it
// holds: by the pool's settings, and by a canary that is removed through the
// ordinary path and must be found in the trash, because librbd fails open when
// it cannot read the settings.
type GuardKeeper struct {
	ledger   *Ledger
	guard    Guard
	clusters Clusters
	marks    Marks
	// Checked is told of every status; for metrics. It may be nil.
	Checked func(GuardStatus)
}

// NewGuardKeeper makes the service.
func NewGuardKeeper(l *Ledger, g Guard, c Clusters, m Marks) *GuardKeeper {
	return &GuardKeeper{ledger: l, guard: g, clusters: c, marks: m}
}

// Run checks the guard of every guarded pool, canary included.
func (g *GuardKeeper) Run(ctx context.Context, actor string, o JobOptions) Report {
	rep := Report{Job: JobGuard, DryRun: o.DryRun, Actor: actor, StartedAt: g.ledger.clock().UTC(), Items: []ReportItem{}}
	for _, pool := range g.clusters.Pools() {
		if !pool.Guarded {
			continue
		}
		it := ReportItem{Pool: pool.PoolRef.String(), Act: "guard"}
		st, err := g.Check(ctx, pool, !o.DryRun)
		switch {
		case err != nil:
			it.Error = err.Error()
		case st.Fault != "":
			it.Error, it.Reason = st.Fault, st.Hint
			g.ledger.log.Error("the guard of a pool does not hold at this run", "pool", pool.PoolRef.String(), "fault", st.Fault, "hint", st.Hint)
		default:
			it.Reason = "holds"
		}
		rep.Items = append(rep.Items, it)
	}
	rep.EndedAt = g.ledger.clock().UTC()
	return rep
}

// Check reads the pool's settings, lets the canary go if asked, and keeps the
// status.
func (g *GuardKeeper) Check(ctx context.Context, pool Pool, canary bool) (GuardStatus, error) {
	prev, err := g.Status(ctx, pool)
	if err != nil {
		return GuardStatus{}, err
	}
	st, err := g.look(ctx, pool, prev, canary)
	if err != nil {
		return st, err
	}
	g.tell(ctx, prev, st)
	return st, g.keep(ctx, st)
}

// look finds the status; prev is the last one.
func (g *GuardKeeper) look(ctx context.Context, pool Pool, prev GuardStatus, canary bool) (st GuardStatus, err error) {
	st = GuardStatus{Pool: pool, CheckedAt: g.ledger.clock().UTC(), CanaryAt: prev.CanaryAt, CanaryFault: prev.CanaryFault}
	st.Setting, err = g.guard.ReadGuard(ctx, pool.PoolRef)
	if err != nil {
		return st, fmt.Errorf("read the guard of %s: %w", pool.PoolRef, err)
	}
	if canary {
		if err := g.letCanaryGo(ctx, &st); err != nil {
			return st, err
		}
	}
	switch {
	case !st.Setting.On:
		st.Fault = "rbd_move_to_trash_on_remove is not set on the pool: deleted disks are gone at once"
	case st.Setting.Expire < pool.Protect:
		st.Fault = fmt.Sprintf("rbd_move_to_trash_on_remove_expire_seconds is %s, less than the %s of the configuration", FormatDuration(st.Setting.Expire), FormatDuration(pool.Protect))
	default:
		st.Fault = st.CanaryFault
	}
	if st.Fault != "" {
		st.Hint = "quarantinectl ceph guard on " + pool.PoolRef.String()
	}
	if g.Checked != nil {
		g.Checked(st)
	}
	return st, nil
}

// letCanaryGo removes the canary as a cloud would and notes what came of it.
func (g *GuardKeeper) letCanaryGo(ctx context.Context, st *GuardStatus) error {
	entry, err := g.guard.Canary(ctx, st.Pool.PoolRef)
	switch {
	case errors.Is(err, ErrNotFound):
		st.CanaryFault = "the canary was removed and is not in the trash: the guard does not work although its option is set"
	case err != nil:
		return fmt.Errorf("canary of %s: %w", st.Pool.PoolRef, err)
	case entry.ProtectedUntil.Before(g.ledger.clock().Add(st.Pool.Protect / 2)):
		st.CanaryFault = "the canary came into the trash with too short a protection: " + entry.ProtectedUntil.UTC().Format(time.RFC3339)
		st.CanaryAt = st.CheckedAt
	default:
		st.CanaryFault, st.CanaryAt = "", st.CheckedAt
	}
	return nil
}

// Status returns the last known status of the pool's guard; its CheckedAt is
// zero if there was no check yet.
func (g *GuardKeeper) Status(ctx context.Context, pool Pool) (GuardStatus, error) {
	b, err := g.marks.Mark(ctx, guardMark(pool))
	if errors.Is(err, ErrNotFound) {
		return GuardStatus{Pool: pool}, nil
	}
	if err != nil {
		return GuardStatus{}, fmt.Errorf("read the last guard check of %s: %w", pool.PoolRef, err)
	}
	var st GuardStatus
	if err := json.Unmarshal(b, &st); err != nil {
		return GuardStatus{}, fmt.Errorf("read the last guard check of %s: %w: %w", pool.PoolRef, ErrInvalid, err)
	}
	st.Pool = pool
	return st, nil
}

func (g *GuardKeeper) keep(ctx context.Context, st GuardStatus) error {
	b, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the guard status of %s: %w", st.Pool.PoolRef, err)
	}
	if err := g.marks.SetMark(ctx, guardMark(st.Pool), b); err != nil {
		return fmt.Errorf("keep the guard status of %s: %w", st.Pool.PoolRef, err)
	}
	return nil
}

func guardMark(p Pool) string { return "guard/" + p.FSID + "/" + p.PoolRef.String() }

// Set switches the guard of a pool on or off, at a person's request, and
// checks it. The custody log says who; that the guard is lost by it, it need not
// say again.
func (g *GuardKeeper) Set(ctx context.Context, actor string, pool Pool, on bool, reason string) (GuardStatus, error) {
	e := Entry{Act: "guard-off", Actor: actor, Reason: reason, Detail: map[string]string{"pool": pool.PoolRef.String(), "fsid": pool.FSID}}
	setting := GuardSetting{}
	if on {
		e.Act = "guard-on"
		setting = GuardSetting{On: true, Expire: pool.Protect}
	}
	err := g.ledger.witnessed(ctx, Disk{}, e, func() error {
		return g.guard.WriteGuard(ctx, pool.PoolRef, setting)
	})
	if err != nil {
		return GuardStatus{Pool: pool}, fmt.Errorf("%s of %s: %w", e.Act, pool.PoolRef, err)
	}
	prev, err := g.Status(ctx, pool)
	if err != nil {
		return GuardStatus{Pool: pool}, err
	}
	st, err := g.look(ctx, pool, prev, on)
	if err != nil {
		return st, err
	}
	return st, g.keep(ctx, st)
}

// FindPool resolves a pool's name as people write it: "pool", "pool/namespace"
// or "cluster:pool". ErrNotFound if there is none, ErrInvalid if several match.
func FindPool(c Clusters, name string) (Pool, error) {
	var found []Pool
	for _, p := range c.Pools() {
		if name == p.PoolRef.String() || name == p.Cluster+":"+p.PoolRef.String() {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return Pool{}, fmt.Errorf("pool %q is not in the configuration: %w", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Pool{}, invalidf("pool %q is in several clusters; write cluster:pool", name)
}
