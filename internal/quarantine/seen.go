package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// missedImages compares the live images of each pool with those that were live
// when they were looked at last. One that is gone, that Ceph has under no name
// and not in the trash, and that this service has not in its care, was removed
// behind its back: the guard was off, or somebody held a key that could get round
// it. It is recorded as lost, with the image's id and name. So is a disk that was
// given back, and destroyed later: it was seen when it was given back.
//
// Nothing is concluded from absence alone: the listing must be whole, and Ceph
// is asked for each missing id.
func (r *Reconciler) missedImages(ctx context.Context, w *run, dry bool) error {
	if r.cfg.Seen == nil {
		return nil
	}
	for _, pool := range r.clusters.Pools() {
		if err := r.missedIn(ctx, w, pool, dry); err != nil {
			if ctx.Err() != nil {
				return err
			}
			w.add(ReportItem{Pool: pool.PoolRef.String(), Act: "look", Error: err.Error()})
		}
	}
	return nil
}

func (r *Reconciler) missedIn(ctx context.Context, w *run, pool Pool, dry bool) error {
	ref := pool.PoolRef
	now := r.ledger.clock().UTC()
	l, err := r.lookAt(ctx, pool)
	if err != nil {
		return err
	}
	for _, m := range l.missing {
		key := ref.Key(m.ImageID)
		w.add(ReportItem{Disk: key.DiskID(), Pool: ref.String(), Name: m.Name, Act: "lost", Reason: missedReason(m)})
		if dry {
			continue
		}
		if err := r.recordMissed(ctx, key, m, now); err != nil {
			return fmt.Errorf("record that %s (%s) is lost: %w", m.Name, key, err)
		}
		l.forget = append(l.forget, m.ImageID)
	}
	if dry {
		return nil
	}
	if err := r.remember(ctx, ref, l, now); err != nil {
		return err
	}
	if len(l.forget) == 0 {
		return nil
	}
	return r.cfg.Seen.SeeImages(ctx, ref, nil, l.forget)
}

// remember remembers the live images, so that a later look misses those that are gone.
//
// A name alone is no image: Ceph takes it first, and a client that dies then leaves it.
// What never was would be recorded as lost when the name is made over or freed. So
// Ceph is asked for what was not seen before.
func (r *Reconciler) remember(ctx context.Context, ref PoolRef, l look, now time.Time) error {
	known := make(map[string]bool, len(l.seen))
	for _, s := range l.seen {
		known[s.ImageID] = true
	}
	var seen, fresh []SeenImage
	for name, id := range l.live {
		ours, err := r.ours(ctx, ref.Key(id), name)
		if err != nil {
			return err
		}
		s := SeenImage{ImageID: id, Name: name, SeenAt: now}
		switch {
		case ours:
		case known[id]:
			seen = append(seen, s)
		default:
			fresh = append(fresh, s)
		}
	}
	// In small steps: the catalog has one writer, and a big pool in one step would
	// keep adoptions waiting for seconds.
	for page := range slices.Chunk(seen, inquiryPage) {
		if err := r.cfg.Seen.SeeImages(ctx, ref, page, nil); err != nil {
			return fmt.Errorf("remember the images of %s: %w", ref, err)
		}
	}
	for page := range slices.Chunk(fresh, inquiryPage) {
		there, err := r.existing(ctx, ref, page)
		if err = errors.Join(err, r.cfg.Seen.SeeImages(ctx, ref, there, nil)); err != nil {
			return fmt.Errorf("remember the new images of %s: %w", ref, err)
		}
	}
	return nil
}

// existing are those of the images that Ceph has. With an error, those of which it
// said so before.
func (r *Reconciler) existing(ctx context.Context, ref PoolRef, images []SeenImage) ([]SeenImage, error) {
	there := make([]bool, len(images))
	asking, stop := context.WithCancelCause(ctx) // one that fails ends them all
	defer stop(nil)
	err := inParallel(asking, r.cfg.Workers, len(images), func(i int) {
		var err error
		if there[i], err = r.images.HasImage(asking, ref.Key(images[i].ImageID)); err != nil {
			stop(fmt.Errorf("look for %s: %w", images[i].Name, err))
		}
	})
	var existing []SeenImage
	for i, s := range images {
		if there[i] {
			existing = append(existing, s)
		}
	}
	return existing, cmp.Or(context.Cause(asking), err)
}

func missedReason(m SeenImage) string {
	return "it was live at " + m.SeenAt.UTC().Format(time.RFC3339) + ", and was removed without going through the trash"
}

// ours reports whether the image is live for a time only, under a name that this
// service gives and takes away. An image of the image service keeps the name
// that a restore gave it: it is the cloud's when its mark says so, and only such
// images have theirs read.
func (r *Reconciler) ours(ctx context.Context, key Key, name string) (bool, error) {
	if name == CanaryName || strings.HasPrefix(name, ReservedPrefix) {
		return true, nil
	}
	if !strings.HasPrefix(name, RestorePrefix) {
		return false, nil
	}
	img, err := r.images.OpenImage(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return true, nil // it went meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("read the mark of %s (%s): %w", name, key, err)
	}
	defer img.Close()
	m, own := markOf(key, img.Info().Mark)
	return !own || m.Phase != phaseGiven, nil
}

// RestorePrefix begins the name of an image that a restore has made, until a
// cloud gives it another. It does not begin with ReservedPrefix.
const RestorePrefix = "quarantine-restore."

// look is what a pool's live images are, compared with those that were seen before.
type look struct {
	seen    []SeenImage       // before
	live    map[string]string // now: image ids by name
	missing []SeenImage       // of those seen: nowhere now
	forget  []string          // ids of those seen that are accounted for
}

// lookAt looks at a pool, and changes nothing.
func (r *Reconciler) lookAt(ctx context.Context, pool Pool) (l look, err error) {
	ref := pool.PoolRef
	// Read before the listing: an image that comes between the two is live, and
	// one that goes is missed by the next look.
	if l.seen, err = r.everSeen(ctx, ref); err != nil {
		return l, err
	}
	if l.live, err = r.images.LiveImages(ctx, ref, ""); err != nil {
		return l, fmt.Errorf("list the images of %s: %w", ref, err)
	}
	ids := make(map[string]bool, len(l.live))
	for _, id := range l.live {
		ids[id] = true
	}
	for _, s := range l.seen {
		if ids[s.ImageID] {
			continue
		}
		known, there, err := r.whereabouts(ctx, ref.Key(s.ImageID), s.SeenAt)
		switch {
		case err != nil:
			return l, err
		case known:
			l.forget = append(l.forget, s.ImageID)
		case !there:
			l.missing = append(l.missing, s)
		}
	}
	return l, nil
}

// everSeen is what was live in the pool at the last look, and what was given
// back: each image once, as it was seen last.
func (r *Reconciler) everSeen(ctx context.Context, ref PoolRef) ([]SeenImage, error) {
	seen, err := r.cfg.Seen.SeenImages(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read what was seen in %s: %w", ref, err)
	}
	at := make(map[string]int, len(seen))
	for i, s := range seen {
		at[s.ImageID] = i
	}
	err = eachDisk(ctx, r.ledger.disks, DiskFilter{Pool: &ref, States: []State{Restored}}, func(d *Disk) error {
		s := SeenImage{ImageID: d.Key.ImageID, Name: cmp.Or(d.RestoredTo, d.OriginalName), SeenAt: firstKnown(d.RestoredAt, d.QuarantinedAt, d.DeletedAt)}
		i, known := at[s.ImageID]
		switch {
		case !known:
			seen = append(seen, s)
		case s.SeenAt.After(seen[i].SeenAt):
			seen[i] = s
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was given back to %s: %w", ref, err)
	}
	return seen, nil
}

// whereabouts reports whether it is known what became of an image that is not
// live, and else whether Ceph has it still. It is known of an image that is in
// quarantine, or was and was purged, that is recorded as lost, or that a restore
// has made and taken back.
func (r *Reconciler) whereabouts(ctx context.Context, key Key, seenAt time.Time) (known, there bool, err error) {
	d, err := r.ledger.disks.Disk(ctx, key.DiskID())
	switch {
	case err == nil && d.State != Restored:
		return true, false, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return false, false, fmt.Errorf("look for %s in the catalog: %w", key, err)
	}
	if there, err = r.images.HasImage(ctx, key); err != nil {
		return false, false, fmt.Errorf("look for the image of %s: %w", key, err)
	}
	if there {
		return false, true, nil
	}
	note, err := noteOf(ctx, r.cfg.Marks, discardedImage(key))
	return err == nil && note.endedAfter(seenAt), false, err
}

// recordMissed records the image as lost, under its own key, joined with the
// Deletion that explains it, if there is one.
func (r *Reconciler) recordMissed(ctx context.Context, key Key, m SeenImage, now time.Time) error {
	unlock, err := r.ledger.lock(ctx, key.DiskID())
	if err != nil {
		return err
	}
	defer unlock()
	old, err := r.ledger.disks.Disk(ctx, key.DiskID())
	switch {
	case errors.Is(err, ErrNotFound):
		old = Disk{SizeBytes: -1}
	case err != nil:
		return err
	case old.State != Restored:
		return nil // it came meanwhile
	}
	d := Disk{
		ID: key.DiskID(), Key: key, OriginalName: m.Name, Capture: CaptureNone, UsedBytes: -1, SizeBytes: old.SizeBytes,
		DeletedAt: now.Truncate(time.Second), State: old.State, Version: old.Version,
		// Given back and destroyed: the life that ends now is another than the
		// one whose end its Deletion was. What was promised is not forgotten, as
		// when it is adopted again.
		AliveSince: old.RestoredAt, RestoredAt: old.RestoredAt, RestoredTo: old.RestoredTo, RetainUntil: old.RetainUntil, Holds: old.Holds,
		Decision: old.Decision,
	}
	if err := r.dateMissed(ctx, &d, m.SeenAt, now); err != nil {
		return err
	}
	del, err := r.explain(ctx, d)
	if err != nil {
		return err
	}
	r.withDeletion(&d, del)
	if del != nil {
		same := Entry{Act: "found", Actor: "reconciler", Reason: "the same loss is now known by its image id"}
		if err := r.dropLost(ctx, d, lostID(del.ID, m.Name), same); err != nil {
			return err
		}
	}
	d, err = r.ledger.move(ctx, d, Lost, Entry{Act: "lost", Actor: "reconciler", Reason: missedReason(m)}, nil)
	if err != nil {
		return err
	}
	r.ledger.log.Error("disk lost: its image was removed without going through the trash", "disk", d.ID, "pool", key.PoolRef().String(),
		"image_id", key.ImageID, "name", m.Name, "deletion", d.DeletionID())
	return nil
}

// dateMissed sets the time of the loss. It lies between the two looks; where an
// act on that name was reported in that time, it is the act's.
func (r *Reconciler) dateMissed(ctx context.Context, d *Disk, seen, now time.Time) error {
	dels, err := r.deletions.DeletionsOf(ctx, JoinKeys(d.OriginalName))
	if err != nil {
		return fmt.Errorf("find the deletions of %q: %w", d.OriginalName, err)
	}
	slices.SortFunc(dels, func(a, b Deletion) int { return a.FirstSign().Compare(b.FirstSign()) })
	for _, del := range dels {
		if at := del.FirstSign(); !del.before(d.AliveSince) && at.After(seen.Add(-ClockSkew)) && at.Before(now.Add(ClockSkew)) {
			d.DeletedAt = at.UTC().Truncate(time.Second).Add(time.Second)
		}
	}
	return nil
}
