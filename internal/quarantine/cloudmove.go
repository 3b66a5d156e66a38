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
	final  string // the one it gets then; "": not known before
	reason string
	detail map[string]string
	// take has the cloud take the live image of that name over, and give it
	// another. On error the image is there still, under whatever name.
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
// A cloud may have renamed it before it failed, and nothing but the image's id
// is relied on then; the failure is in the intent before anything else happens.
// After a crash the intent and the image's name tell the reconciler which of the
// two it was.
//
// The disk's lock is held while the cloud works: nobody may place a hold on it,
// purge it or restore it in that time, because the state restoring does not say
// whose the image is. The cloud's API ends its work by a deadline of its own.
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
	if err == nil {
		err = r.answers(ctx, d.Key)
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
	in := restoreIntent{Kind: intentMove, Dst: pool, Name: o.name, Final: o.final}
	d, err := r.begin(ctx, d, actor, in)
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
		back, berr := r.moveBack(lasting, d, actor, in, err)
		return back, errors.Join(fmt.Errorf("move disk %s to a cloud: %w", d.ID, err), berr)
	}
	name, err := liveName(lasting, r.images, d.Key)
	if err == nil && name == "" {
		err = fmt.Errorf("%w: it is not live", ErrBusy)
	}
	if err != nil {
		return d, fmt.Errorf("disk %s: look for the name that the cloud gave it (the next reconcile run finds it): %w", d.ID, err)
	}
	if err := dropNames(lasting, l, r.trash, d.Key, in); err != nil {
		return d, fmt.Errorf("%w (the next reconcile run tries again)", err)
	}
	return finishInPlace(lasting, l, d, name, actor)
}

// moveBack puts a disk that no cloud has taken over back into the trash.
func (r *Restorer) moveBack(ctx context.Context, d Disk, actor string, in restoreIntent, cause error) (Disk, error) {
	l := r.ledger
	in.Failed = cause.Error()
	failed, err := in.encode()
	if err != nil {
		return d, err
	}
	var noted error
	next := d
	next.Intent = failed
	if saved, err := l.disks.PutDisk(ctx, next); err == nil {
		d = saved
	} else {
		noted = fmt.Errorf("disk %s: note that its move failed: %w", d.ID, err)
	}
	e, err := bringBack(ctx, l, r.trash, r.images, d, protection(r.clusters, d.Key.PoolRef()))
	if err == nil {
		err = dropNames(ctx, l, r.trash, d.Key, in)
	}
	if err != nil {
		return d, errors.Join(noted, fmt.Errorf("%w (the next reconcile run tries again)", err))
	}
	d, err = l.move(ctx, d, Quarantined, Entry{Act: "restore-undone", Actor: actor, Reason: "not moved: " + cause.Error()}, func(n *Disk) {
		n.ProtectedUntil = e.ProtectedUntil.UTC()
	})
	if err != nil {
		return d, errors.Join(noted, err)
	}
	return l.softSync(ctx, d), nil
}

// bringBackTries bounds how often a name is looked for that changes meanwhile.
const bringBackTries = 3

// bringBack puts the disk's image into the trash, protected for that long,
// whatever name it is live under; one that is there already stays. It comes to
// lie there under a name of this service, else the adopter would take it for
// one that has lived and died again. It may be repeated.
func bringBack(ctx context.Context, l *Ledger, trash Trash, images Images, d Disk, full time.Duration) (TrashEntry, error) {
	for try := 1; ; try++ {
		name, err := liveName(ctx, images, d.Key)
		if err != nil {
			return TrashEntry{}, err
		}
		if name == "" {
			break
		}
		err = l.around("restore.retrash", func() error { return trash.MoveToTrash(ctx, d.Key.PoolRef(), name, full) })
		if err == nil {
			break
		}
		if !errors.Is(err, ErrNotFound) || try == bringBackTries { // else it was renamed at this moment
			return TrashEntry{}, fmt.Errorf("move disk %s (%s) back to the trash: %w", d.ID, name, err)
		}
	}
	e, err := trash.FindInTrash(ctx, d.Key)
	if err != nil {
		return e, fmt.Errorf("find disk %s again: %w", d.ID, err)
	}
	if ownEntry(d.Key, e.Name) || e.Name == d.OriginalName && !secondLife(&d, e) {
		return e, nil
	}
	if err := reprotect(ctx, l, trash, d.Key, full); err != nil {
		return e, err
	}
	if e, err = trash.FindInTrash(ctx, d.Key); err != nil {
		return e, fmt.Errorf("find disk %s again: %w", d.ID, err)
	}
	return e, nil
}

// dropNames sees to it that a disk is not reached by the names that its restore gave
// it or was to give it, but by the one that it is called. A rename that was cut short
// leaves the other, and maybe a record in the cloud that bears it: who deletes that
// record has the cloud remove the disk, past the guard and the seal.
func dropNames(ctx context.Context, l *Ledger, trash Trash, key Key, in restoreIntent) error {
	if in.Kind == intentClone {
		return nil // its names are the clone's
	}
	for _, name := range []string{in.Name, in.Final} {
		if name == "" {
			continue
		}
		err := l.around("restore.dropname", func() error { return trash.DropName(ctx, key, name) })
		if err != nil {
			return fmt.Errorf("drop the name %s, by which disk %s could be removed: %w", name, key.DiskID(), err)
		}
	}
	return nil
}

// liveName is the name under which the image is live; "" if it is not.
func liveName(ctx context.Context, images Images, key Key) (string, error) {
	live, err := images.LiveImages(ctx, key.PoolRef(), "")
	if err != nil {
		return "", fmt.Errorf("look for the name of image %s: %w", key, err)
	}
	for name, id := range live {
		if id == key.ImageID {
			return name, nil
		}
	}
	return "", nil
}
