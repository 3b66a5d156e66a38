package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// moveOrder asks for a disk itself, not a copy, to be given to a cloud.
type moveOrder struct {
	name   string // its name while no cloud has it
	reason string
	detail map[string]string
	// take has the cloud take the live image of that name over, and give it
	// another. On error the image is there still, under the name.
	take func(ctx context.Context) error
}

// move gives the disk itself to a cloud; it leaves quarantine. ErrRefused under
// a hold.
//
// intent → out of the trash under a name of this service → the cloud takes it
// over and renames it → `restored`. The seal stays on it until the end is known
// and the collector takes it off, so that Ceph refuses a removal at any moment;
// a volume service does not mind a snapshot that it has not made. If the cloud
// does not want it, it goes back to the trash under full protection, and is the
// same disk as before, with all that is known of it: it has not ended its stay.
// After a crash the image's name tells the reconciler which of the two it was.
func (r *Restorer) move(ctx context.Context, actor, id string, o moveOrder) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	l := r.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	e := Entry{Act: "restore", Actor: actor, Reason: o.reason, Detail: map[string]string{"as": intentMove, "to": d.Key.PoolRef().String() + "/" + o.name}}
	for k, v := range o.detail {
		e.Detail[k] = v
	}
	err = r.restorable(d)
	if err == nil && d.Held() {
		err = refusedf("disk %s is under the hold of case %s; restore a copy of it, or release the hold", id, d.OpenHolds()[0].CaseID)
	}
	if err == nil && l.inUse(id) {
		err = fmt.Errorf("disk %s is being read: %w", id, ErrBusy)
	}
	if err != nil {
		return d, l.refuse(ctx, d, e, err)
	}
	err = l.witnessed(ctx, d, e, func() error {
		d, err = r.moveOut(ctx, d, actor, o)
		return err
	})
	return d, err
}

func (r *Restorer) moveOut(ctx context.Context, d Disk, actor string, o moveOrder) (Disk, error) {
	l, pool := r.ledger, d.Key.PoolRef()
	lasting := context.WithoutCancel(ctx)
	d, err := r.begin(ctx, d, actor, restoreIntent{Kind: intentMove, Dst: pool, Name: o.name})
	if err != nil {
		return d, err
	}
	err = l.around("restore.untrash", func() error { return r.untrash(ctx, d.Key, o.name) })
	if errors.Is(err, ErrUnavailable) {
		// It may have been done all the same: the reconciler looks.
		return d, fmt.Errorf("take disk %s out of the trash (the next reconcile run finds out what came of it): %w", d.ID, err)
	}
	if err == nil {
		err = l.around("restore.take", func() error { return o.take(ctx) })
	}
	if err != nil {
		back, berr := r.moveBack(lasting, d, actor, o.name, err)
		return back, errors.Join(fmt.Errorf("move disk %s to a cloud: %w", d.ID, err), berr)
	}
	name := o.name
	live, err := r.images.LiveImages(lasting, pool, "")
	if err != nil {
		return d, fmt.Errorf("disk %s: look for the name that the cloud gave it (the next reconcile run finds it): %w", d.ID, err)
	}
	for n, imageID := range live {
		if imageID == d.Key.ImageID {
			name = n
		}
	}
	return finishInPlace(lasting, l, d, name, actor)
}

// moveBack puts a disk that no cloud has taken over back into the trash.
func (r *Restorer) moveBack(ctx context.Context, d Disk, actor, name string, cause error) (Disk, error) {
	l := r.ledger
	full := protection(r.clusters, d.Key.PoolRef())
	until := l.clock().Add(full).UTC().Truncate(time.Second)
	err := l.around("restore.retrash", func() error {
		return r.trash.MoveToTrash(ctx, d.Key.PoolRef(), name, full)
	})
	if errors.Is(err, ErrNotFound) {
		// It never left the trash, or the cloud has taken it over all the same.
		entry, ferr := r.trash.FindInTrash(ctx, d.Key)
		if ferr != nil {
			return d, fmt.Errorf("find disk %s again (the next reconcile run does): %w", d.ID, ferr)
		}
		until, err = entry.ProtectedUntil.UTC(), nil
	}
	if err != nil {
		return d, fmt.Errorf("move disk %s back to the trash (the next reconcile run tries again): %w", d.ID, err)
	}
	d, err = l.move(ctx, d, Quarantined, Entry{Act: "restore-undone", Actor: actor, Reason: "not moved: " + cause.Error()}, func(n *Disk) { n.ProtectedUntil = until })
	if err != nil {
		return d, err
	}
	return l.softSync(ctx, d), nil
}
