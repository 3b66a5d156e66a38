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
		items, err := c.parallel(ctx, rep, page, c.mayRemove, func(d Disk) ReportItem { return c.expireOne(ctx, rep, d) })
		for _, it := range items {
			if it.Error != "" || rep.DryRun {
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

func (c *Collector) expireOne(ctx context.Context, rep *Report, d Disk) ReportItem {
	item := c.item(d, "expire", "kept until "+d.RetainUntil.UTC().Format(time.RFC3339))
	err := c.ledger.lastOfKind(ctx, &d)
	if err == nil {
		_, err = c.inTrash(ctx, &d)
	}
	if err == nil && !rep.DryRun {
		_, err = c.expire(ctx, d.ID, rep.Actor, item.Reason)
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
	if err := c.ledger.lastOfKind(ctx, &d); err != nil {
		return d, err
	}
	return c.markExpiring(ctx, d, actor, reason, "")
}

func (c *Collector) markExpiring(ctx context.Context, d Disk, actor, reason, earlyBy string) (Disk, error) {
	return c.mark(ctx, d, Entry{Act: "expire", Actor: actor, Reason: reason}, earlyBy)
}

func (c *Collector) mark(ctx context.Context, d Disk, e Entry, earlyBy string) (Disk, error) {
	var saved Disk
	// Before the record is written over.
	seenOn, err := c.remover.Inspect(ctx, d.Key)
	if err != nil {
		return d, fmt.Errorf("read the record of disk %s: %w", d.ID, err)
	}
	if err := c.recordAgrees(ctx, d, seenOn.Record); err != nil {
		return d, err
	}
	if earlyBy != "" {
		e.Detail = withDetail(e.Detail, detailEarlyBy, earlyBy)
	}
	err = c.ledger.witnessed(ctx, d, e, func() (err error) {
		saved, err = c.ledger.move(ctx, d, Expiring, Entry{Actor: e.Actor, Reason: e.Reason}, func(n *Disk) {
			n.ExpiringAt = c.ledger.clock().UTC().Truncate(time.Second)
			n.EarlyBy = earlyBy
			if earlyBy == EarlyByCapacity {
				n.EarlyReason = e.Reason
			}
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
// extension comes first. ErrRefused under a hold, under compliance, and before the
// least time of its rule is over.
func (c *Collector) ExpireEarly(ctx context.Context, actor, id, reason string) (Disk, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return Disk{}, err
	}
	return c.expireEarly(ctx, id, Entry{Act: "expire", Actor: actor, Reason: reason}, func(*Disk) error { return nil })
}

// expireEarly is ExpireEarly, where stands has nothing against it.
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
	case d.State == Expiring:
		return d, nil
	case d.State == Pending || d.State == Restoring || d.State == Purging:
		return d, fmt.Errorf("disk %s is %s: %w", id, d.State, ErrBusy)
	case d.State != Quarantined:
		return d, c.ledger.refuse(ctx, d, e, refusedf("disk %s is %s", id, d.State))
	}
	if err := mayCutShort(&d, c.ledger.clock().UTC()); err != nil {
		return d, c.ledger.refuse(ctx, d, e, err)
	}
	if err := stands(&d); err != nil {
		return d, c.ledger.refuse(ctx, d, e, err)
	}
	return c.mark(ctx, d, e, e.Actor)
}
