package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// leftoverAge is how old the mark on a restore's clone must be before a pass
// takes the clone for left behind by a crash. A restore that is under way in
// this process is known, however long it takes.
const leftoverAge = time.Hour

// DiscardClone removes the clone that a restore has made and could not hand to
// a cloud. It removes nothing else: the image must bear a restore's mark that
// was written for this very image, must not belong to a cloud by that mark, must
// not be a disk that the catalog knows, and nobody may use it. ErrRefused if
// one of these is not so, ErrBusy if a client has it open or a clone stands on
// it; an image that is gone is success.
//
// The order, and why:
//
//	a. The catalog is asked first, under the lock that an adoption of the image
//	   would take: what it knows is evidence, whatever stands on the image.
//	b. The mark is read from the image, and Ceph is asked who uses it.
//	c. The custody entry is durable, or nothing happens.
//	d. The mark says "discard". From here on a crash leaves an image that the
//	   adopter does not take for one that died, wherever it is found, and that
//	   the next pass finds by its name or in the trash.
//	e. The snapshots that the image service was to have are removed. Done
//	   before d, a crash would leave an image that looks ready.
//	f. It goes to the trash with no protection; one that the cloud itself
//	   removed is there already, protected by the guard, and is taken out under
//	   its name first. A guard does not stand against this: it catches removals,
//	   and this is a move.
//	g. The entry is removed without force, so that Ceph's own refusals
//	   (snapshots, clients, clones that came up since b) still stand.
func (c *Collector) DiscardClone(ctx context.Context, actor string, key Key, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, key.DiskID())
	if err != nil {
		return err
	}
	defer unlock()
	m, err := c.discardable(ctx, key) // a, b
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e := Entry{Act: "discard", Actor: actor, Reason: reason, Key: &key, Detail: map[string]string{"image": key.String(), "name": m.Name}}
	return l.witnessed(ctx, Disk{ID: m.Of.DiskID()}, e, func() error { // c
		return c.discard(ctx, key, m)
	})
}

// discardable returns the image's mark, or why the image is not removed.
// ErrNotFound if it is gone.
func (c *Collector) discardable(ctx context.Context, key Key) (restoreMark, error) {
	l := c.ledger
	var m restoreMark
	_, err := l.disks.Disk(ctx, key.DiskID())
	switch {
	case err == nil:
		return m, refusedf("image %s is a disk in the catalog (%s), and no leftover of a restore", key, key.DiskID())
	case !errors.Is(err, ErrNotFound):
		return m, fmt.Errorf("look for image %s in the catalog: %w", key, err)
	}
	m, own, err := c.readMark(ctx, key)
	switch {
	case err != nil:
		return m, err
	case !own:
		return m, refusedf("image %s bears no mark of a restore that made it", key)
	case m.Phase == phaseGiven:
		return m, refusedf("image %s was given to a cloud", key)
	}
	in, err := c.remover.Inspect(ctx, key)
	if err != nil {
		return m, fmt.Errorf("ask who uses image %s: %w", key, err)
	}
	if len(in.Dependents) > 0 {
		return m, fmt.Errorf("image %s is in use: %w: %v", key, ErrBusy, in.Dependents)
	}
	return m, nil
}

func (c *Collector) readMark(ctx context.Context, key Key) (m restoreMark, own bool, err error) {
	img, err := c.images.OpenImage(ctx, key)
	if err != nil {
		return m, false, fmt.Errorf("read the mark of image %s: %w", key, err)
	}
	defer img.Close()
	m, own = markOf(key, img.Info().Mark)
	return m, own, nil
}

// discard performs steps d to g. Each may be repeated.
func (c *Collector) discard(ctx context.Context, key Key, m restoreMark) error {
	l, pool := c.ledger, key.PoolRef()
	name, err := c.nameOf(ctx, key, m)
	if err != nil {
		return err
	}
	m.Phase, m.ImageID, m.At = phaseDiscard, key.ImageID, l.clock().UTC().Truncate(time.Second)
	if err := writeMark(ctx, l, key, m); err != nil {
		return err
	}
	if err := l.around("discard.strip", func() error { return c.remover.Strip(ctx, key) }); err != nil {
		return fmt.Errorf("discard %s: %w", key, err)
	}
	if name == "" {
		name = m.Name
		if err := l.around("discard.untrash", func() error { return c.trash.RestoreFromTrash(ctx, key, name) }); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("discard %s: take it out of the trash: %w", key, err)
		}
	}
	if err := l.around("discard.trash", func() error { return c.trash.MoveToTrash(ctx, pool, name, 0) }); err != nil {
		return fmt.Errorf("discard %s: move it to the trash: %w", key, err)
	}
	if err := l.around("discard.remove", func() error { return c.remover.Remove(ctx, key, nil) }); err != nil {
		return fmt.Errorf("discard %s: %w", key, err)
	}
	return nil
}

// nameOf is the live name of a clone that is to be discarded; "" if it is in the
// trash. Under a name that is not a restore's a cloud has it, unless that cloud
// has just given it up.
func (c *Collector) nameOf(ctx context.Context, key Key, m restoreMark) (string, error) {
	pool := key.PoolRef()
	_, err := c.trash.FindInTrash(ctx, key)
	if err == nil {
		return "", nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("look for image %s in the trash: %w", key, err)
	}
	prefix := m.Name
	if m.Phase == phaseDiscard {
		prefix = ""
	}
	live, err := c.images.LiveImages(ctx, pool, prefix)
	if err != nil {
		return "", fmt.Errorf("look for the name of image %s: %w", key, err)
	}
	for name, id := range live {
		if id == key.ImageID && (name == m.Name || m.Phase == phaseDiscard) {
			return name, nil
		}
	}
	return "", fmt.Errorf("image %s is not under the name %s any more: %w", key, m.Name, ErrBusy)
}

// leftovers discards what restores left behind that were cut short: clones under
// a restore's name that nobody works on, and what is in the trash and is
// marked. A clone that the image service may have taken over, which gives it no
// other name, is only told of: nothing in Ceph tells whether it has.
func (c *Collector) leftovers(ctx context.Context, rep *Report, present map[Key]bool, now time.Time) error {
	var found []Key
	for _, pool := range c.clusters.Pools() {
		live, err := c.images.LiveImages(ctx, pool.PoolRef, RestorePrefix)
		if err != nil {
			return fmt.Errorf("look for leftovers of restores in %s: %w", pool.PoolRef, err)
		}
		for _, id := range live {
			found = append(found, pool.Key(id))
		}
	}
	for key := range present {
		found = append(found, key)
	}
	for _, key := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.leftover(ctx, rep, key, present, now); err != nil {
			return err
		}
	}
	return nil
}

// leftover deals with one image that may be left over.
func (c *Collector) leftover(ctx context.Context, rep *Report, key Key, present map[Key]bool, now time.Time) error {
	l := c.ledger
	_, err := l.disks.Disk(ctx, key.DiskID())
	if err == nil || l.inUse(key.DiskID()) {
		return nil
	}
	if !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("look for image %s in the catalog: %w", key, err)
	}
	m, own, err := c.readMark(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if own && present[key] {
		e, err := c.trash.FindInTrash(ctx, key)
		if err == nil && !m.leftover(e) {
			return nil // it died, and will be adopted
		}
	}
	it := ReportItem{Disk: m.Of.DiskID(), Pool: key.PoolRef().String(), Name: m.Name, Act: "discard", Reason: "a restore of " + m.At.UTC().Format(time.RFC3339) + " left it behind"}
	switch {
	case err != nil:
		it.Disk, it.Name, it.Reason, it.Error = "", key.ImageID, "", err.Error()
	case !own || m.Phase == phaseGiven:
		return nil
	case m.Phase != phaseDiscard && (now.Sub(m.At) < leftoverAge || l.inUse(m.Of.DiskID())):
		return nil
	case m.Phase == phaseOffered && m.As == AsImage:
		it.Act, it.Reason = "leftover", it.Reason+" while the image service was taking it over; look there whether it has, else remove it by hand"
		l.log.Warn("a restore left an image behind that the image service may have", "pool", it.Pool, "name", m.Name, "image_id", key.ImageID)
	case !rep.DryRun:
		if err := c.DiscardClone(ctx, rep.Actor, key, it.Reason); err != nil {
			it.Error = err.Error()
		}
	}
	rep.Items = append(rep.Items, it)
	return nil
}
