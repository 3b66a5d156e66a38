package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errNoReading is of a record on an image that cannot be read.
var errNoReading = errors.New("its record cannot be read; the next reconcile run renews it")

// recordAgrees looks at the record on the image, which another daemon with
// another catalog, or this one before its catalog was put back from a backup,
// may have written: if it promises more than the row, nothing is expired or
// purged.
func (c *Collector) recordAgrees(d *Disk, record []byte) error {
	on, err := DecodeRecord(d.Key, record)
	if err != nil {
		return fmt.Errorf("disk %s: %w: %w: %w", d.ID, ErrRefused, errNoReading, err)
	}
	return recordAllows(&on, d, c.ledger.clock().UTC())
}

// renew is renewal of a disk that the caller has not locked.
func (c *Collector) renew(ctx context.Context, id string, cause error) error {
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return errors.Join(cause, err)
	}
	defer unlock()
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return errors.Join(cause, err)
	}
	return c.renewal(ctx, d, cause)
}

// renewal notes of a disk, whose lock the caller has, that its record is to be
// written anew, if that is what cause is about: the row is what counts.
func (c *Collector) renewal(ctx context.Context, d Disk, cause error) error {
	if !errors.Is(cause, errNoReading) || d.RecordStale {
		return cause
	}
	d.RecordStale = true
	_, err := c.ledger.disks.PutDisk(ctx, d)
	return errors.Join(cause, err)
}

// recordAllows returns what the record on the image promises and the row does not,
// and that keeps the disk, or nil.
func recordAllows(on, d *Disk, now time.Time) error {
	for _, h := range on.OpenHolds() {
		if openHold(d.Holds, h.CaseID) < 0 {
			return refusedf("disk %s: the record on its image has a hold of case %s that the catalog does not know; `catalog rebuild` takes it over", d.ID, h.CaseID)
		}
	}
	strict := *d
	strict.Decision = d.Decision.atLeast(on.Decision)
	switch {
	case on.RetainUntil.After(d.RetainUntil):
		return refusedf("disk %s: the record on its image keeps it until %s, the catalog until %s; `catalog rebuild` takes the later date over",
			d.ID, on.RetainUntil.UTC().Format(time.RFC3339), d.RetainUntil.UTC().Format(time.RFC3339))
	case on.WantsCopy() && !d.WantsCopy():
		return refusedf("disk %s: by the record on its image it is to be copied to the evidence pool first, and the catalog does not know; `catalog rebuild` takes it over", d.ID)
	case strict.Decision.KeepLast != d.Decision.KeepLast:
		return refusedf("disk %s: by the record on its image the last %s are kept, and the catalog does not know; `catalog rebuild` takes it over", d.ID, strict.Decision.KeepLast)
	case d.RetainUntil.After(now):
		if err := mayCutShort(&strict, now); err != nil {
			return fmt.Errorf("the record on its image says more than the catalog; `catalog rebuild` takes it over: %w", err)
		}
	}
	return nil
}
