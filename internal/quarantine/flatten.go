package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Flattener makes disks in quarantine independent of the images they were
// cloned from, where the policy says so, and tells who stands on whom. It has no
// means to remove anything.
//
// What was measured (Ceph 16, clone formats 1 and 2, by image id, in the trash):
//
//   - With the feature deep-flatten, Ceph's default, a flatten gives the
//     snapshots their blocks as well. The seal is the same snapshot with the same
//     bytes as before, and the parent is free: no snapshot is touched.
//   - Without it only the head becomes independent. The seal goes on reading from
//     the parent, and the parent stays pinned.
//
// The order, and why:
//
//	a. The disk is marked as in use, so that nobody purges it or gives it back in
//	   place meanwhile. Its lock is not kept: a flatten takes long, and a hold
//	   must not wait. Ceph is asked: in the trash, in the life that the row is
//	   about, nobody has it open, and whether the flatten would free the parent
//	   at all (without deep-flatten a snapshot of the cloud's may need it, too;
//	   then nothing is copied in vain).
//	b. The custody entry is durable, or nothing happens.
//	c. The head is flattened. That writes blocks of the parent where the disk has
//	   none, and changes no byte that anybody reads, of the head or of the seal.
//	   A crash leaves some of them copied; the next pass goes on.
//	d. Ceph is asked again. If nothing stands on the parent, it is done.
//	e. Only where the seal alone needs the parent: a second seal, FlatSeal, is
//	   taken of the flattened head, and all bytes of both are read and compared.
//	   If they differ, somebody wrote to the disk after its seal. Then the first
//	   seal stays the evidence, and the disk is never flattened (Refused). A
//	   second seal that a crash leaves beside the first is only a snapshot more:
//	   it is compared again in the next pass.
//	f. The collector, which alone may, removes the first seal, by the ids of the
//	   pair that was compared: it is one act of Ceph. Before it the first seal is
//	   the seal, after it the second is, by its name. There is no moment at which
//	   the image has no seal, so none at which Ceph would remove it, and the
//	   entry's protection is not touched at all.
//	g. The row says that the disk stands alone. After a crash before it the next
//	   pass finds, in step a, that nothing stands on the parent, and writes it.
//
// A held disk may be flattened: what the hold keeps are the bytes, which stay.
type Flattener struct {
	ledger    *Ledger
	trash     Trash
	lineages  Lineages
	deletions Deletions
	policy    Policy
	clusters  Clusters
	resealer  Resealer
	cfg       FlattenConfig
}

// Resealer is *Collector, of which the Flattener gets no more than this.
type Resealer interface {
	// DropFirstSeal removes a disk's first seal, of which the second has the
	// same bytes. ErrBusy if somebody uses the disk or a clone stands on it.
	DropFirstSeal(ctx context.Context, actor, id string, pair SealPair, reason string) error
}

// FlattenConfig tunes the Flattener.
type FlattenConfig struct {
	// MaxDisks bounds how many disks one run flattens.
	MaxDisks int
	// BytesPerSecond bounds how fast they are copied, and compared; 0: as fast
	// as Ceph can.
	BytesPerSecond int64
	// StopChecks are the Ceph health checks during which nothing is flattened,
	// beside HEALTH_ERR, which always stops, and those that say that the cluster
	// is getting full.
	StopChecks []string
	// Wait returns after the time, or when ctx ends. Nil: by a timer.
	Wait func(ctx context.Context, d time.Duration)
}

// fullChecks are the health checks that say that there is no room to copy to.
func fullChecks() []string {
	return []string{"OSD_NEARFULL", "OSD_BACKFILLFULL", "OSD_FULL", "POOL_NEARFULL", "POOL_NEAR_FULL", "POOL_BACKFILLFULL", "POOL_FULL"}
}

// NewFlattener makes the service.
func NewFlattener(l *Ledger, trash Trash, lineages Lineages, deletions Deletions, policy Policy, clusters Clusters, r Resealer, cfg FlattenConfig) *Flattener {
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	cfg.StopChecks = append(slices.Clone(cfg.StopChecks), fullChecks()...)
	return &Flattener{ledger: l, trash: trash, lineages: lineages, deletions: deletions, policy: policy, clusters: clusters, resealer: r, cfg: cfg}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Run flattens the disks that the policy of today has flattened: those first
// whose parents are blocked. Disks that cannot be flattened just now use up
// nothing of the run's limit.
func (f *Flattener) Run(ctx context.Context, actor string, o JobOptions) Report {
	rep := Report{Job: JobFlatten, DryRun: o.DryRun, Actor: actor, StartedAt: f.ledger.clock().UTC(), Items: []ReportItem{}}
	if err := f.run(ctx, &rep); err != nil {
		rep.Stopped = err.Error()
	}
	rep.EndedAt = f.ledger.clock().UTC()
	return rep
}

func (f *Flattener) run(ctx context.Context, rep *Report) error {
	if err := f.policy.Ready(); err != nil {
		return fmt.Errorf("the policy cannot be read: %w", err)
	}
	if err := allHealthy(ctx, f.clusters, f.cfg.StopChecks); err != nil {
		return err
	}
	parents, err := f.Parents(ctx)
	if err != nil {
		return err
	}
	left := f.cfg.MaxDisks
	for _, p := range parents {
		for _, c := range p.Children {
			why := flattenWhy(p, c)
			if why == "" || left <= 0 {
				continue
			}
			it := ReportItem{Disk: c.ID, Pool: c.Pool, Name: c.OriginalName, Act: "flatten", Reason: why, Bytes: max(c.CopyBytes, 0)}
			if !rep.DryRun {
				err := healthy(ctx, f.clusters, p.Key.FSID, f.cfg.StopChecks) // a run can take hours
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					return err
				}
				if err := f.flatten(ctx, rep.Actor, c.ID, why); err != nil {
					it.Error = err.Error()
				}
			}
			if it.Error == "" {
				left--
			}
			rep.Items = append(rep.Items, it)
		}
	}
	return nil
}

// flattenWhy is why the policy has the child flattened now, or "".
func flattenWhy(p ParentImage, c ParentChild) string {
	on := p.Key.PoolRef().String() + "/" + p.Name
	switch {
	case c.State != Quarantined || c.Refused != "":
		return ""
	case c.Flatten == FlattenAlways:
		return "it stands on " + on + ", and the policy says always"
	case c.Flatten == FlattenOnHold && len(c.Holds) > 0:
		return "it stands on " + on + ", and is under the hold of case " + c.Holds[0]
	case c.Flatten == FlattenWhenBlocked && p.Blocked:
		return "it keeps " + on + ": " + p.Why
	}
	return ""
}

// flatten flattens one disk. See the type's comment for the order.
func (f *Flattener) flatten(ctx context.Context, actor, id, reason string) error {
	d, done, err := f.ledger.borrow(ctx, id) // a
	if err != nil {
		return err
	}
	defer done()
	lin, err := f.flattenable(ctx, d)
	if err != nil {
		return err
	}
	if lin.Parent == nil {
		return f.standsAlone(ctx, id)
	}
	p := lin.Parent
	e := Entry{Act: "flatten", Actor: actor, Reason: reason, Detail: map[string]string{
		"parent": p.Key.PoolRef().String() + "/" + p.Name + "@" + p.Snapshot, "parent_image_id": p.Key.ImageID}}
	return f.ledger.witnessed(ctx, d, e, func() error { // b
		return f.free(ctx, actor, d, lin, reason)
	})
}

// flattenable looks at the disk, and returns what it stands on or why it cannot
// be flattened now.
func (f *Flattener) flattenable(ctx context.Context, d Disk) (Lineage, error) {
	switch {
	case d.State != Quarantined || !d.Sealed:
		return Lineage{}, refusedf("disk %s is %s now", d.ID, d.State)
	case !d.Pins():
		return Lineage{}, refusedf("disk %s stands alone", d.ID)
	}
	e, err := f.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return Lineage{}, errNotInTrash(&d)
	case err != nil:
		return Lineage{}, fmt.Errorf("look for disk %s in the trash: %w", d.ID, err)
	case secondLife(&d, e):
		return Lineage{}, fmt.Errorf("disk %s was taken out of the trash and deleted again: %w; left to the reconciler", d.ID, ErrConflict)
	}
	lin, err := f.lineages.Lineage(ctx, d.Key)
	switch {
	case err != nil:
		return lin, fmt.Errorf("look at what disk %s stands on: %w", d.ID, err)
	case len(lin.Watchers) > 0:
		return lin, fmt.Errorf("disk %s is open: %w: %v", d.ID, ErrBusy, lin.Watchers)
	case !lin.Deep && len(lin.Others) > 0:
		return lin, f.refuse(ctx, d.ID, fmt.Sprintf("it lacks deep-flatten, and its snapshots %v stand on the parent, too", lin.Others))
	case !lin.Deep && len(lin.Clones) > 0:
		return lin, fmt.Errorf("disk %s lacks deep-flatten, and clones stand on its seal: %w: %v", d.ID, ErrBusy, lin.Clones)
	}
	return lin, nil
}

// free performs steps c to g.
func (f *Flattener) free(ctx context.Context, actor string, d Disk, lin Lineage, reason string) error {
	l := f.ledger
	if lin.Head {
		bytes := d.Parent.CopyBytes
		if bytes < 0 {
			bytes = min(d.SizeBytes, lin.Parent.OverlapBytes)
		}
		pace := f.pace(ctx, func(done, total uint64) float64 { return float64(bytes) * float64(done) / float64(total) })
		if err := l.around("flatten.copy", func() error { return f.lineages.FlattenImage(ctx, d.Key, pace) }); err != nil {
			return fmt.Errorf("flatten disk %s: %w", d.ID, err)
		}
		if err := f.look(ctx, d, &lin); err != nil {
			return err
		}
	}
	if lin.Parent == nil {
		return f.standsAlone(ctx, d.ID)
	}
	if lin.Head || !lin.Seal || len(lin.Others) > 0 {
		return fmt.Errorf("disk %s is flattened, and stands on %s/%s all the same: %w", d.ID, lin.Parent.Key.PoolRef(), lin.Parent.Name, ErrConflict)
	}
	var pair SealPair
	var same bool
	// What is compared is read twice.
	pace := f.pace(ctx, func(done, _ uint64) float64 { return 2 * float64(done) })
	err := l.around("flatten.seal", func() (err error) {
		pair, same, err = f.lineages.SealAgain(ctx, d.Key, pace)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("take and compare a second seal of disk %s: %w", d.ID, err)
	case !same:
		return f.refuse(ctx, d.ID, "it was written to after its seal, and lacks deep-flatten: its seal alone is the evidence, and needs the parent")
	}
	if err := f.resealer.DropFirstSeal(ctx, actor, d.ID, pair, reason); err != nil {
		return err
	}
	if err := f.look(ctx, d, &lin); err != nil {
		return err
	}
	if lin.Parent != nil {
		return fmt.Errorf("disk %s has a new seal, and stands on %s/%s all the same: %w", d.ID, lin.Parent.Key.PoolRef(), lin.Parent.Name, ErrConflict)
	}
	return f.standsAlone(ctx, d.ID)
}

func (f *Flattener) look(ctx context.Context, d Disk, lin *Lineage) (err error) {
	if *lin, err = f.lineages.Lineage(ctx, d.Key); err != nil {
		return fmt.Errorf("look at what disk %s stands on: %w", d.ID, err)
	}
	return nil
}

// standsAlone writes that the disk needs its parent no more. What it allocates
// is to be measured anew.
func (f *Flattener) standsAlone(ctx context.Context, id string) error {
	return f.note(ctx, id, func(d *Disk) {
		d.Parent.FlattenedAt, d.Parent.Refused = f.ledger.clock().UTC().Truncate(time.Second), ""
		d.Parent.CopyBytes, d.UsedBytes = 0, -1
	})
}

// refuse writes why the disk cannot be flattened, ever, and returns it.
func (f *Flattener) refuse(ctx context.Context, id, why string) error {
	if err := f.note(ctx, id, func(d *Disk) { d.Parent.Refused = why }); err != nil {
		return err
	}
	return refusedf("disk %s: %s", id, why)
}

// note changes what the row says of the disk's parent, and the record with it.
func (f *Flattener) note(ctx context.Context, id string, change func(*Disk)) error {
	l := f.ledger
	ctx = context.WithoutCancel(ctx) // what was done is done
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil || d.Parent == nil {
		return err
	}
	p := *d.Parent
	d.Parent = &p
	change(&d)
	d.RecordStale = d.State.InQuarantine()
	saved, err := l.disks.PutDisk(ctx, d)
	if err != nil {
		return fmt.Errorf("disk %s: write what it stands on: %w", id, err)
	}
	if saved.State == Quarantined || saved.State == Expiring {
		l.softSync(ctx, saved)
	}
	return nil
}

// pace makes a Progress that takes as long as the bytes done since its last call
// may take. done gives the bytes of a progress. Nil where there is no limit.
func (f *Flattener) pace(ctx context.Context, bytes func(done, total uint64) float64) Progress {
	if f.cfg.BytesPerSecond <= 0 {
		return nil
	}
	last, at := 0.0, f.ledger.clock()
	return func(done, total uint64) {
		if total == 0 {
			return
		}
		now, b := f.ledger.clock(), bytes(done, total)
		// Not less than nothing: a clock that is set back must not stop it.
		took := max(now.Sub(at), 0)
		if due := time.Duration((b - last) / float64(f.cfg.BytesPerSecond) * float64(time.Second)); due > took {
			f.cfg.Wait(ctx, due-took)
		}
		last, at = b, f.ledger.clock()
	}
}
