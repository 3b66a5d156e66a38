package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// purgePage is how many disks that are due are read at once. Between two pages
	// all workers wait for the last of the first: pages are large.
	purgePage = 1024
	// healthEvery is how many disks are begun between two looks at Ceph's health: a
	// page can take hours, and what was seen before it may be over.
	healthEvery = 64
)

// purgeDue purges, a page at a time, the disks whose grace is over. Those that
// cannot go just now (a clone stands on them, somebody reads them) stay in
// front of the next page and are passed over. They use up nothing of the
// pass's limits: else a few of them would keep all that come after.
func (c *Collector) purgeDue(ctx context.Context, rep *Report, now time.Time) error {
	no := false
	disks, bytes := c.safety.MaxDisks, c.safety.MaxBytes
	for stay := 0; disks > 0 && bytes > 0; {
		page, err := c.ledger.disks.FindDisks(ctx, DiskFilter{
			States: []State{Expiring}, ExpiringBefore: now.Add(-c.safety.Grace), Held: &no,
			Sort: "retain_until", Limit: min(purgePage, disks), Offset: stay,
		})
		if err != nil {
			return fmt.Errorf("find the disks to purge: %w", err)
		}
		page = within(page, bytes, disks == c.safety.MaxDisks)
		if len(page) == 0 {
			return nil
		}
		inOrderOfSeals(page)
		c.leave(ctx, page)
		items, err := c.purgeSome(ctx, rep, page)
		for i, it := range items {
			if rep.DryRun || it.Error != "" && c.stays(ctx, &page[i]) {
				stay++
			}
			if it.Error == "" {
				disks--
				bytes -= cost(&page[i])
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stays reports whether a disk that could not be dealt with is still in the state in
// which it was found, since the same time, and so in front of the next page.
func (c *Collector) stays(ctx context.Context, d *Disk) bool {
	now, err := c.ledger.disks.Disk(ctx, d.ID)
	return err != nil || now.State == d.State && now.ExpiringAt.Equal(d.ExpiringAt)
}

// leave notes which disks stand on which that may go in this pass. A row may have
// missed that its disk stands alone by now, so that Ceph is asked, before any goes.
func (c *Collector) leave(ctx context.Context, disks []Disk) {
	for i := range disks {
		d := &disks[i]
		if !d.Pins() || c.keptByRoom(d) {
			continue
		}
		on := d.Parent.Key
		if _, known := c.leaving[on]; !known {
			c.leaving[on] = ""
			// Few stand on what is in quarantine; of a base image Ceph would list every
			// clone.
			if p, err := c.ledger.disks.Disk(ctx, on.DiskID()); err != nil || p.State != Expiring {
				continue
			}
			if in, err := c.remover.Inspect(ctx, on); err != nil || in.Cloned {
				c.leaving[on] = d.ID
			}
		}
	}
}

// stoodOn returns ErrBusy where another disk that is due stands on this one
// (Collector.leaving): a plan, in which that one is still there, then says what the
// run does. The next pass takes this one.
func (c *Collector) stoodOn(d *Disk) error {
	if child := c.leaving[d.Key]; child != "" {
		return fmt.Errorf("disk %s: %w: disk %s, which is due too, stands on it; a later pass takes it", d.ID, ErrBusy, child)
	}
	return nil
}

// keptByRoom reports whether this pass gives an evicted disk back, or would.
func (c *Collector) keptByRoom(d *Disk) bool { return c.room != nil && c.room.back[d.ID] }

// inOrderOfSeals puts the disks of each pool into the order in which their seals were
// taken, in the places that the page has for that pool: the pools go on side by side,
// each by its own budget. The monitors and every OSD keep the ids of the snapshots that
// were removed as intervals: removed in this order they remain a few, in that of
// retain-until, with several rules, as many as there are disks, and all of Ceph is busy
// with them (the collect bench: some 7 % slower).
func inOrderOfSeals(page []Disk) {
	places := map[PoolRef][]int{}
	for i := range page {
		pool := page[i].Key.PoolRef()
		pool.Pool = cmp.Or(page[i].DataPool, pool.Pool) // where Ceph counts its snapshots
		pool.Namespace = ""
		places[pool] = append(places[pool], i)
	}
	for _, at := range places {
		disks := make([]Disk, len(at))
		for i, place := range at {
			disks[i] = page[place]
		}
		slices.SortStableFunc(disks, func(a, b Disk) int { return cmp.Compare(a.SealID, b.SealID) })
		for i, place := range at {
			page[place] = disks[i]
		}
	}
}

// cost is what the purge of a disk counts for in a pass's limit of bytes.
func cost(d *Disk) int64 { return max(d.UsedBytes, d.SizeBytes) }

// within is the beginning of the page that the limit allows. A disk that is
// larger than the limit goes alone, if it is the first of its pass.
func within(page []Disk, bytes int64, first bool) []Disk {
	for i := range page {
		if bytes -= cost(&page[i]); bytes < 0 {
			if i == 0 && first {
				return page[:1]
			}
			return page[:i]
		}
	}
	return page
}

// purgeSome purges the disks, or with DryRun looks whether it would. It returns
// an item for each.
func (c *Collector) purgeSome(ctx context.Context, rep *Report, disks []Disk) ([]ReportItem, error) {
	var mu sync.Mutex // while one asks how Ceph is, none is begun
	var unwell error
	begun := 0
	may := func(ctx context.Context) error {
		if err := c.mayPurge(ctx); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if unwell == nil && begun%healthEvery == 0 {
			unwell = allHealthy(ctx, c.clusters, c.safety.StopChecks)
		}
		begun++
		return unwell
	}
	return c.parallel(ctx, rep, disks, may, func(d Disk) ReportItem {
		item := c.item(d, "purge", "expiring since "+d.ExpiringAt.UTC().Format(time.RFC3339))
		if rep.DryRun && c.keptByRoom(&d) {
			return ReportItem{Error: "it would be back in quarantine"} // and in no page
		}
		if err := c.purgeOrPlan(ctx, rep, d, item.Reason); err != nil {
			item.Error = err.Error()
		}
		return item
	})
}

func (c *Collector) purgeOrPlan(ctx context.Context, rep *Report, d Disk, reason string) error {
	if err := c.stoodOn(&d); err != nil {
		return err
	}
	if rep.DryRun {
		_, err := c.purgeable(ctx, d, c.remover.Inspect)
		return err
	}
	if err := c.wait(ctx, &d); err != nil {
		return err
	}
	return c.purge(ctx, d, rep.Actor, reason)
}

// wait waits for the turn of the disk's purge, by the budgets, and looks then
// whether it still may be: a turn can be long in coming.
func (c *Collector) wait(ctx context.Context, d *Disk) error {
	if err := c.budgets.disks.take(ctx, 1); err != nil {
		return err
	}
	w := loadOf(d)
	if err := c.budgets.take(ctx, d.Key.PoolRef(), w.part(w.steps())); err != nil {
		return err
	}
	return c.mayPurge(ctx)
}

// inTrash returns the disk's entry in the trash, or why it is left to the
// reconciler. ErrConflict also of one that Ceph has begun to remove, at somebody
// else's word: Ceph gives it back to nobody, so that it could not be claimed. This
// service takes the protection off before it has Ceph remove; a row that does not know
// of that, of a backup, lets the purge come to its end.
func (c *Collector) inTrash(ctx context.Context, d *Disk, find trashFinder) (TrashEntry, error) {
	e, err := find(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return e, errNotInTrash(d)
	case err != nil:
		return e, fmt.Errorf("look for disk %s in the trash: %w", d.ID, err)
	case e.Removing && e.ProtectedUntil.After(c.ledger.clock()):
		return e, fmt.Errorf("disk %s: %w: somebody else has begun to remove it from the trash, and its seal may have stopped that; Ceph gives it back to nobody, `quarantinectl export` still reads it", d.ID, ErrConflict)
	}
	return e, nil
}

func errNotInTrash(d *Disk) error {
	return fmt.Errorf("disk %s is not in the trash: %w; left to the reconciler", d.ID, ErrConflict)
}

// purge frees one disk. See the type's comment for the order.
func (c *Collector) purge(ctx context.Context, seen Disk, actor, reason string) (err error) {
	l := c.ledger
	unlock, err := l.lock(ctx, seen.ID)
	if err != nil {
		return err
	}
	defer unlock()
	var begun Removal
	d, err := c.purgeable(ctx, seen, func(ctx context.Context, key Key) (Inspection, error) { // a, b
		var err error
		if begun, err = c.remover.OpenForRemoval(ctx, key); err != nil {
			return Inspection{}, err
		}
		return begun.Found(), nil
	})
	if begun != nil {
		defer func() { err = errors.Join(err, begun.Close()) }()
	}
	if errors.Is(err, errLastOfKind) {
		return c.reprieve(ctx, d, actor, err)
	}
	if err != nil {
		return c.renewal(ctx, d, err)
	}
	e := Entry{Act: "purge", Actor: actor, Reason: reason, Detail: map[string]string{"name": d.OriginalName}}
	return l.witnessed(ctx, d, e, func() error { // c
		d, err := l.move(ctx, d, Purging, Entry{Actor: actor, Reason: reason}, nil) // d
		if err != nil {
			return err
		}
		return c.free(ctx, d, actor, begun)
	})
}

// purgeable reads the disk again and returns it if it may be purged, or why
// not. look inspects its image.
func (c *Collector) purgeable(ctx context.Context, seen Disk, look func(context.Context, Key) (Inspection, error)) (Disk, error) {
	l := c.ledger
	d, err := l.disks.Disk(ctx, seen.ID)
	if err != nil {
		return d, err
	}
	now := l.clock().UTC()
	switch {
	case d.State != Expiring:
		return d, refusedf("disk %s is %s now", d.ID, d.State)
	case d.Key != seen.Key:
		return d, refusedf("disk %s has another image id now", d.ID)
	case !due(&d, now):
		return d, refusedf("disk %s is held, or its time is not over any more", d.ID)
	case d.ExpiringAt.IsZero() || now.Sub(d.ExpiringAt) < c.safety.Grace:
		return d, refusedf("disk %s is in its grace period", d.ID)
	case d.RecordStale:
		return d, refusedf("the record on disk %s is old; the next reconcile run renews it", d.ID)
	case l.inUse(d.ID):
		return d, fmt.Errorf("disk %s is being read: %w", d.ID, ErrBusy)
	}
	if err := c.mayPurgeEvicted(&d, now); err != nil {
		return d, err
	}
	// Asked again: newer ones may have gone since it was marked.
	if err := l.lastOfKind(ctx, &d); err != nil {
		return d, err
	}
	if err := mayGoWithoutCopy(ctx, l, c.clusters, &d); err != nil {
		return d, err
	}
	e, err := c.inTrash(ctx, &d, c.trash.FindInTrash)
	switch {
	case err != nil:
		return d, err
	case secondLife(&d, e):
		return d, fmt.Errorf("disk %s was taken out of the trash and deleted again: %w; left to the reconciler", d.ID, ErrConflict)
	}
	seenOn, err := look(ctx, d.Key)
	if err != nil {
		return d, fmt.Errorf("ask what speaks against the removal of disk %s: %w", d.ID, err)
	}
	if len(seenOn.Dependents) > 0 {
		return d, fmt.Errorf("disk %s: %w: %v depend on it", d.ID, ErrBusy, seenOn.Dependents)
	}
	return d, c.recordAgrees(&d, seenOn.Record)
}

// free performs steps e to i. Each may be repeated. begun is the image as it was
// opened for step b, nil where that is over; it is closed here, because Ceph refuses
// to remove what anybody has open.
func (c *Collector) free(ctx context.Context, d Disk, actor string, begun Removal) error {
	l := c.ledger
	// Of an image that was just found sealed, what Ceph refuses took nothing: it looks
	// for clients and snapshots, and at whether it may, before it removes an object.
	untouched := begun != nil
	ours, err := c.claim(ctx, d)
	if err == nil && !ours {
		if begun != nil {
			err = begun.Close()
		}
		return errors.Join(err, c.conclude(ctx, d, actor))
	}
	if err == nil {
		err = l.around("purge.strip", func() error {
			if begun == nil {
				return c.remover.Strip(ctx, d.Key)
			}
			return begun.Strip(ctx)
		})
	}
	if begun != nil {
		err = errors.Join(err, begun.Close())
	}
	if err == nil {
		err = c.trim(ctx, d)
	}
	if err == nil {
		err = l.around("purge.reopen", func() error {
			return c.trash.MoveToTrash(ctx, d.Key.PoolRef(), d.Key.ReservedName(), 0)
		})
	}
	if err == nil {
		err = c.remove(ctx, d)
		untouched = untouched && (errors.Is(err, ErrBusy) || errors.Is(err, ErrRefused))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("purge disk %s: %w", d.ID, err), c.unpurge(context.WithoutCancel(ctx), d, actor, err, untouched))
	}
	return c.conclude(ctx, d, actor)
}

// remove performs step h.
func (c *Collector) remove(ctx context.Context, d Disk) error {
	return c.ledger.around("purge.remove", func() error { return c.remover.Remove(ctx, d.Key, nil) })
}

// claim takes the image out of the trash under its reserved name, and reports
// whether that is where it is now: Ceph itself decides, in one act, between us
// and a person who gives it back at this moment.
func (c *Collector) claim(ctx context.Context, d Disk) (bool, error) {
	reserved := d.Key.ReservedName()
	err := c.ledger.around("purge.claim", func() error { return c.trash.RestoreFromTrash(ctx, d.Key, reserved) })
	if err == nil || !errors.Is(err, ErrNotFound) {
		return err == nil, err
	}
	live, err := c.images.LiveImages(ctx, d.Key.PoolRef(), reserved)
	if err != nil {
		return false, fmt.Errorf("look for disk %s under its reserved name: %w", d.ID, err)
	}
	return live[reserved] == d.Key.ImageID, nil
}

// conclude ends a purge whose image is not ours any more: a tombstone if Ceph
// says that no image has the id, else the reconciler ends its stay.
func (c *Collector) conclude(ctx context.Context, d Disk, actor string) error {
	ctx = context.WithoutCancel(ctx)
	err := c.gone(ctx, d)
	switch {
	case err == nil:
		_, err = c.ledger.move(ctx, d, Purged, Entry{Actor: actor}, func(n *Disk) {
			n.PurgedAt = c.ledger.clock().UTC().Truncate(time.Second)
			n.Sealed = false
		})
		if c.room != nil {
			c.room.purged(d.Key.PoolRef(), c.ledger.clock())
		}
		return err
	case !errors.Is(err, ErrBusy):
		return err
	}
	intent, ierr := restoreIntent{Kind: intentInPlace, Dst: d.Key.PoolRef(), Name: d.OriginalName}.encode()
	if ierr != nil {
		return ierr
	}
	if _, err := c.ledger.move(ctx, d, Restoring, Entry{Act: "restored-outside", Actor: "unknown", Reason: takenOut}, func(n *Disk) { n.Intent = intent }); err != nil {
		return err
	}
	return errTaken(&d)
}

// takenOut is what happened to an image that is not ours any more.
const takenOut = "taken out of the trash by somebody else while it was being purged"

func errTaken(d *Disk) error { return refusedf("disk %s was %s", d.ID, takenOut) }

// gone returns nil when Ceph itself says that there is no image of this id any
// more, and ErrBusy if there is: a tombstone of an image that lives would
// refuse its next death.
func (c *Collector) gone(ctx context.Context, d Disk) error {
	there, err := c.images.HasImage(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("look whether the image of disk %s is gone: %w", d.ID, err)
	}
	if there {
		return fmt.Errorf("the image of disk %s is still there: %w", d.ID, ErrBusy)
	}
	return nil
}
