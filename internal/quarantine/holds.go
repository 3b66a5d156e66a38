package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Holds places and lifts legal holds, and extends retention. It has no means
// to remove anything.
type Holds struct {
	ledger   *Ledger
	trash    Trash
	clusters Clusters
}

// NewHolds makes the service.
func NewHolds(l *Ledger, trash Trash, clusters Clusters) *Holds {
	return &Holds{ledger: l, trash: trash, clusters: clusters}
}

// Hold places a legal hold: until it is released the disk never expires. A
// second hold of the same case is success and changes nothing. ErrRefused if
// the disk is being purged, or is not in quarantine any more.
func (h *Holds) Hold(ctx context.Context, actor, id, caseID, reason string) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	if err := required(caseID, "the case id"); err != nil {
		return Disk{}, err
	}
	if err := required(reason, "a reason"); err != nil {
		return Disk{}, err
	}
	e := Entry{Act: "hold", Actor: actor, Reason: reason, Detail: map[string]string{"case": caseID}}
	return h.withCopies(ctx, id, e, func(d *Disk, now time.Time) error {
		if openHold(d.Holds, caseID) >= 0 {
			return errUnchanged
		}
		d.Holds = append(append([]Hold(nil), d.Holds...), Hold{CaseID: caseID, Reason: reason, By: actor, PlacedAt: now})
		return nil
	})
}

// Release lifts the hold of a case. ErrNotFound if no such hold is open.
func (h *Holds) Release(ctx context.Context, actor, id, caseID, reason string) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	if err := required(reason, "a reason"); err != nil {
		return Disk{}, err
	}
	e := Entry{Act: "release", Actor: actor, Reason: reason, Detail: map[string]string{"case": caseID}}
	return h.change(ctx, id, e, func(d *Disk, now time.Time) error {
		i := openHold(d.Holds, caseID)
		if i < 0 {
			return fmt.Errorf("disk %s has no open hold of case %q: %w", d.ID, caseID, ErrNotFound)
		}
		d.Holds = append([]Hold(nil), d.Holds...)
		d.Holds[i].Released, d.Holds[i].ReleaseBy, d.Holds[i].ReleaseReason = now, actor, reason
		return nil
	})
}

// Extend moves retain-until to a later date. ErrInvalid if the date has
// passed, ErrRefused if it is earlier than the present one: retention grows.
func (h *Holds) Extend(ctx context.Context, actor, id string, until time.Time, reason string) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	if err := required(reason, "a reason"); err != nil {
		return Disk{}, err
	}
	until = until.UTC().Truncate(time.Second)
	e := Entry{Act: "extend", Actor: actor, Reason: reason, Detail: map[string]string{"retain_until": until.Format(time.RFC3339)}}
	return h.withCopies(ctx, id, e, func(d *Disk, now time.Time) error {
		switch {
		case !until.After(now):
			return invalidf("the new date %s has passed", until.Format(time.RFC3339))
		case until.Before(d.RetainUntil):
			return refusedf("disk %s is kept until %s; its retention can only grow", d.ID, d.RetainUntil.Format(time.RFC3339))
		case until.Equal(d.RetainUntil):
			return errUnchanged
		}
		d.RetainUntil, d.ExtendedUntil = until, until
		return nil
	})
}

// withCopies is change of a disk and then of its copies in the evidence pool:
// what keeps a disk keeps them, too. Not the other way round, and not for a
// release: a copy that is kept for too long does no harm. An error about a copy
// means that the disk was changed, and can be tried again.
func (h *Holds) withCopies(ctx context.Context, id string, e Entry, edit func(d *Disk, now time.Time) error) (Disk, error) {
	d, err := h.change(ctx, id, e, edit)
	if err != nil {
		return d, err
	}
	for _, ref := range d.Copies {
		c, err := h.ledger.disks.Disk(ctx, ref.Disk)
		if errors.Is(err, ErrNotFound) || err == nil && (!c.State.InQuarantine() || e.Act == "extend" && !c.RetainUntil.Before(d.RetainUntil)) {
			continue
		}
		if err == nil {
			_, err = h.change(ctx, ref.Disk, e, edit)
		}
		if err != nil {
			return d, fmt.Errorf("disk %s is changed, its copy is not: %w", id, err)
		}
	}
	return d, nil
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// change performs one witnessed change of a disk's dates or holds. A disk that
// was expiring goes back into quarantine when the change forbids its expiry.
func (h *Holds) change(ctx context.Context, id string, e Entry, edit func(d *Disk, now time.Time) error) (Disk, error) {
	l := h.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	now := l.clock().UTC().Truncate(time.Second)
	if d.State == Purging && e.Act != "release" {
		// The collector does not have it (its lock is ours): its purge was cut
		// short, and may not have come to the image yet.
		if d, err = takeBack(ctx, l, h.trash, h.clusters, d, e.Actor, e.Act+": "+e.Reason, false); err != nil {
			return d, l.refuse(ctx, d, e, fmt.Errorf("%w: disk %s is being purged: %w", ErrRefused, id, err))
		}
	}
	if !d.State.InQuarantine() || d.State == Purging {
		return d, l.refuse(ctx, d, e, refusedf("disk %s is %s", id, d.State))
	}
	edited := d
	if err := edit(&edited, now); err != nil {
		if errors.Is(err, errUnchanged) {
			return d, nil
		}
		return d, l.refuse(ctx, d, e, err)
	}
	var saved Disk
	err = l.witnessed(ctx, d, e, func() error {
		set := func(n *Disk) {
			n.Holds, n.RetainUntil, n.ExtendedUntil = edited.Holds, edited.RetainUntil, edited.ExtendedUntil
			n.RecordStale = true
		}
		if d.State == Expiring && (edited.Held() || e.Act == "extend") {
			saved, err = l.move(ctx, d, Quarantined, Entry{Actor: e.Actor, Reason: e.Act + ": " + e.Reason}, set)
			return err
		}
		next := d
		set(&next)
		saved, err = l.disks.PutDisk(ctx, next)
		if err != nil {
			return fmt.Errorf("disk %s: write the catalog: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return d, err
	}
	if saved.State == Pending || saved.State == Restoring {
		return saved, nil // written when it is sealed, or by the reconciler
	}
	return l.softSync(ctx, saved), nil
}

func openHold(holds []Hold, caseID string) int {
	for i, h := range holds {
		if h.CaseID == caseID && h.Open() {
			return i
		}
	}
	return -1
}

func required(s, what string) error {
	if strings.TrimSpace(s) == "" {
		return invalidf("%s is missing", what)
	}
	return nil
}
