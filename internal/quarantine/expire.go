package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pageOfDisks is how many disks are read at once where each is soon done.
const pageOfDisks = 256

// due reports whether the disk's time is over, or was cut short by somebody who
// might, and still may be.
func due(d *Disk, now time.Time) bool {
	if !d.Held() && !d.HoldsUnchecked && d.over(now) {
		return true
	}
	return d.EarlyBy != "" && mayCutShort(d, now) == nil
}

// expireDue marks the disks whose time is over, a page at a time; those that
// cannot be marked are passed over, as in purgeDue.
func (c *Collector) expireDue(ctx context.Context, rep *Report, now time.Time) error {
	no := false
	left := 5 * c.safety.MaxDisks
	for stay := 0; left > 0; {
		page, err := c.ledger.disks.FindDisks(ctx, DiskFilter{
			States: []State{Quarantined}, RetainBefore: now, Held: &no, Sort: "retain_until", Limit: min(pageOfDisks, left), Offset: stay,
		})
		if err != nil {
			return fmt.Errorf("find the disks whose time is over: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		var find trashFinder // a plan's: the run asks for each disk under its lock
		if rep.DryRun {
			find = findTogether(ctx, c.trash, page)
		}
		items, err := c.parallel(ctx, rep, page, c.mayRemove, func(d Disk) ReportItem { return c.expireOne(ctx, rep, d, find) })
		for i, it := range items {
			if rep.DryRun || it.Error != "" && c.stays(ctx, &page[i]) {
				stay++
			}
			if it.Error == "" {
				left--
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Collector) expireOne(ctx context.Context, rep *Report, d Disk, find trashFinder) ReportItem {
	item := c.item(d, "expire", "kept until "+d.RetainUntil.UTC().Format(time.RFC3339))
	var err error
	if rep.DryRun {
		err = c.expirable(ctx, &d, find)
	} else {
		err = c.expire(ctx, d.ID, rep.Actor, item.Reason)
	}
	if errors.Is(err, errLastOfKind) {
		item.Act = "" // as it should be: passed over, and not in the report
	}
	if err != nil {
		item.Error = err.Error()
	}
	return item
}

// expire marks one disk, if its time is still over.
func (c *Collector) expire(ctx context.Context, id, actor, reason string) error {
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return err
	}
	if err := c.expirable(ctx, &d, c.trash.FindInTrash); err != nil {
		return err
	}
	if err := c.markable(ctx, &d); err != nil {
		return c.renewal(ctx, d, err)
	}
	_, err = c.mark(ctx, d, Entry{Act: "expire", Actor: actor, Reason: reason}, "")
	return err
}

// expirable returns why a disk may not be marked though its time was over when it was
// found, or nil. A plan asks no more, and not for the row again: the records of the
// thousands of images that a pass may mark would each have to be opened for. Where one
// promises more than its row, the run does not mark it, and says so; a check of
// everything finds it before.
func (c *Collector) expirable(ctx context.Context, d *Disk, find trashFinder) error {
	if d.State != Quarantined || !due(d, c.ledger.clock().UTC()) {
		return refusedf("disk %s is %s and not due", d.ID, d.State)
	}
	if err := c.ledger.lastOfKind(ctx, d); err != nil {
		return err
	}
	_, err := c.inTrash(ctx, d, find)
	return err
}

// markable returns what on the disk's image speaks against a mark, or nil. It is asked
// before the record is written over.
func (c *Collector) markable(ctx context.Context, d *Disk) error {
	seenOn, err := c.remover.Inspect(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("read the record of disk %s: %w", d.ID, err)
	}
	return c.recordAgrees(d, seenOn.Record)
}

// mark marks a disk that is markable, or that was marked to make room; earlyBy is who
// has it go before its time.
func (c *Collector) mark(ctx context.Context, d Disk, e Entry, earlyBy string) (Disk, error) {
	if earlyBy != "" {
		e.Detail = withDetail(e.Detail, detailEarlyBy, earlyBy)
	}
	var saved Disk
	err := c.ledger.witnessed(ctx, d, e, func() (err error) {
		set := func(n *Disk) {
			n.ExpiringAt = c.ledger.clock().UTC().Truncate(time.Second)
			n.EarlyBy, n.EarlyReason = earlyBy, ""
			if earlyBy == EarlyByCapacity {
				n.EarlyReason = e.Reason
			}
		}
		if d.State == Expiring {
			next := d
			set(&next)
			next.RecordStale = true
			if saved, err = c.ledger.disks.PutDisk(ctx, next); err != nil {
				return fmt.Errorf("disk %s: write the catalog: %w", d.ID, err)
			}
			return nil
		}
		saved, err = c.ledger.move(ctx, d, Expiring, Entry{Actor: e.Actor, Reason: e.Reason}, set)
		return err
	})
	if err != nil {
		return d, err
	}
	return c.ledger.softSync(ctx, saved), nil
}

// expireEarly marks a disk for purge before its time, at the request of two people
// (EarlyPurge), where stands has nothing against it. It frees nothing: a later pass
// does, after the grace, unless a hold or an extension comes first. ErrRefused under a
// hold, under compliance, and before the least time of its rule is over. One that was
// marked to make room stays marked from now on, though there be room again, and its
// grace begins anew.
func (c *Collector) expireEarly(ctx context.Context, id string, e Entry, stands func(*Disk) error) (Disk, error) {
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return d, err
	}
	if err := c.clock.observe(ctx); err != nil {
		// By a wrong clock the grace would begin in the past.
		return d, c.ledger.refuse(ctx, d, e, err)
	}
	switch {
	case d.Held():
		return d, c.ledger.refuse(ctx, d, e, mayCutShort(&d, c.ledger.clock().UTC()))
	case d.State == Expiring && d.EarlyBy != EarlyByCapacity:
		return d, nil
	case d.State == Pending || d.State == Restoring || d.State == Purging:
		return d, fmt.Errorf("disk %s is %s: %w", id, d.State, ErrBusy)
	case d.State != Quarantined && d.State != Expiring:
		return d, c.ledger.refuse(ctx, d, e, refusedf("disk %s is %s", id, d.State))
	}
	if err := mayCutShort(&d, c.ledger.clock().UTC()); err != nil {
		return d, c.ledger.refuse(ctx, d, e, err)
	}
	if err := stands(&d); err != nil {
		return d, c.ledger.refuse(ctx, d, e, err)
	}
	if err := c.markable(ctx, &d); err != nil {
		return d, c.renewal(ctx, d, err)
	}
	return c.mark(ctx, d, e, e.Actor)
}
