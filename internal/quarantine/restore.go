package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Restorer gives disks back. It has no means to remove anything: the seal of a
// disk restored in place is taken off by the collector.
type Restorer struct {
	ledger   *Ledger
	trash    Trash
	images   Images
	cloner   Cloner
	clusters Clusters
}

// NewRestorer makes the service.
func NewRestorer(l *Ledger, trash Trash, cloner Cloner, clusters Clusters) *Restorer {
	return &Restorer{ledger: l, trash: trash, images: l.images, cloner: cloner, clusters: clusters}
}

// restoreIntent is what stands in Disk.Intent while it is restoring.
type restoreIntent struct {
	Kind    string  `json:"kind"` // clone, in-place or move
	Dst     PoolRef `json:"dst"`
	Name    string  `json:"name"`
	Flatten bool    `json:"flatten,omitempty"`
	// Final is the name that the cloud gives a disk that is moved, where that is
	// known before.
	Final string `json:"final,omitempty"`
	// Failed says why a move failed. From then on the disk goes back to the
	// trash, whatever name it has: a cloud that has renamed it and then failed
	// leaves it under a name of its own.
	Failed string `json:"failed,omitempty"`
}

// intentOf reads the disk's intent.
func intentOf(d Disk) (restoreIntent, error) {
	var in restoreIntent
	if err := json.Unmarshal([]byte(d.Intent), &in); err != nil {
		return in, fmt.Errorf("disk %s: read its intent: %w: %w", d.ID, ErrInvalid, err)
	}
	return in, nil
}

// encode is the intent as Disk.Intent keeps it.
func (in restoreIntent) encode() (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("encode the intent: %w", err)
	}
	return string(b), nil
}

const (
	intentClone   = "clone"
	intentInPlace = "in-place"
	// intentMove: out of the trash under Name, for a cloud to take it over,
	// which gives it another name.
	intentMove = "move"
)

// Clone gives the disk back as a copy-on-write clone of its seal, under a new
// name; the disk stays in quarantine. With flatten the clone becomes
// independent of it. dst.Pool "" means the disk's own pool.
//
// librbd clones by name only, so the image leaves the trash under its reserved
// name for the moment of the clone: intent → out of the trash → clone → back
// into the trash under full protection → flatten. The seal is on it all the
// time, and the reconciler finishes a crash between any two. ErrExists if the
// name is taken.
func (r *Restorer) Clone(ctx context.Context, actor, id string, dst PoolRef, name string, flatten bool, reason string, progress Progress) (Disk, error) {
	return r.cloneAs(ctx, actor, id, cloneOrder{dst: dst, name: name, flatten: flatten, reason: reason, as: intentClone, progress: progress})
}

// cloneOrder asks for a clone of a disk.
type cloneOrder struct {
	dst     PoolRef
	name    string
	flatten bool
	reason  string
	// as and detail go into the custody log.
	as     string
	detail map[string]string
	// marked: the clone bears a mark, by which it is known as a restore's.
	marked   bool
	progress Progress
	// then goes on with the clone; nil: nothing more is to be done. The custody
	// log says that the restore is done when it returns.
	then func(ctx context.Context) error
}

func (r *Restorer) cloneAs(ctx context.Context, actor, id string, o cloneOrder) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	unlock, err := r.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	locked := true
	defer func() {
		if locked {
			unlock()
		}
	}()
	d, err := r.ledger.disks.Disk(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	if o.dst.Pool == "" {
		o.dst = d.Key.PoolRef()
	}
	o.dst.FSID = d.Key.FSID
	e := Entry{Act: "restore", Actor: actor, Reason: o.reason, Detail: map[string]string{
		"as": o.as, "to": restoreTarget(o.dst, o.name), "flatten": fmt.Sprint(o.flatten)}}
	for k, v := range o.detail {
		e.Detail[k] = v
	}
	if err := errors.Join(validImageName(o.name), r.restorable(d)); err != nil {
		return d, r.ledger.refuse(ctx, d, e, err)
	}
	// The disk is in use until the flatten is over, so that the collector
	// leaves the parent alone; its lock is given back before, because a
	// flatten takes long and a hold must not wait for it.
	done := r.ledger.use(id)
	defer done()
	err = r.ledger.witnessed(ctx, d, e, func() error {
		d, err = r.clone(ctx, d, actor, o)
		if err != nil || !o.flatten && o.then == nil {
			return err
		}
		unlock()
		locked = false
		if o.flatten {
			err = r.ledger.around("restore.flatten", func() error {
				return r.cloner.Flatten(ctx, o.dst, o.name, o.progress)
			})
		}
		if err != nil || o.then == nil {
			return err
		}
		return o.then(ctx)
	})
	return d, err
}

func (r *Restorer) clone(ctx context.Context, d Disk, actor string, o cloneOrder) (Disk, error) {
	l := r.ledger
	key := d.Key
	if taken, err := r.images.LiveImages(ctx, o.dst, o.name); err != nil {
		return d, fmt.Errorf("look for %s/%s: %w", o.dst, o.name, err)
	} else if taken[o.name] != "" {
		return d, fmt.Errorf("restore to %s/%s: %w", o.dst, o.name, ErrExists)
	}
	d, err := r.begin(ctx, d, actor, restoreIntent{Kind: intentClone, Dst: o.dst, Name: o.name, Flatten: o.flatten})
	if err != nil {
		return d, err
	}
	var actErr error
	if o.marked {
		actErr = r.mark(ctx, key, restoreMark{Of: key, To: o.dst, Name: o.name, As: o.as, By: actor, Phase: phaseMade})
	}
	if actErr == nil {
		actErr = l.around("restore.untrash", func() error {
			return r.untrash(ctx, key, key.ReservedName())
		})
	}
	if actErr == nil {
		actErr = l.around("restore.clone", func() error {
			cloning := ctx
			if o.marked { // not left half-way: what came of it must be known, to be taken back
				cloning = context.WithoutCancel(ctx)
			}
			return r.cloner.Clone(cloning, key.PoolRef(), key.ReservedName(), o.dst, o.name)
		})
	}
	// Back into the trash whatever came of the clone, and also when the caller
	// has gone: a disk must not stay outside.
	back, err := r.retrash(context.WithoutCancel(ctx), d, actor)
	if err != nil {
		return d, errors.Join(actErr, err)
	}
	if actErr != nil {
		return back, fmt.Errorf("restore disk %s to %s/%s: %w", d.ID, o.dst, o.name, actErr)
	}
	return back, nil
}

// mark writes a restore's mark on an image.
func (r *Restorer) mark(ctx context.Context, on Key, m restoreMark) error {
	m.At = r.ledger.clock().UTC().Truncate(time.Second)
	return writeMark(ctx, r.ledger, on, m)
}

func writeMark(ctx context.Context, l *Ledger, on Key, m restoreMark) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	return l.around("restore.mark", func() error {
		img, err := l.images.OpenImage(ctx, on)
		if err != nil {
			return fmt.Errorf("mark %s as a restore's: %w", on, err)
		}
		defer img.Close()
		return img.WriteMark(ctx, b)
	})
}

// begin commits the intent.
func (r *Restorer) begin(ctx context.Context, d Disk, actor string, in restoreIntent) (Disk, error) {
	intent, err := in.encode()
	if err != nil {
		return d, err
	}
	return r.ledger.move(ctx, d, Restoring, Entry{Actor: actor, Reason: in.Kind + " to " + in.Dst.String() + "/" + in.Name}, func(n *Disk) {
		n.Intent = intent
	})
}

// retrash ends the state restoring with the disk in the trash, protected.
func (r *Restorer) retrash(ctx context.Context, d Disk, actor string) (Disk, error) {
	l := r.ledger
	full := protection(r.clusters, d.Key.PoolRef())
	until := d.ProtectedUntil
	err := l.around("restore.retrash", func() error {
		return r.trash.MoveToTrash(ctx, d.Key.PoolRef(), d.Key.ReservedName(), full)
	})
	switch {
	case err == nil:
		until = l.clock().Add(full).UTC().Truncate(time.Second)
	case !errors.Is(err, ErrNotFound): // ErrNotFound: it never left the trash
		return d, fmt.Errorf("move disk %s back to the trash (the next reconcile run tries again): %w", d.ID, err)
	}
	d, err = l.move(ctx, d, Quarantined, Entry{Actor: actor, Reason: "back in the trash"}, func(n *Disk) { n.ProtectedUntil = until })
	if err != nil {
		return d, err
	}
	return l.softSync(ctx, d), nil
}

// InPlace gives the disk back under its original name; it leaves quarantine.
// ErrRefused under a hold, ErrExists if the name is taken.
//
// intent → out of the trash under the original name → `restored`. The seal is
// still on it then; the collector, which alone may remove, takes it off in its
// next run. If the cloud deletes the image before that, it is adopted when the
// old seal is off, and guard and old seal protect it meanwhile.
func (r *Restorer) InPlace(ctx context.Context, actor, id, reason string) (Disk, error) {
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
	e := Entry{Act: "restore", Actor: actor, Reason: reason, Detail: map[string]string{"as": intentInPlace, "to": d.Key.PoolRef().String() + "/" + d.OriginalName}}
	err = r.restorable(d)
	if err == nil && d.Held() {
		err = refusedf("disk %s is under the hold of case %s; restore it as a clone, or release the hold", id, d.OpenHolds()[0].CaseID)
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
		d, err = r.begin(ctx, d, actor, restoreIntent{Kind: intentInPlace, Dst: d.Key.PoolRef(), Name: d.OriginalName})
		if err != nil {
			return err
		}
		err = l.around("restore.untrash", func() error { return r.untrash(ctx, d.Key, d.OriginalName) })
		if errors.Is(err, ErrUnavailable) {
			// It may have been done all the same: the reconciler looks.
			return fmt.Errorf("restore disk %s as %s (the next reconcile run finds out what came of it): %w", id, d.OriginalName, err)
		}
		if err != nil {
			back, berr := l.move(context.WithoutCancel(ctx), d, Quarantined, Entry{Actor: actor, Reason: "not restored: " + err.Error()}, nil)
			if berr == nil {
				d = l.softSync(context.WithoutCancel(ctx), back)
			}
			return errors.Join(fmt.Errorf("restore disk %s as %s: %w", id, d.OriginalName, err), berr)
		}
		d, err = finishInPlace(context.WithoutCancel(ctx), l, d, d.OriginalName, actor)
		return err
	})
	return d, err
}

// answers returns ErrUnavailable where Ceph does not answer for the image, or its cluster
// is not in the configuration any more: what is begun then waits in the row, and keeps
// the disk from everybody, until it answers again.
func (r *Restorer) answers(ctx context.Context, key Key) error {
	if _, err := r.trash.FindInTrash(ctx, key); errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("look for disk %s in the trash: %w", key.DiskID(), err)
	}
	return nil
}

// untrash takes the image out of the trash. It is not left by a caller that
// goes away: what came of it would not be known.
func (r *Restorer) untrash(ctx context.Context, key Key, name string) error {
	return r.trash.RestoreFromTrash(context.WithoutCancel(ctx), key, name)
}

// finishInPlace ends an in-place restore whose image is live under the name.
// The record on the image is written first: it says that the stay is over, so
// that a lost catalog does not take the live image for evidence.
func finishInPlace(ctx context.Context, l *Ledger, d Disk, name, actor string) (Disk, error) {
	img, err := l.images.OpenImage(ctx, d.Key)
	if err != nil {
		return d, fmt.Errorf("disk %s: write that it was restored: %w", d.ID, err)
	}
	defer img.Close()
	now := l.clock().UTC().Truncate(time.Second)
	set := func(n *Disk) {
		n.Intent, n.RestoredAt, n.RestoredTo, n.ExpiringAt, n.RecordStale = "", now, name, time.Time{}, false
	}
	onImage := d
	onImage.State = Restored
	set(&onImage)
	if err := l.writeRecord(ctx, img, onImage); err != nil {
		return d, fmt.Errorf("disk %s: write that it was restored: %w", d.ID, err)
	}
	return l.move(ctx, d, Restored, Entry{Actor: actor, Reason: "live again as " + name}, set)
}

// restorable refuses what is not sealed evidence at rest.
func (r *Restorer) restorable(d Disk) error {
	switch d.State {
	case Quarantined, Expiring:
		return nil
	case Pending, Restoring:
		return fmt.Errorf("disk %s is %s: %w", d.ID, d.State, ErrBusy)
	}
	return refusedf("disk %s is %s; there is nothing to restore", d.ID, d.State)
}

// validImageName refuses names that rbd cannot take or that this service keeps
// for itself.
func validImageName(name string) error {
	switch {
	case name == "":
		return invalidf("the name of the restored image is missing")
	case strings.ContainsAny(name, "/@"):
		return invalidf("image name %q contains / or @", name)
	case strings.HasPrefix(name, ReservedPrefix):
		return invalidf("image name %q begins with %q, which is reserved", name, ReservedPrefix)
	}
	return nil
}

// protection is the full protection time of a trash entry of the pool.
func protection(c Clusters, p PoolRef) time.Duration {
	for _, pool := range c.Pools() {
		if pool.PoolRef == p {
			return pool.Protect
		}
	}
	return 10 * 365 * 24 * time.Hour // a pool that left the configuration: its disks keep the longest we know
}
