package quarantine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Adopter takes images under quarantine.
//
// The order of its steps, each of which may be repeated and none of which
// destroys:
//
//  1. the row `pending`, with the image's key, the decision and its reason, is
//     committed: from here on the reconciler knows of the intent;
//  2. the record is written to the image's metadata: from here on the catalog
//     can be lost;
//  3. the seal snapshot is taken: from here on Ceph refuses a removal;
//  4. if the trash entry's own protection is short or over, the image is
//     restored under its reserved name and moved to the trash again with the
//     full protection: between the two the seal protects, and the reconciler
//     knows the reserved name;
//  5. the row becomes `quarantined`.
//
// A crash between any two leaves the disk protected by the guard, by the seal,
// or by both.
type Adopter struct {
	identity
	trash  Trash
	images Images

	mu sync.Mutex
	// deferred is when an entry came last that somebody else had put into the
	// trash with a protection of its own, by pool.
	deferred map[PoolRef]time.Time
}

// Deferred tells, by pool, when a disk came last whose own protection was too
// short: the cloud (Cinder's enable_deferred_deletion, OpenNebula's
// CEPH_TRASH=yes) or a person moved it to the trash, instead of removing it. It
// was protected anew. It knows of this process's time only.
func (a *Adopter) Deferred() map[PoolRef]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.deferred)
}

func (a *Adopter) noteDeferred(e TrashEntry, capture Capture) {
	if capture != CaptureGuard || strings.HasPrefix(e.Name, ReservedPrefix) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deferred[e.Key.PoolRef()] = a.ledger.clock().UTC()
}

// NewAdopter makes an Adopter.
func NewAdopter(l *Ledger, trash Trash, deletions Deletions, policy Policy, clusters Clusters) *Adopter {
	return &Adopter{
		identity: identity{ledger: l, deletions: deletions, policy: policy, clusters: clusters},
		trash:    trash, images: l.images, deferred: map[PoolRef]time.Time{},
	}
}

// Adopt takes a trash entry under quarantine, or finishes what an earlier call
// began. A disk that is in quarantine already is returned as it is. ErrBusy
// means that something else must happen first, and that the reconciler will
// come back to it; ErrNotFound that the image is gone.
func (a *Adopter) Adopt(ctx context.Context, e TrashEntry, capture Capture) (Disk, error) {
	id := e.Key.DiskID()
	unlock, err := a.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	d, err := func() (Disk, error) {
		defer unlock()
		return a.adoptLocked(ctx, id, e, capture)
	}()
	if err != nil || d.Deletion == nil {
		return d, err
	}
	// A disk of the same name that came earlier may have this one's Deletion,
	// for want of a nearer disk. Only now that both are known is it told apart;
	// and not under the lock, because it takes the other disk's.
	if _, err := a.rejoin(ctx, d.OriginalName); err != nil {
		return d, fmt.Errorf("join the disks named %q: %w", d.OriginalName, err)
	}
	return d, nil
}

func (a *Adopter) adoptLocked(ctx context.Context, id string, e TrashEntry, capture Capture) (Disk, error) {
	l := a.ledger
	d, err := l.disks.Disk(ctx, id)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Disk{}, fmt.Errorf("adopt %s: %w", e.Key, err)
	}
	switch d.State {
	case Quarantined, Expiring:
		if !secondLife(&d, e) {
			return d, nil
		}
		return a.endStay(ctx, d, e)
	case Restoring, Purging:
		return d, fmt.Errorf("adopt %s: %w: it is %s", e.Key, ErrBusy, d.State)
	case Restored:
		if d.Sealed && !d.Held() {
			return d, errOldSeal(e.Key)
		}
	}
	if !known && l.inUse(id) {
		return d, fmt.Errorf("adopt %s: %w: a restore that failed is just taking it back", e.Key, ErrBusy)
	}
	img, err := a.open(ctx, e.Key)
	if err != nil {
		return d, fmt.Errorf("adopt %s: %w", e.Key, err)
	}
	defer img.Close()
	info := img.Info()
	if d.State == Purged {
		return d, fmt.Errorf("adopt %s: %w: the catalog says that this image id was purged at %s", e.Key, ErrConflict, d.PurgedAt)
	}
	if !known && a.leftover(ctx, e, info.Mark) {
		return d, fmt.Errorf("adopt %s: %w: it is what a restore left behind, and the next collect run removes it", e.Key, ErrBusy)
	}
	if !known {
		d, err = a.imported(ctx, id, e, info)
		switch {
		case errors.Is(err, ErrNoRecord):
		case errors.Is(err, errForeignRecord) && !info.Sealed:
			// Its record is left as it is, whoever wrote it. The image is protected. After
			// no other error: that a seal is off is a sign, and must last until it is noted.
			return d, errors.Join(err, a.ledger.around("seal", func() error { return img.Seal(ctx) }))
		case err != nil || d.State != Pending:
			return d, err
		}
	}
	if d.State != Pending {
		if d, err = a.begin(ctx, d, id, e, info, capture); err != nil {
			return d, err
		}
	}
	return a.finish(ctx, d, e, img)
}

// leftover reports whether the entry is what a restore left behind. Where the
// custody log cannot be read, it is not: a copy that is kept for a while costs
// space, and a disk that is not kept is lost.
func (a *Adopter) leftover(ctx context.Context, e TrashEntry, mark []byte) bool {
	m, own := markOf(e.Key, mark)
	if !own || !m.leftover(e.Name) {
		return false
	}
	ours, err := a.ledger.vouched(ctx, m)
	return err == nil && ours
}

// secondLife reports whether the entry is not the one that the disk came with:
// somebody took the image out of the trash, used it, and it was deleted again.
// Entries that this service made bear names of its own.
func secondLife(d *Disk, e TrashEntry) bool {
	return !ownEntry(e.Key, e.Name) && e.DeletedAt.After(d.DeletedAt.Add(ClockSkew))
}

// oldSeal reports whether the seal on the image was taken before this death: it
// is that of an earlier stay, or somebody else's snapshot of that name, and
// what it shows is not what the disk held when it was deleted.
func oldSeal(info ImageInfo, e TrashEntry) bool {
	return info.Sealed && !ownEntry(e.Key, e.Name) && info.SealedAt.Before(e.DeletedAt)
}

func errOldSeal(key Key) error {
	return fmt.Errorf("adopt %s: %w: its old seal is taken off by the next collect run first", key, ErrBusy)
}

// endStay ends the stay of a disk that somebody took out of the trash and that
// was deleted again before anybody noticed. Its next stay begins when the
// collector has taken the old seal off. Under a hold the old seal is evidence,
// and stays; it keeps Ceph from removing either life.
func (a *Adopter) endStay(ctx context.Context, d Disk, e TrashEntry) (Disk, error) {
	why := "taken out of the trash by somebody else, and deleted again at " + e.DeletedAt.UTC().Format(time.RFC3339)
	a.ledger.log.Error("disk was taken out of the trash behind our back, and deleted again", "disk", d.ID, "pool", e.Key.PoolRef().String(), "name", e.Name, "held", d.Held())
	if d.Held() {
		return d, nil
	}
	d, err := restoredOutside(ctx, a.ledger, d, e.Name, why)
	if err != nil {
		return d, err
	}
	return d, errOldSeal(e.Key)
}

func (a *Adopter) open(ctx context.Context, key Key) (img Image, err error) {
	err = a.ledger.around("adopt.open", func() error {
		img, err = a.images.OpenImage(ctx, key)
		return err
	})
	return img, err
}

// begin commits the intent (step 1).
func (a *Adopter) begin(ctx context.Context, old Disk, id string, e TrashEntry, info ImageInfo, capture Capture) (Disk, error) {
	now := a.ledger.clock().UTC().Truncate(time.Second)
	d := Disk{
		ID: id, Key: e.Key, OriginalName: e.Name, Capture: capture,
		SizeBytes: info.SizeBytes, UsedBytes: -1, Sealed: info.Sealed,
		DeletedAt: e.DeletedAt.UTC().Truncate(time.Second), QuarantinedAt: now, ProtectedUntil: e.ProtectedUntil.UTC(),
		State: old.State, Version: old.Version,
	}
	// Found again (lost, or restored and deleted again): what was promised and
	// what holds it are not forgotten.
	if old.State == Lost || old.State == Restored {
		d.Holds, d.RetainUntil, d.AliveSince = old.Holds, old.RetainUntil, old.AliveSince
		d.Decision = old.Decision // what of it is a promise, decide keeps
	}
	if old.State == Restored {
		d.AliveSince = old.RestoredAt
	}
	if old.State == Lost && !secondLife(&old, e) && info.SizeBytes >= 0 { // the image was opened
		d.goesOn(&old, e, info.SealIDs, now)
	}
	if ownEntry(d.Key, d.OriginalName) && old.OriginalName != "" {
		d.OriginalName = old.OriginalName
	}
	h := a.ledger.history(ctx, id)
	if old.State == Restored && !info.Sealed {
		h.sealBroken = time.Time{} // that seal was of the life before
	}
	h.keep(&d)
	del, err := a.explain(ctx, d)
	if err != nil {
		return old, fmt.Errorf("adopt %s: %w", e.Key, err)
	}
	a.withDeletion(&d, del)
	a.decide(&d, now)
	held := a.holdBy(ctx, &d, now)
	entry := Entry{Act: "adopt", Actor: "adopter", Reason: d.Decision.Reason, Detail: promised(&d, map[string]string{
		detailName: d.OriginalName, "rule": d.Decision.Rule, "policy": d.Decision.PolicyHash,
		"capture": string(d.Capture), detailDeletion: d.DeletionID(),
	})}
	d, err = a.ledger.move(ctx, d, Pending, entry, nil)
	if err == nil {
		a.ledger.noteAll(ctx, d, held)
	}
	if err == nil && old.State == Lost && !d.SealBrokenAt.IsZero() { // to the log an adoption is another life, with another seal
		a.ledger.note(ctx, d, Entry{Act: actSealOff, Actor: "unknown", Reason: "taken off by somebody else, or by a purge that was cut short, while the disk was lost or before", Detail: map[string]string{detailName: d.OriginalName}})
	}
	return d, err
}

// goesOn lets a disk that was called lost and is there again, in the same life, be what
// it was. What it was promised begin keeps.
func (d *Disk) goesOn(old *Disk, e TrashEntry, seals []uint64, now time.Time) {
	d.Deletion, d.Role = old.Deletion, old.Role
	d.Copies, d.IsolateBy, d.ExtendedUntil = old.Copies, old.IsolateBy, old.ExtendedUntil
	d.SealBrokenAt = old.SealBrokenAt
	if old.CopyOf != nil {
		d.CopyOf, d.Capture = old.CopyOf, CaptureCopy
	}
	if ownEntry(e.Key, e.Name) && !old.DeletedAt.IsZero() {
		d.DeletedAt = old.DeletedAt // the entry's is when this service put it back
	}
	if old.SealID != 0 && !slices.Contains(seals, old.SealID) {
		d.SealBrokenAt = now
	}
}

// finish performs steps 2 to 5.
func (a *Adopter) finish(ctx context.Context, d Disk, e TrashEntry, img Image) (Disk, error) {
	l := a.ledger
	if !ownEntry(e.Key, e.Name) && e.DeletedAt.After(d.DeletedAt) {
		// A seizure that was finished long after it began: the entry's own time
		// is what secondLife compares with.
		d.DeletedAt = e.DeletedAt.UTC().Truncate(time.Second)
	}
	if d.SizeBytes < 0 {
		// A seizure that was cut short had not opened the image yet.
		d.SizeBytes = img.Info().SizeBytes
	}
	d.Parent = inherit(d.Key, d.Parent, img.Info().Parent)
	onImage := d
	onImage.State = Quarantined
	onImage.Sealed = true
	if err := l.writeRecord(ctx, img, onImage); err != nil {
		return d, fmt.Errorf("adopt %s: write its record: %w", d.Key, err)
	}
	if err := l.around("seal", func() error { return img.Seal(ctx) }); err != nil {
		return d, fmt.Errorf("adopt %s: seal: %w", d.Key, err)
	}
	if a.short(d.Key, e.ProtectedUntil) {
		a.noteDeferred(e, d.Capture)
	}
	until, err := a.protect(ctx, d, e.ProtectedUntil)
	if err != nil {
		return d, fmt.Errorf("adopt %s: %w", d.Key, err)
	}
	now := l.clock()
	d, err = l.move(ctx, d, Quarantined, Entry{Act: "seal", Actor: "adopter", Detail: sealDetail(img)}, func(n *Disk) {
		n.Sealed, n.SealID, n.DataPool = true, sealID(img), img.Info().DataPool
		n.ProtectedUntil = until
		n.RecordStale = false
	})
	if err != nil {
		return d, err
	}
	if !d.DeletedAt.IsZero() && d.CopyOf == nil {
		l.obs.Captured(now.Sub(d.DeletedAt))
	}
	if err := a.resolveLost(ctx, d); err != nil {
		return d, err
	}
	return a.joinedMeanwhile(ctx, d)
}

// joinedMeanwhile closes the gap between reading the Deletions (begin) and
// committing the disk: a Deletion recorded in that moment found no disk to
// join, and the disk did not find it.
func (a *Adopter) joinedMeanwhile(ctx context.Context, d Disk) (Disk, error) {
	if d.Deletion != nil {
		return d, nil
	}
	del, err := a.explain(ctx, d)
	if err != nil || del == nil {
		return d, err
	}
	return a.rejoinLocked(ctx, d, del)
}

// protect gives the entry the full protection time if less than half of it is
// left (step 4), and returns its end.
func (a *Adopter) protect(ctx context.Context, d Disk, until time.Time) (time.Time, error) {
	full := a.pool(d.Key.PoolRef()).Protect
	if !a.short(d.Key, until) {
		return until.UTC(), nil
	}
	now := a.ledger.clock()
	if err := reprotect(ctx, a.ledger, a.trash, d.Key, full); err != nil {
		return until, err
	}
	return now.Add(full).UTC().Truncate(time.Second), nil
}

// short reports whether less than half of the full protection time is left.
func (a *Adopter) short(key Key, until time.Time) bool {
	return !until.After(a.ledger.clock().Add(a.pool(key.PoolRef()).Protect / 2))
}

// reprotect moves the entry through its reserved name to the trash again, with
// the full protection. It may be repeated: an image that is already out, under
// the reserved name, is only moved back.
func reprotect(ctx context.Context, l *Ledger, trash Trash, key Key, full time.Duration) error {
	err := l.around("protect.restore", func() error {
		return trash.RestoreFromTrash(ctx, key, key.ReservedName())
	})
	// Not in the trash: it is out already, under the reserved name, or the
	// next step says that it is not.
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("take %s out of the trash to protect it: %w", key, err)
	}
	err = l.around("protect.trash", func() error {
		return trash.MoveToTrash(ctx, key.PoolRef(), key.ReservedName(), full)
	})
	if err != nil {
		return fmt.Errorf("move %s back to the trash with full protection: %w", key, err)
	}
	return nil
}
