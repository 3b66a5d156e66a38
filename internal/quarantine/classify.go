package quarantine

import (
	"context"
	"fmt"
	"slices"
)

// listing is what trash, catalog and directory say of one pool, read one after
// the other: by the time it is read it is old.
type listing struct {
	entries []TrashEntry
	// rows are the disks whose images exist, as far as the catalog knows.
	rows []Disk
	// live are the images under names that this service gives to disks that are
	// out of the trash: name → image id.
	live map[string]string
}

// list reads the listing of a pool.
func (r *Reconciler) list(ctx context.Context, ref PoolRef) (l listing, err error) {
	if l.entries, err = r.trash.ListTrash(ctx, ref); err != nil {
		return l, fmt.Errorf("list the trash of %s: %w", ref, err)
	}
	l.rows, err = r.ledger.disks.FindDisks(ctx, DiskFilter{Pool: &ref, States: []State{Pending, Quarantined, Expiring, Purging, Restoring, Restored}})
	if err != nil {
		return l, fmt.Errorf("read the catalog of %s: %w", ref, err)
	}
	if l.live, err = r.images.LiveImages(ctx, ref, ReservedPrefix); err != nil {
		return l, fmt.Errorf("list the reserved names of %s: %w", ref, err)
	}
	moving, err := r.images.LiveImages(ctx, ref, RestorePrefix)
	if err != nil {
		return l, fmt.Errorf("list the names of restores in %s: %w", ref, err)
	}
	for name, imageID := range moving { // of the disks themselves, not of their copies
		if ownEntry(ref.Key(imageID), name) {
			l.live[name] = imageID
		}
	}
	return l, nil
}

// chores are what a listing gives the reconciler to do.
type chores struct {
	// adopt are entries to take under quarantine, or to finish.
	adopt []adoption
	// absent are disks that are not where they should be, or that were being
	// restored.
	absent []Disk
	// stranded are names of live images that are this service's, and that the
	// catalog does not know.
	stranded []string
}

// adoption is a trash entry with the disk that the catalog has of it, or nil.
type adoption struct {
	entry TrashEntry
	known *Disk
}

// classify says what is to be done about a pool. It decides nothing for good:
// each act asks Ceph and the catalog again.
func classify(l listing) chores {
	var c chores
	known := make(map[string]*Disk, len(l.rows))
	for i := range l.rows {
		known[l.rows[i].Key.ImageID] = &l.rows[i]
	}
	inTrash := make(map[string]bool, len(l.entries))
	for _, e := range l.entries {
		inTrash[e.Key.ImageID] = true
		if d := known[e.Key.ImageID]; e.Name != CanaryName && adoptable(d, e) {
			c.adopt = append(c.adopt, adoption{e, d})
		}
	}
	for _, d := range l.rows {
		switch d.State {
		case Purging, Restored: // the collector's, and the cloud's (missedImages)
		case Restoring:
			c.absent = append(c.absent, d)
		default:
			if !inTrash[d.Key.ImageID] {
				c.absent = append(c.absent, d)
			}
		}
	}
	for name, imageID := range l.live {
		if name != CanaryName && known[imageID] == nil {
			c.stranded = append(c.stranded, name)
		}
	}
	slices.Sort(c.stranded)
	return c
}

// adoptable reports whether the entry is new, or another than the one that the
// disk is known by. What is being restored or purged is not.
func adoptable(d *Disk, e TrashEntry) bool {
	if d == nil {
		return true
	}
	switch d.State {
	case Pending, Restored:
		return true
	case Restoring, Purging:
		return false
	}
	return secondLife(d, e)
}
