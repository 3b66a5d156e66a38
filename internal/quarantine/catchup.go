package quarantine

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// catchUp returns the disk with what the record on its image promises more than the
// row, as far as the custody log knows of it. It is called before a record is written
// over.
//
// A row says less than the record when the catalog was put back from a backup. To
// write it over then, for any change of the disk, would take from the image what only
// the log still knows, and the purge, which compares row and record, would find that
// they agree. The record alone proves nothing: whoever holds the cloud's key can write
// it, and what the log does not know is written over as ever. A log that cannot be
// read leaves row and record as they are; the disk is then not purged.
//
// The caller has the disk's lock. A disk that was expiring and is not due any more
// goes back into quarantine.
func (l *Ledger) catchUp(ctx context.Context, d Disk, record []byte) (Disk, error) {
	on, err := DecodeRecord(d.Key, record)
	if err != nil || !on.promisesMore(&d) {
		return d, nil
	}
	entries, err := l.promises(ctx, d.ID)
	if err != nil {
		return d, fmt.Errorf("the record says more than the catalog, and the custody log does not say which is right: %w", err)
	}
	next := d
	replay(entries).keep(&next)
	if !next.promisesMore(&d) {
		return d, nil
	}
	l.log.Warn("the record on an image says more than the catalog: what the custody log knows of it is taken over", "disk", d.ID,
		"retain_until", next.RetainUntil, "was", d.RetainUntil, "holds", len(next.OpenHolds()), "had", len(d.OpenHolds()))
	if d.State != Expiring || due(&next, l.clock()) {
		return next, nil
	}
	why := "the catalog was older than the record on the image, and the custody log keeps the disk"
	return l.move(ctx, d, Quarantined, Entry{Act: "kept", Actor: "ledger", Reason: why}, func(n *Disk) {
		n.Holds, n.RetainUntil, n.Decision, n.IsolateBy = next.Holds, next.RetainUntil, next.Decision, next.IsolateBy
	})
}

// promisesMore reports whether the record promises what the row does not. A hold
// that the row has as released is none of that.
func (on *Disk) promisesMore(row *Disk) bool {
	for _, h := range on.OpenHolds() {
		if !slices.ContainsFunc(row.Holds, h.same) {
			return true
		}
	}
	// Also where two people cut it short: it may have been extended since.
	if on.RetainUntil.After(row.RetainUntil) {
		return true
	}
	strict := row.Decision.atLeast(on.Decision)
	return strict.Mode != row.Decision.Mode || strict.Min != row.Decision.Min || strict.KeepLast != row.Decision.KeepLast || on.WantsCopy() && !row.WantsCopy()
}

// same reports whether the other is this hold, as it may be known from elsewhere:
// open or released. The custody log has its own time of the placing.
func (h Hold) same(other Hold) bool {
	return h.CaseID == other.CaseID && h.PlacedAt.Sub(other.PlacedAt).Abs() <= time.Second
}
