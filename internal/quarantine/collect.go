package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Collector is the only service that removes. It works in passes; each first
// convinces itself that it may remove at all (preflight), then
//
//  1. goes on with purges that a crash cut short,
//  2. purges disks that an earlier pass marked and whose grace is over,
//  3. marks disks whose time is over (expire), for a later pass,
//  4. takes the old seals off disks that were restored in place.
//
// The purge of a disk, and why in this order:
//
//	a. The row is read again under the disk's lock and must still say: expiring,
//	   no open hold, time over (or an early purge was asked for), marked at
//	   least Grace ago. Nothing that was read earlier in the pass decides.
//	b. Ceph is asked for what depends on the image: clones of its snapshots,
//	   clients that have it open. Any stops the purge.
//	c. The custody entry is durable. If it cannot be written nothing happens:
//	   nothing is ever purged unseen.
//	d. The row becomes purging. Were the image removed first, a crash would
//	   leave a row that promises a disk which is gone.
//	e. The snapshots are removed: those that the cloud had left on the image,
//	   whose time is over with the disk's and with which Ceph would never let it
//	   go, and last the seal. From here a crash leaves an unsealed image that
//	   is still in the trash under its full protection; a lost catalog finds
//	   the record on it, seals it again and lets it expire again.
//	f. The entry is opened: out under the reserved name, into the trash with no
//	   protection. A crash between the two leaves a live image under the
//	   reserved name, which this service, and nobody else, knows.
//	g. The entry is removed without force, so that Ceph's own refusals
//	   (snapshots, watchers, clones that came up since b) still stand.
//	h. The row becomes purged and stays as a tombstone. Were it written before
//	   g, a failed removal would leave space that nobody accounts for.
//
// When Ceph refuses at e to g the disk is protected and sealed again and the
// row goes back to expiring.
type Collector struct {
	ledger   *Ledger
	trash    Trash
	images   Images
	remover  Remover
	clusters Clusters
	policy   Policy
	clock    clockwatch
	safety   Safety
}

// NewCollector makes the Collector. It is the only constructor that takes a
// Remover.
func NewCollector(l *Ledger, trash Trash, remover Remover, clusters Clusters, policy Policy, marks Marks, s Safety) *Collector {
	return &Collector{
		ledger: l, trash: trash, images: l.images, remover: remover, clusters: clusters, policy: policy,
		clock: clockwatch{marks: marks, clock: l.clock, max: s.MaxClockJump}, safety: s,
	}
}

// JobOptions are the options of one run of a job.
type JobOptions struct {
	// DryRun plans and removes nothing.
	DryRun bool
	// ConfirmClock is a person's word that the clock is right.
	ConfirmClock bool
}

// ConfirmClock takes a person's word that the clock is right, after a jump.
func (c *Collector) ConfirmClock(ctx context.Context, actor string) error {
	return c.ledger.witnessed(ctx, Disk{}, Entry{Act: "confirm-clock", Actor: actor}, func() error {
		return c.clock.note(ctx, c.ledger.clock().UTC())
	})
}

// ClockTrusted returns why the clock is not to be trusted, or nil, in which
// case the present time is noted. Every cron job calls it, so that the time
// last seen is never older than the shortest schedule.
func (c *Collector) ClockTrusted(ctx context.Context) error { return c.clock.observe(ctx) }

// Run performs one pass. What it would do, with DryRun, is what it does.
func (c *Collector) Run(ctx context.Context, actor string, o JobOptions) Report {
	now := c.ledger.clock().UTC()
	rep := Report{Job: JobCollect, DryRun: o.DryRun, Actor: actor, StartedAt: now, Items: []ReportItem{}}
	finish := func(err error) Report {
		if err != nil {
			rep.Stopped = err.Error()
		}
		rep.EndedAt = c.ledger.clock().UTC()
		return rep
	}
	if o.ConfirmClock && !o.DryRun {
		if err := c.ConfirmClock(ctx, actor); err != nil {
			return finish(err)
		}
	}
	present, err := c.preflight(ctx)
	if err != nil {
		return finish(err)
	}
	for _, phase := range []func(context.Context, *Report, map[Key]bool, time.Time) error{c.resume, c.purgeDue, c.expireDue, c.unsealRestored} {
		if err := ctx.Err(); err != nil {
			return finish(err)
		}
		if err := phase(ctx, &rep, present, now); err != nil {
			return finish(err)
		}
	}
	return finish(nil)
}

// preflight returns all entries of all pools' trash, or why this pass removes
// nothing: a policy that cannot be read, a clock that jumped, a cluster that is
// not well, a listing that is not complete, or an empty one where disks should
// be.
func (c *Collector) preflight(ctx context.Context) (map[Key]bool, error) {
	if err := c.policy.Ready(); err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	if err := c.clock.observe(ctx); err != nil {
		return nil, err
	}
	present := map[Key]bool{}
	for _, fsid := range clusterIDs(c.clusters) {
		if err := healthy(ctx, c.clusters, fsid, c.safety.StopChecks); err != nil {
			return nil, err
		}
	}
	for _, pool := range c.clusters.Pools() {
		entries, err := c.trash.ListTrash(ctx, pool.PoolRef)
		if err != nil {
			return nil, fmt.Errorf("list the trash of %s: %w", pool.PoolRef, err)
		}
		for _, e := range entries {
			present[e.Key] = true
		}
		if len(entries) == 0 {
			ref := pool.PoolRef
			kept, err := c.ledger.disks.FindDisks(ctx, DiskFilter{Pool: &ref, States: []State{Quarantined, Expiring}, Limit: 1})
			if err != nil {
				return nil, fmt.Errorf("read the catalog: %w", err)
			}
			if len(kept) > 0 {
				return nil, refusedf("the trash of %s is empty, but the catalog has disks there", ref)
			}
		}
	}
	return present, nil
}

// due reports whether the disk's time is over.
func due(d *Disk, now time.Time) bool {
	return !d.Held() && (d.EarlyBy != "" || !d.RetainUntil.IsZero() && !d.RetainUntil.After(now))
}

func (c *Collector) expireDue(ctx context.Context, rep *Report, present map[Key]bool, now time.Time) error {
	if c.safety.MaxDisks <= 0 {
		return nil
	}
	no := false
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Quarantined}, RetainBefore: now, Held: &no, Sort: "retain_until", Limit: 5 * c.safety.MaxDisks})
	if err != nil {
		return fmt.Errorf("find the disks whose time is over: %w", err)
	}
	return c.parallel(ctx, rep, disks, func(d Disk) ReportItem {
		if !due(&d, now) {
			return ReportItem{}
		}
		item := c.item(d, "expire", "kept until "+d.RetainUntil.UTC().Format(time.RFC3339))
		if !present[d.Key] {
			item.Error = "not in the trash: left to the reconciler"
		} else if !rep.DryRun {
			if _, err := c.expire(ctx, d.ID, rep.Actor, item.Reason); err != nil {
				item.Error = err.Error()
			}
		}
		return item
	})
}

// expire marks one disk, if its time is still over.
func (c *Collector) expire(ctx context.Context, id, actor, reason string) (Disk, error) {
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return d, err
	}
	now := c.ledger.clock().UTC()
	if d.State != Quarantined || !due(&d, now) {
		return d, refusedf("disk %s is %s and not due", id, d.State)
	}
	return c.markExpiring(ctx, d, actor, reason, "")
}

func (c *Collector) markExpiring(ctx context.Context, d Disk, actor, reason, earlyBy string) (Disk, error) {
	var saved Disk
	err := c.ledger.witnessed(ctx, d, Entry{Act: "expire", Actor: actor, Reason: reason}, func() (err error) {
		saved, err = c.ledger.move(ctx, d, Expiring, Entry{Actor: actor, Reason: reason}, func(n *Disk) {
			n.ExpiringAt = c.ledger.clock().UTC().Truncate(time.Second)
			n.EarlyBy = earlyBy
			n.RecordStale = true
		})
		return err
	})
	if err != nil {
		return d, err
	}
	return c.ledger.softSync(ctx, saved), nil
}

// ExpireEarly marks a disk for purge before its time, at a person's request.
// It frees nothing: a later pass does, after the grace, unless a hold or an
// extension comes first. ErrRefused under a hold.
func (c *Collector) ExpireEarly(ctx context.Context, actor, id, reason string) (Disk, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return Disk{}, err
	}
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return d, err
	}
	e := Entry{Act: "expire", Actor: actor, Reason: reason}
	switch {
	case d.Held():
		return d, c.ledger.refuse(ctx, d, e, refusedf("disk %s is under the hold of case %s", id, d.OpenHolds()[0].CaseID))
	case d.State == Expiring:
		return d, nil
	case d.State == Pending || d.State == Restoring || d.State == Purging:
		return d, fmt.Errorf("disk %s is %s: %w", id, d.State, ErrBusy)
	case d.State != Quarantined:
		return d, c.ledger.refuse(ctx, d, e, refusedf("disk %s is %s", id, d.State))
	}
	return c.markExpiring(ctx, d, actor, reason, actor)
}

func (c *Collector) purgeDue(ctx context.Context, rep *Report, present map[Key]bool, now time.Time) error {
	if c.safety.MaxDisks <= 0 || c.safety.MaxBytes <= 0 {
		return nil // to the catalog a limit of nothing would mean no limit
	}
	no := false
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Expiring}, ExpiringBefore: now.Add(-c.safety.Grace), Held: &no, Sort: "retain_until", Limit: c.safety.MaxDisks})
	if err != nil {
		return fmt.Errorf("find the disks to purge: %w", err)
	}
	var budget int64
	var todo []Disk
	for _, d := range disks {
		if budget += max(d.UsedBytes, d.SizeBytes); budget > c.safety.MaxBytes && len(todo) > 0 {
			break
		}
		todo = append(todo, d)
	}
	for chunk := range slices.Chunk(todo, purgeChunk) {
		if err := c.purgeSome(ctx, rep, chunk, present); err != nil {
			return err
		}
		// A pass can take hours; what preflight saw may be over.
		for _, fsid := range clusterIDs(c.clusters) {
			if err := healthy(ctx, c.clusters, fsid, c.safety.StopChecks); err != nil {
				return err
			}
		}
	}
	return nil
}

// purgeChunk is how many disks are purged between two looks at Ceph's health.
const purgeChunk = 256

func (c *Collector) purgeSome(ctx context.Context, rep *Report, disks []Disk, present map[Key]bool) error {
	return c.parallel(ctx, rep, disks, func(d Disk) ReportItem {
		item := c.item(d, "purge", "expiring since "+d.ExpiringAt.UTC().Format(time.RFC3339))
		if !present[d.Key] {
			item.Error = "not in the trash: left to the reconciler"
			return item
		}
		if rep.DryRun {
			return item
		}
		if err := c.purge(ctx, d, rep.Actor, item.Reason); err != nil {
			item.Error = err.Error()
		}
		return item
	})
}

// resume goes on with purges that a crash cut short. Their custody entry is
// written and their row says purging; they do not have to be in the trash any
// more.
func (c *Collector) resume(ctx context.Context, rep *Report, _ map[Key]bool, _ time.Time) error {
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Purging}})
	if err != nil {
		return fmt.Errorf("find the purges to go on with: %w", err)
	}
	return c.parallel(ctx, rep, disks, func(d Disk) ReportItem {
		item := c.item(d, "finish", "its purge was cut short")
		if rep.DryRun {
			return item
		}
		unlock, err := c.ledger.lock(ctx, d.ID)
		if err != nil {
			item.Error = err.Error()
			return item
		}
		defer unlock()
		fresh, err := c.ledger.disks.Disk(ctx, d.ID)
		if err == nil && fresh.State == Purging {
			if err = c.free(ctx, fresh, rep.Actor); err == nil {
				c.ledger.note(ctx, fresh, Entry{Act: "purge", Actor: rep.Actor, Reason: item.Reason, Detail: map[string]string{"name": fresh.OriginalName}})
			}
		}
		if err != nil {
			item.Error = err.Error()
		}
		return item
	})
}

// purge frees one disk. See the type's comment for the order.
func (c *Collector) purge(ctx context.Context, seen Disk, actor, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, seen.ID)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, seen.ID) // a
	if err != nil {
		return err
	}
	now := l.clock().UTC()
	switch {
	case d.State != Expiring:
		return refusedf("disk %s is %s now", d.ID, d.State)
	case d.Key != seen.Key:
		return refusedf("disk %s has another image id now", d.ID)
	case !due(&d, now):
		return refusedf("disk %s is held, or its time is not over any more", d.ID)
	case d.ExpiringAt.IsZero() || now.Sub(d.ExpiringAt) < c.safety.Grace:
		return refusedf("disk %s is in its grace period", d.ID)
	case l.inUse(d.ID):
		return fmt.Errorf("disk %s is being read: %w", d.ID, ErrBusy)
	}
	deps, err := c.remover.Dependents(ctx, d.Key) // b
	if err != nil {
		return fmt.Errorf("ask what depends on disk %s: %w", d.ID, err)
	}
	if len(deps) > 0 {
		return fmt.Errorf("disk %s: %w: %v depend on it", d.ID, ErrBusy, deps)
	}
	e := Entry{Act: "purge", Actor: actor, Reason: reason, Detail: map[string]string{"name": d.OriginalName}}
	return l.witnessed(ctx, d, e, func() error { // c
		d, err := l.move(ctx, d, Purging, Entry{Actor: actor, Reason: reason}, nil) // d
		if err != nil {
			return err
		}
		return c.free(ctx, d, actor)
	})
}

// free performs steps e to h. Each may be repeated.
func (c *Collector) free(ctx context.Context, d Disk, actor string) error {
	l := c.ledger
	err := l.around("purge.strip", func() error { return c.remover.Strip(ctx, d.Key) })
	if err == nil {
		err = l.around("purge.reopen", func() error { return c.remover.Reopen(ctx, d.Key) })
		if errors.Is(err, ErrNotFound) {
			err = nil // gone already: a crash after the removal; Remove says so too
		}
	}
	if err == nil {
		err = l.around("purge.remove", func() error { return c.remover.Remove(ctx, d.Key, nil) })
	}
	if err != nil {
		return errors.Join(fmt.Errorf("purge disk %s: %w", d.ID, err), c.unpurge(context.WithoutCancel(ctx), d, actor, err))
	}
	_, err = l.move(context.WithoutCancel(ctx), d, Purged, Entry{Actor: actor}, func(n *Disk) {
		n.PurgedAt = l.clock().UTC().Truncate(time.Second)
		n.Sealed, n.RecordStale = false, false
	})
	return err
}

// unpurge takes a purge back that Ceph refused before the image was gone:
// protection and seal first, then the row. When it cannot, because Ceph does
// not answer, the row stays purging and the next pass goes on.
func (c *Collector) unpurge(ctx context.Context, d Disk, actor string, cause error) error {
	if errors.Is(cause, ErrUnavailable) || errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return nil
	}
	l := c.ledger
	full := protection(c.clusters, d.Key.PoolRef())
	if err := reprotect(ctx, l, c.trash, d.Key, full); err != nil {
		return fmt.Errorf("protect disk %s again: %w", d.ID, err)
	}
	img, err := c.images.OpenImage(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	defer img.Close()
	if err := img.Seal(ctx); err != nil {
		return fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	now := l.clock().UTC().Truncate(time.Second)
	_, err = l.move(ctx, d, Expiring, Entry{Act: "purge-undone", Actor: actor, Reason: cause.Error()}, func(n *Disk) {
		n.Sealed, n.ExpiringAt, n.ProtectedUntil = true, now, now.Add(full)
	})
	return err
}

// unsealRestored takes the old seals off disks that were restored in place.
func (c *Collector) unsealRestored(ctx context.Context, rep *Report, _ map[Key]bool, _ time.Time) error {
	yes := true
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Restored}, Sealed: &yes, Limit: c.safety.MaxDisks})
	if err != nil {
		return fmt.Errorf("find the restored disks: %w", err)
	}
	return c.parallel(ctx, rep, disks, func(d Disk) ReportItem {
		item := c.item(d, "unseal", "restored in place as "+d.RestoredTo)
		if rep.DryRun {
			return item
		}
		if err := c.unseal(ctx, d.ID, rep.Actor, item.Reason); err != nil {
			item.Error = err.Error()
		}
		return item
	})
}

// unseal takes the seal off one disk that was restored in place.
func (c *Collector) unseal(ctx context.Context, id, actor, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return err
	}
	if d.State != Restored || !d.Sealed {
		return refusedf("disk %s is %s", id, d.State)
	}
	return l.witnessed(ctx, d, Entry{Act: "unseal", Actor: actor, Reason: reason}, func() error {
		if err := l.around("unseal", func() error { return c.remover.Unseal(ctx, d.Key) }); err != nil {
			return fmt.Errorf("take the seal off disk %s: %w", id, err)
		}
		next := d
		next.Sealed = false
		if _, err := l.disks.PutDisk(ctx, next); err != nil {
			return fmt.Errorf("disk %s: write the catalog: %w", id, err)
		}
		return nil
	})
}

func (c *Collector) item(d Disk, act, reason string) ReportItem {
	return ReportItem{Disk: d.ID, Pool: d.Key.PoolRef().String(), Name: d.OriginalName, Act: act, Reason: reason, Bytes: d.SizeBytes}
}

// parallel works the disks off with the configured number of workers, and adds
// what came of them to the report in the order of the disks.
func (c *Collector) parallel(ctx context.Context, rep *Report, disks []Disk, work func(Disk) ReportItem) error {
	items := make([]ReportItem, len(disks))
	err := inParallel(ctx, c.safety.Workers, len(disks), func(i int) { items[i] = work(disks[i]) })
	rep.Items = append(rep.Items, slices.DeleteFunc(items, func(it ReportItem) bool { return it.Act == "" })...)
	return err
}

// inParallel calls work(0) … work(n-1), at most workers at once, and waits for
// them. It starts no more when ctx ends, and then returns its error.
func inParallel(ctx context.Context, workers, n int, work func(i int)) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(workers, 1))
	defer wg.Wait()
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			work(i)
		}()
	}
	return nil
}
