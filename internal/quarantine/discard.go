package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// leftoverAge is how old the mark on a restore's clone must be before a pass
// takes the clone for left behind by a crash. A restore that is under way in
// this process is known, however long it takes.
const leftoverAge = time.Hour

// DiscardClone removes the clone that a restore has made and could not hand to
// a cloud. It removes nothing else: the image must bear a restore's mark that
// was written for this very image and that the custody log knows of, must not
// belong to a cloud by that mark, must not be a disk that the catalog knows, and
// nobody may use it. ErrRefused if one of these is not so, or if the image
// service may have it; ErrBusy if a client has it open or a clone stands on it;
// ErrConflict if it is live under a name that this service has not given it. An
// image that is gone is success.
//
// The order, and why:
//
//	a. The catalog is asked first, under the lock that an adoption of the image
//	   would take: what it knows is evidence, whatever stands on the image.
//	b. The mark is read from the image, the custody log is asked whether there
//	   was such a restore, and Ceph is asked who uses the image.
//	c. The custody entry is durable, or nothing happens.
//	d. The image is claimed: moved, by the restore's own name, to the trash with
//	   no protection. Ceph decides in this one act between us and a cloud that is
//	   late and renames it: then there is no such name any more, and nothing
//	   happens to it. One that the cloud itself removed is there already,
//	   protected by the guard, and is taken out under a name that only this
//	   service knows first. A guard does not stand against this: it catches
//	   removals, and this is a move. A crash leaves an entry that by name and mark
//	   is known as a leftover.
//	e. The mark says "discard".
//	f. The snapshots that the image service was to have are removed. Done
//	   before e, a crash would leave an image that looks ready.
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
	case m.Phase == phaseOffered && m.As == AsImage:
		return m, refusedf("image %s was offered to the image service, which may have it; look there", key)
	}
	ours, err := l.vouched(ctx, m)
	if err != nil {
		return m, err
	}
	if !ours {
		return m, refusedf("image %s bears the mark of a restore that the custody log does not know", key)
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
	l := c.ledger
	if err := c.claimClone(ctx, key, m); err != nil {
		return fmt.Errorf("discard %s: %w", key, err)
	}
	m.Phase, m.ImageID, m.At = phaseDiscard, key.ImageID, l.clock().UTC().Truncate(time.Second)
	if err := writeMark(ctx, l, key, m); err != nil {
		return err
	}
	if err := l.around("discard.strip", func() error { return c.remover.Strip(ctx, key) }); err != nil {
		return fmt.Errorf("discard %s: %w", key, err)
	}
	if err := l.around("discard.remove", func() error { return c.remover.Remove(ctx, key, nil) }); err != nil {
		return fmt.Errorf("discard %s: %w", key, err)
	}
	return nil
}

// claimClone performs step d.
func (c *Collector) claimClone(ctx context.Context, key Key, m restoreMark) error {
	l, pool := c.ledger, key.PoolRef()
	name := m.discardName()
	e, err := c.trash.FindInTrash(ctx, key)
	switch {
	case err == nil && !e.ProtectedUntil.After(l.clock()):
		return nil
	case err == nil:
		if err := l.around("discard.untrash", func() error { return c.trash.RestoreFromTrash(ctx, key, name) }); err != nil {
			return fmt.Errorf("take it out of the trash: %w", err)
		}
	case !errors.Is(err, ErrNotFound):
		return fmt.Errorf("look for it in the trash: %w", err)
	default:
		live, err := c.images.LiveImages(ctx, pool, m.Name)
		if err != nil {
			return fmt.Errorf("look for %s/%s: %w", pool, m.Name, err)
		}
		if live[m.Name] == key.ImageID {
			name = m.Name
		} else if live[name] != key.ImageID {
			return fmt.Errorf("it is not called %s any more: %w", m.Name, ErrConflict)
		}
	}
	err = l.around("discard.trash", func() error { return c.trash.MoveToTrash(ctx, pool, name, 0) })
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("it is not called %s any more: %w", name, ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("move it to the trash: %w", err)
	}
	// The name was looked up before: it is this image only if it is there now.
	if _, err := c.trash.FindInTrash(ctx, key); errors.Is(err, ErrNotFound) {
		return fmt.Errorf("another image was called %s: %w", name, ErrConflict)
	} else if err != nil {
		return fmt.Errorf("look for it in the trash: %w", err)
	}
	return nil
}

// candidate is an image that a restore may have left behind.
type candidate struct {
	key     Key
	name    string
	inTrash bool
	// removing: Ceph has begun to remove it from there.
	removing bool
}

// findLeftovers finds what may be left of restores that were cut short: live clones, and
// those in the trash, under a restore's name. A trash with millions takes seconds.
func (c *Collector) findLeftovers(ctx context.Context) ([]candidate, error) {
	var found []candidate
	for _, pool := range c.clusters.Pools() {
		live, err := c.images.LiveImages(ctx, pool.PoolRef, RestorePrefix)
		if err != nil {
			return nil, fmt.Errorf("look for leftovers of restores in %s: %w", pool.PoolRef, err)
		}
		for name, id := range live {
			found = append(found, candidate{key: pool.Key(id), name: name})
		}
		err = c.trash.EachTrash(ctx, pool.PoolRef, func(page []TrashEntry) error {
			for _, e := range page {
				if strings.HasPrefix(e.Name, RestorePrefix) {
					found = append(found, candidate{key: e.Key, name: e.Name, inTrash: true, removing: e.Removing})
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for leftovers of restores in the trash of %s: %w", pool.PoolRef, err)
		}
	}
	return found, nil
}

// leftovers discards what restores left behind that were cut short: those of the
// candidates that nobody works on. A clone that the image service may have taken over,
// which gives it no other name, is only told of: nothing in Ceph tells whether it has.
func (c *Collector) leftovers(ctx context.Context, rep *Report, now time.Time, find func() ([]candidate, error)) error {
	found, err := find()
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !rep.DryRun {
			if err := c.mayRemove(ctx); err != nil {
				return err
			}
		}
		if err := c.leftover(ctx, rep, f, now); err != nil {
			return err
		}
	}
	return nil
}

// leftover deals with one image that may be left over.
func (c *Collector) leftover(ctx context.Context, rep *Report, f candidate, now time.Time) error {
	l := c.ledger
	_, err := l.disks.Disk(ctx, f.key.DiskID())
	if err == nil || l.inUse(f.key.DiskID()) {
		return nil
	}
	if !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("look for image %s in the catalog: %w", f.key, err)
	}
	m, own, err := c.readMark(ctx, f.key)
	if errors.Is(err, ErrNotFound) {
		return c.freeName(ctx, rep, f)
	}
	it := ReportItem{Disk: m.Of.DiskID(), Pool: f.key.PoolRef().String(), Name: m.Name, Act: "discard", Reason: "a restore of " + m.At.UTC().Format(time.RFC3339) + " left it behind"}
	if err != nil {
		it.Disk, it.Name, it.Reason, it.Error = "", f.name, "", err.Error()
		rep.Items = append(rep.Items, it)
		return nil
	}
	ours := false
	if own {
		if ours, err = l.vouched(ctx, m); err != nil {
			return err
		}
	}
	fresh := m.Phase != phaseDiscard && now.Sub(m.At) < leftoverAge
	offered := m.Phase == phaseOffered && m.As == AsImage
	switch {
	case !ours || m.Phase == phaseGiven || fresh || l.inUse(m.Of.DiskID()):
		return nil
	case f.inTrash && !m.leftover(f.name):
		return nil // it died, and will be adopted
	case offered:
		it.Act, it.Reason = "leftover", it.Reason+" while the image service was taking it over; look there whether it has, else remove it by hand"
		l.log.Warn("a restore left an image behind that the image service may have", "pool", it.Pool, "name", m.Name, "image_id", f.key.ImageID)
	case rep.DryRun:
		if _, err := c.discardable(ctx, f.key); err != nil && !errors.Is(err, ErrNotFound) {
			it.Error = err.Error()
		}
	default:
		if err := c.DiscardClone(ctx, rep.Actor, f.key, it.Reason); err != nil {
			it.Error = err.Error()
		}
	}
	rep.Items = append(rep.Items, it)
	return nil
}

// freeName frees the name that a restore took and died before there was a clone,
// because Ceph makes the name first; and the entry in the trash of a restore's clone
// whose removal was cut short, because Ceph removes that last. No image goes with
// either: that there is none, Ceph has said, and of an entry that it was being
// removed.
func (c *Collector) freeName(ctx context.Context, rep *Report, f candidate) error {
	if f.inTrash && !f.removing {
		return nil // its image was not removed by Ceph; a check tells of it
	}
	left, err := c.ledger.nameLeft(ctx, c.images, f.key, strings.TrimSuffix(f.name, discardSuffix))
	if err != nil || !left {
		return err
	}
	if still, err := c.stillCandidate(ctx, f); err != nil || !still {
		return err
	}
	id := diskOfRestore(f.name)
	it := ReportItem{Disk: id, Pool: f.key.PoolRef().String(), Name: f.name, Act: "discard", Reason: "a restore was cut short before there was a clone of this name"}
	point, free := "discard.name", func() error { return c.remover.FreeName(ctx, f.key, f.name) }
	if f.inTrash {
		it.Reason = "the removal of a restore's clone was cut short before its entry in the trash went"
		point, free = "discard.remove", func() error { return c.remover.Remove(ctx, f.key, nil) }
	}
	if !rep.DryRun {
		e := Entry{Act: "discard", Actor: rep.Actor, Reason: it.Reason, Key: &f.key, Detail: map[string]string{"image": f.key.String(), "name": f.name}}
		err := c.ledger.witnessed(ctx, Disk{ID: id}, e, func() error { return c.ledger.around(point, free) })
		if err != nil {
			it.Error = err.Error()
		}
	}
	rep.Items = append(rep.Items, it)
	return nil
}

// stillCandidate reports whether a name or an entry is still there: it was listed some
// time ago, and a restore that fails takes its own away.
func (c *Collector) stillCandidate(ctx context.Context, f candidate) (bool, error) {
	if f.inTrash {
		_, err := c.trash.FindInTrash(ctx, f.key)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for %s in the trash: %w", f.key, err)
		}
		return true, nil
	}
	live, err := c.images.LiveImages(ctx, f.key.PoolRef(), f.name)
	if err != nil {
		return false, fmt.Errorf("look for %s/%s: %w", f.key.PoolRef(), f.name, err)
	}
	return live[f.name] == f.key.ImageID, nil
}

// nameLeft reports whether the name is one that a restore took, without coming to an
// image, and that nobody goes on with: not this process, nor, for as long as a clone
// is taken for under way, another that may only hang.
func (l *Ledger) nameLeft(ctx context.Context, images CheckImages, key Key, name string) (bool, error) {
	id := diskOfRestore(name)
	if l.inUse(id) {
		return false, nil
	}
	there, err := images.HasImage(ctx, key)
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", key, err)
	}
	if there {
		return false, nil
	}
	begun, err := l.meantToRestore(ctx, id, key.PoolRef(), name)
	return !begun.IsZero() && l.clock().Sub(begun) >= leftoverAge, err
}
