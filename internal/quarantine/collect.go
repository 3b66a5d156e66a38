package quarantine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Collector is the only service that removes. It works in passes; each first
// convinces itself that it may remove at all (preflight; before each disk that
// nobody has paused removals meanwhile; before each of the following, and while it
// purges, that Ceph is still well), then
//
//  1. marks disks in pools that are too full (evict; see makeRoom), for a later pass,
//  2. goes on with purges that a crash cut short,
//  3. purges disks that an earlier pass marked and whose grace is over,
//  4. marks disks whose time is over (expire), for a later pass,
//  5. takes the old seals off disks that were restored in place,
//  6. discards the clones that restores left behind (DiscardClone), and frees the
//     names of such as never came to be.
//
// The purge of a disk, and why in this order:
//
//	a. The row is read again under the disk's lock and must still say: expiring,
//	   no open hold, time over (or an early purge was asked for), marked at
//	   least Grace ago. Nothing that was read earlier in the pass decides.
//	b. Ceph is asked: the image is in the trash, in the life that the row is
//	   about; the record on it promises no more than the row does; no clone of
//	   its snapshots and no client that has it open depends on it. Anything
//	   else stops the purge. The image is opened once for this look and for f.
//	c. The custody entry is durable. If it cannot be written nothing happens:
//	   nothing is ever purged unseen.
//	d. The row becomes purging. Were the image removed first, a crash would
//	   leave a row that promises a disk which is gone.
//	e. The image is claimed: out of the trash under its reserved name, which
//	   this service, and nobody else, knows. Ceph decides in this one act: if
//	   somebody gave the image back meanwhile, it is not in the trash, and
//	   nothing more happens to it. A crash after it leaves the image, sealed,
//	   under that name, where the next pass finds it.
//	f. The snapshots are removed: those that the cloud had left on the image,
//	   whose time is over with the disk's and with which Ceph would never let it
//	   go, and last the seal. A lost catalog finds the record on the image,
//	   seals it again and lets it expire again. Of an image of more than four
//	   gigabytes the data is then freed from the end, in steps (trim), if nobody
//	   has opened it since b. What is smaller than it was is not sealed again at
//	   anybody's wish: a crash, or a refusal, between the steps leaves the row
//	   purging, and the next pass goes on. What was unsealed, and is sealed again
//	   because of a hold or a lost catalog, is marked as a seal that was broken
//	   (takeBack, imported), unless it is known that no removal had begun.
//	g. It is moved to the trash with no protection.
//	h. The entry is removed without force, so that Ceph's own refusals
//	   (snapshots, watchers, clones that came up since b) still stand.
//	i. When Ceph says that no image has the id any more, the row becomes purged
//	   and stays as a tombstone. Were it written before h, a failed removal
//	   would leave space that nobody accounts for.
//
// When Ceph refuses at f to h the disk is protected and sealed again and the
// row goes back to expiring.
type Collector struct {
	ledger   *Ledger
	trash    Trash
	images   Images
	remover  Remover
	clusters Clusters
	policy   Policy
	marks    Marks
	clock    clockwatch
	safety   Safety
	budgets  *budgets
	pressure *pressure
	// room, where not nil, evicts from pools that are too full.
	room *room
	// leaving has the disks on which others stand that are due in this pass, too, and
	// one of those: whether it has gone when the disk is asked for would be chance.
	// "": none of those that were looked at.
	leaving map[Key]string
}

// NewCollector makes the Collector. It is the only constructor that takes a
// Remover.
func NewCollector(l *Ledger, trash Trash, remover Remover, clusters Clusters, policy Policy, marks Marks, s Safety) *Collector {
	c := &Collector{
		ledger: l, trash: trash, images: l.images, remover: remover, clusters: clusters, policy: policy, marks: marks,
		clock: clockwatch{marks: marks, clock: l.clock, max: s.MaxClockJump}, safety: s,
	}
	c.pressure = newPressure(clusters, s, l.clock, l.log)
	c.budgets = newBudgets(s, c.pressure.speed)
	return c
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

// Run performs one pass. What it would do, with DryRun, is what it does, but for disks
// whose record on the image promises more than the catalog (expirable).
func (c *Collector) Run(ctx context.Context, actor string, o JobOptions) Report {
	now := c.ledger.clock().UTC()
	rep := Report{Job: JobCollect, DryRun: o.DryRun, Actor: actor, StartedAt: now, Items: []ReportItem{}}
	c.leaving = map[Key]string{}
	var told notes
	stop := func() {}
	defer func() { stop() }() // also of a panic
	finish := func(err error) Report {
		stop()
		rep.Notes = told.all()
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
	if err := c.preflight(ctx); err != nil {
		return finish(err)
	}
	if !o.DryRun {
		stop = c.pressure.watch(ctx, told.add)
	}
	find := func() ([]candidate, error) { return c.findLeftovers(ctx) }
	if o.DryRun { // at once: a plan makes none and removes none
		found, end := ahead(ctx, c.findLeftovers)
		defer end()
		find = found
	}
	leftovers := func(ctx context.Context, rep *Report, now time.Time) error { return c.leftovers(ctx, rep, now, find) }
	for _, phase := range []struct {
		frees bool
		run   func(context.Context, *Report, time.Time) error
	}{{false, c.makeRoom}, {true, c.resume}, {true, c.purgeDue}, {false, c.expireDue}, {true, c.unsealRestored}, {false, leftovers}} {
		err := ctx.Err()
		if err == nil && !o.DryRun {
			err = allHealthy(ctx, c.clusters, c.safety.StopChecks) // what preflight saw may be over
		}
		if err == nil && phase.frees {
			err = c.safety.inWindow(c.ledger.clock())
		}
		if err == nil {
			err = phase.run(ctx, &rep, now)
		}
		switch {
		case errors.Is(err, errWindow):
			told.add(err.Error())
		case err != nil:
			return finish(err)
		}
	}
	return finish(nil)
}

// preflight returns why this pass removes nothing, or nil: a person's pause, a
// policy that cannot be read, a clock that jumped, a cluster that is not well, a
// trash that cannot be listed, or an empty one where disks should be. Whether one
// disk is in the trash is asked for each disk.
func (c *Collector) preflight(ctx context.Context) error {
	if err := c.mayRemove(ctx); err != nil {
		return err
	}
	if err := c.policy.Ready(); err != nil {
		return fmt.Errorf("the policy cannot be read: %w", err)
	}
	if err := c.clock.observe(ctx); err != nil {
		return err
	}
	if err := allHealthy(ctx, c.clusters, c.safety.StopChecks); err != nil {
		return err
	}
	for _, pool := range c.clusters.Pools() {
		ref := pool.PoolRef
		some, err := anyInTrash(ctx, c.trash, ref)
		if err != nil {
			return fmt.Errorf("list the trash of %s: %w", ref, err)
		}
		if some {
			continue
		}
		kept, err := c.ledger.disks.FindDisks(ctx, DiskFilter{Pool: &ref, States: []State{Quarantined, Expiring}, Limit: 1})
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		if len(kept) > 0 {
			return refusedf("the trash of %s is empty, but the catalog has disks there", ref)
		}
	}
	return nil
}

// unsealRestored takes the old seals off disks that were restored in place. The
// seal of a disk under a hold is evidence, and stays.
func (c *Collector) unsealRestored(ctx context.Context, rep *Report, _ time.Time) error {
	yes := true
	no := false
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Restored}, Sealed: &yes, Held: &no, Limit: c.safety.MaxDisks})
	if err != nil {
		return fmt.Errorf("find the restored disks: %w", err)
	}
	_, err = c.parallel(ctx, rep, disks, c.mayPurge, func(d Disk) ReportItem {
		item := c.item(d, "unseal", "restored in place as "+d.RestoredTo)
		if rep.DryRun {
			return item
		}
		if err := c.Unseal(ctx, rep.Actor, d.ID, item.Reason); err != nil {
			item.Error = err.Error()
		}
		return item
	})
	return err
}

// Unseal takes the seal off one disk that was restored in place. A pass does it
// in any case; who does not want to wait for one calls it. ErrRefused if the
// disk is in another state, or held.
func (c *Collector) Unseal(ctx context.Context, actor, id, reason string) error {
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
	if d.State != Restored || !d.Sealed || d.Held() {
		return refusedf("disk %s is %s, and held: %v", id, d.State, d.Held())
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

// parallel works the disks off with the configured number of workers, fewer
// while Ceph is busy, and adds what came of them to the report in the order of
// the disks. It begins with no more of them when ctx ends, or may says so, and
// returns why.
func (c *Collector) parallel(ctx context.Context, rep *Report, disks []Disk, may func(context.Context) error, work func(Disk) ReportItem) ([]ReportItem, error) {
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	items := make([]ReportItem, len(disks))
	for i, d := range disks {
		items[i] = c.item(d, "", "")
		items[i].Error = "not begun: the pass was stopped"
	}
	_ = inParallel(going, c.safety.Workers, len(disks), func(i int) {
		if !rep.DryRun {
			err := c.pressure.enter(going)
			if err == nil {
				defer c.pressure.leave()
				err = may(ctx)
			}
			if err != nil {
				stop(err)
				return
			}
		}
		items[i] = work(disks[i])
	})
	err := context.Cause(going)
	for _, it := range items {
		if it.Act != "" {
			rep.Items = append(rep.Items, it)
		}
	}
	return items, err
}

// inParallel calls work(0) … work(n-1), at most workers at once, and waits for
// them. It starts no more when ctx ends, and then returns its error. A panic in one of
// them is the caller's, when all that were begun have ended: in a goroutine of its own it
// would end the daemon, past the caller's recover.
func inParallel(ctx context.Context, workers, n int, work func(i int)) error {
	var wg sync.WaitGroup
	var panicked atomic.Pointer[string]
	slots := make(chan struct{}, max(workers, 1))
	defer func() {
		wg.Wait()
		if p := panicked.Load(); p != nil {
			panic(*p)
		}
	}()
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if panicked.Load() != nil { // looked at with a slot in hand: alone, none comes after it
			break
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			defer func() {
				if p := recover(); p != nil {
					text := fmt.Sprintf("%v\n%s", p, debug.Stack())
					panicked.CompareAndSwap(nil, &text)
				}
			}()
			work(i)
		}()
	}
	return nil
}
