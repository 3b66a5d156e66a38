package quarantine

import (
	"context"
	"errors"
	"fmt"
)

// usedBy counts who has marked the disk as in use.
func (l *Ledger) usedBy(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[id]
}

// DropFirstSeal removes the first seal of a disk that has a second one with the
// same bytes. It is the only act by which a seal goes and the disk stays.
//
// Who calls has compared the two; snapshots do not change, and Ceph gives no id
// twice, so that the pair's ids stand for what was compared. Everything else is
// asked again here, under the disk's lock: that it is in quarantine and in the
// trash, that nobody else uses it, and that no clone stands on the seal.
func (c *Collector) DropFirstSeal(ctx context.Context, actor, id string, pair SealPair, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case d.State != Quarantined && d.State != Expiring || !d.Pins():
		return refusedf("disk %s is %s, and stands on a parent: %v", id, d.State, d.Pins())
	case l.usedBy(id) > 1: // the caller is one
		return fmt.Errorf("disk %s is being read: %w", id, ErrBusy)
	}
	e, err := c.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return errNotInTrash(&d)
	case err != nil:
		return fmt.Errorf("look for disk %s in the trash: %w", id, err)
	case secondLife(&d, e):
		return fmt.Errorf("disk %s was taken out of the trash and deleted again: %w; left to the reconciler", id, ErrConflict)
	}
	in, err := c.remover.Inspect(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("ask what stands on the seal of disk %s: %w", id, err)
	}
	if len(in.Dependents) > 0 {
		return fmt.Errorf("disk %s: %w: %v depend on it", id, ErrBusy, in.Dependents)
	}
	entry := Entry{Act: "reseal", Actor: actor, Reason: reason, Detail: map[string]string{
		"first": fmt.Sprint(pair.First), "second": fmt.Sprint(pair.Second), "snapshot": FlatSeal}}
	return l.witnessed(ctx, d, entry, func() error {
		// Before the act: the watch of the seals must not take it for a stranger's.
		d.SealID = pair.Second
		if _, err := l.disks.PutDisk(ctx, d); err != nil {
			return fmt.Errorf("disk %s: write its new seal: %w", id, err)
		}
		if err := l.around("reseal.drop", func() error { return c.remover.RemoveFirstSeal(ctx, d.Key, pair) }); err != nil {
			return fmt.Errorf("remove the first seal of disk %s: %w", id, err)
		}
		return nil
	})
}
