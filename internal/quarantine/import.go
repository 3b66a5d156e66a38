package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// errForeignRecord is of a record that this service must not write over.
var errForeignRecord = errors.New("its record is left as it is")

// imported makes the row of an image that bears its own record, as it is when
// the catalog was lost. ErrNoRecord if it has none that is of use; then it is
// adopted as new.
//
// Whoever holds the cloud's Ceph key can write any record. So what the record
// says may lengthen what the disk is promised, and never shorten it: it is
// sealed evidence at best, not expired, asked for by nobody, kept as long as
// record, custody log and policy each would keep it, and held by every hold
// that the record or the custody log knows. Only the custody log makes it
// expiring, and then its grace begins anew. A Deletion that a cloud reported
// goes before the one that stands in the record.
func (a *Adopter) imported(ctx context.Context, id string, e TrashEntry, info ImageInfo) (Disk, error) {
	d, err := DecodeRecord(e.Key, info.Record)
	if errors.Is(err, ErrInvalid) {
		// Nobody can read it: no reason to leave the image unprotected. What
		// the custody log promised, the new adoption keeps.
		a.ledger.log.Error("record on the image cannot be read; adopting it as new", "disk", id, "image_id", e.Key.ImageID, "error", err)
		err = fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	if errors.Is(err, ErrConflict) {
		// Whoever holds the cloud's key can write such a record, too, so that a disk is not
		// adopted. What was in care under the other name the custody log knows.
		known, lerr := a.ledger.past.Entries(ctx, d.ID)
		if lerr == nil && len(known) == 0 {
			err = fmt.Errorf("%w: %w", ErrNoRecord, err)
		}
	}
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return Disk{}, fmt.Errorf("adopt %s: %w: %w", e.Key, errForeignRecord, err)
	}
	recorded := d.State
	h := a.ledger.history(ctx, id)
	switch {
	case !h.sealed && oldSeal(info, e):
		return a.importOldSeal(ctx, d, err == nil, e, info, h)
	case err != nil:
		return Disk{}, err
	case recorded == Restored && info.Sealed:
		return a.importOldSeal(ctx, d, true, e, info, h)
	case recorded == Restored:
		return Disk{}, fmt.Errorf("image %s: %w: its record is of an earlier stay, which ended", e.Key, ErrNoRecord)
	}
	d.Version, d.State = 0, ""
	d.EarlyBy, d.EarlyReason, d.ExpiringAt, d.Intent = "", "", time.Time{}, ""
	// A seal that is not there any more was taken off by somebody else, or by a purge,
	// which may have gone on: what is sealed now is what is left.
	unsure := !info.Sealed && (h.sealed || recorded == Expiring || d.SizeBytes > info.SizeBytes)
	d.Sealed, d.SizeBytes, d.ProtectedUntil = info.Sealed, info.SizeBytes, e.ProtectedUntil.UTC()
	d.Parent = inherit(d.Key, d.Parent, info.Parent)
	if err := a.importIdentity(ctx, &d, h); err != nil {
		return Disk{}, err
	}
	a.importPromises(&d, h)
	held := a.holdBy(ctx, &d, a.ledger.clock())
	if unsure {
		d.SealBrokenAt = a.ledger.clock().UTC().Truncate(time.Second)
	}
	to := Quarantined
	switch {
	case !info.Sealed || a.short(e.Key, e.ProtectedUntil):
		to = Pending // its adoption is finished now
	case h.expiring && !d.Held():
		to = Expiring
		d.ExpiringAt = a.ledger.clock().UTC().Truncate(time.Second)
		if mayCutShort(&d, d.ExpiringAt) == nil {
			d.EarlyBy, d.EarlyReason = h.earlyBy, h.earlyReason
		}
	}
	// A rebuild is of many disks: a record that says all this already need not
	// be written again.
	asTo := d
	asTo.State = to
	same, err := EncodeRecord(asTo)
	if err != nil {
		return d, err
	}
	d, err = a.ledger.move(ctx, d, to, importEntry(d), func(n *Disk) {
		n.RecordStale = !bytes.Equal(same, info.Record)
		n.ExpiringAt, n.EarlyBy, n.EarlyReason = d.ExpiringAt, d.EarlyBy, d.EarlyReason
		n.SealID, n.DataPool = h.sealOf(info), info.DataPool
	})
	if err == nil {
		a.ledger.noteAll(ctx, d, held)
	}
	if err == nil && unsure {
		a.ledger.note(ctx, d, Entry{Act: actSealOff, Actor: "unknown", Reason: "taken off by somebody else, or by a purge that was cut short", Detail: map[string]string{detailName: d.OriginalName}})
	}
	return d, err
}

// importOldSeal makes the row of an image whose seal is of before its death:
// restored, as far as its earlier stay goes. The collector takes the seal off,
// and then it is adopted anew.
func (a *Adopter) importOldSeal(ctx context.Context, d Disk, recorded bool, e TrashEntry, info ImageInfo, h history) (Disk, error) {
	if !recorded {
		d = Disk{ID: e.Key.DiskID(), Key: e.Key, OriginalName: e.Name, Capture: CaptureGuard, UsedBytes: -1, DeletedAt: info.SealedAt, QuarantinedAt: info.SealedAt}
	}
	d.Version, d.State, d.Intent, d.EarlyBy, d.EarlyReason, d.ExpiringAt = 0, "", "", "", "", time.Time{}
	d.Sealed, d.SizeBytes = true, info.SizeBytes
	h.keep(&d)
	a.ledger.log.Error("image came into the trash with a seal from before its death", "disk", d.ID, "pool", e.Key.PoolRef().String(), "name", e.Name, "sealed_at", info.SealedAt)
	d, err := a.ledger.move(ctx, d, Restored, importEntry(d), nil)
	if err != nil {
		return d, err
	}
	return d, errOldSeal(e.Key)
}

func importEntry(d Disk) Entry {
	return Entry{Act: "import", Actor: "reconciler", Reason: "read from the record on the image", Detail: promised(&d, map[string]string{detailDeletion: d.DeletionID()})}
}

// importIdentity settles whose disk it was: by what a cloud reported, else by
// the record where the custody log does not say otherwise.
func (a *Adopter) importIdentity(ctx context.Context, d *Disk, h history) error {
	claimed := d.Deletion
	d.Deletion = nil
	del, err := a.explain(ctx, *d)
	if err != nil {
		return fmt.Errorf("adopt %s: %w", d.Key, err)
	}
	if del != nil || claimed == nil {
		a.withDeletion(d, del)
		return nil
	}
	if h.deletion != "" && h.deletion != claimed.ID {
		a.ledger.log.Error("record on the image names another deletion than the custody log; it is not believed", "disk", d.ID, "deletion", claimed.ID)
		a.withDeletion(d, nil)
		return nil
	}
	known, err := a.deletions.Deletion(ctx, claimed.ID)
	if errors.Is(err, ErrNotFound) {
		known, _, err = a.deletions.MergeDeletion(ctx, *claimed)
	}
	if err != nil {
		return fmt.Errorf("disk %s: record the deletion from its image: %w", d.ID, err)
	}
	a.withDeletion(d, &known)
	return nil
}

// importPromises gives the disk the longest of what record, custody log and
// policy promise. A disk that the custody log does not know was perhaps never
// here before: its time begins now.
func (a *Adopter) importPromises(d *Disk, h history) {
	now := a.ledger.clock().UTC().Truncate(time.Second)
	if !h.adopted {
		a.ledger.log.Warn("record on the image is imported, and the custody log does not know the disk", "disk", d.ID, "image_id", d.Key.ImageID)
		d.QuarantinedAt = now
	}
	h.keep(d)
	// Not what the record says of it: a forged one would keep the policy from
	// promising more.
	d.Shortened = h.shortened
	asNew := *d
	a.decide(&asNew, now)
	d.Holds = asNew.Holds
	if asNew.RetainUntil.After(d.RetainUntil) {
		d.RetainUntil, d.Decision = asNew.RetainUntil, asNew.Decision
	}
	d.Decision = d.Decision.atLeast(asNew.Decision)
}
