package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// stubPage is how many rows are read at once.
const stubPage = 2000

// stubs goes through the rows of a pool by image id, as EachTrash goes through
// its trash, so that both are compared without being held: there can be millions.
type stubs struct {
	disks  Disks
	pool   PoolRef
	states []State
	size   int // of a page

	page []DiskStub
	last string // image id of the last one read
	end  bool
}

// next returns the first row that was not taken, or nil at the end.
func (s *stubs) next(ctx context.Context) (*DiskStub, error) {
	if len(s.page) == 0 && !s.end {
		var err error
		if s.page, err = s.disks.DiskStubs(ctx, s.pool, s.states, s.last, s.size); err != nil {
			return nil, fmt.Errorf("read the catalog of %s: %w", s.pool, err)
		}
		if s.end = len(s.page) < s.size; len(s.page) > 0 {
			s.last = s.page[len(s.page)-1].ImageID
		}
	}
	if len(s.page) == 0 {
		return nil, nil
	}
	return &s.page[0], nil
}

func (s *stubs) take() { s.page = s.page[1:] }

// chores are what a part of a listing gives the reconciler to do. They decide
// nothing for good: by the time it is read a listing is old, and each act asks
// Ceph and the catalog again.
type chores struct {
	// adopt are entries to take under quarantine, or to finish.
	adopt []adoption
	// absent are disks that are not where they should be, or that were being
	// restored.
	absent []DiskStub
}

// adoption is a trash entry, and the state of the disk that the catalog has of
// it; "": none.
type adoption struct {
	entry TrashEntry
	known State
	// moved: this run has put it there, or found no image to put there.
	moved bool
}

// compare compares the pool's trash with its rows and hands over what is to be
// done, some at a time.
func (r *Reconciler) compare(ctx context.Context, ref PoolRef, do func(chores) error) error {
	rows := &stubs{disks: r.ledger.disks, pool: ref, size: stubPage, states: []State{Pending, Quarantined, Expiring, Purging, Restoring, Restored}}
	return merge(ctx, r.trash, rows, do)
}

// merge is compare over a part of the rows.
func merge(ctx context.Context, trash Trash, rows *stubs, do func(chores) error) error {
	ref := rows.pool
	err := trash.EachTrash(ctx, ref, func(page []TrashEntry) error {
		var c chores
		for _, e := range page {
			row, err := c.upTo(ctx, rows, e.Key.ImageID)
			if err != nil {
				return err
			}
			if e.Name != CanaryName && adoptable(row, e) {
				a := adoption{entry: e}
				if row != nil {
					a.known = row.State
				}
				c.adopt = append(c.adopt, a)
			}
			if row != nil {
				if row.State == Restoring {
					c.absent = append(c.absent, *row)
				}
				rows.take()
			}
		}
		return do(c)
	})
	if err != nil {
		return fmt.Errorf("compare the trash of %s with the catalog: %w", ref, err)
	}
	// All of the trash was seen.
	for {
		var c chores
		row, err := rows.next(ctx)
		if err != nil || row == nil {
			return err
		}
		if _, err := c.upTo(ctx, rows, rows.last+"\x00"); err != nil {
			return err
		}
		if err := do(c); err != nil {
			return err
		}
	}
}

// upTo takes the rows before the image id, none of which is in the trash, and
// returns that of the image id, or nil.
func (c *chores) upTo(ctx context.Context, rows *stubs, imageID string) (*DiskStub, error) {
	for {
		row, err := rows.next(ctx)
		switch {
		case err != nil || row == nil || row.ImageID > imageID:
			return nil, err
		case row.ImageID == imageID:
			return row, nil
		}
		if row.State != Purging && row.State != Restored { // the collector's, and the cloud's (missedImages)
			c.absent = append(c.absent, *row)
		}
		rows.take()
	}
}

// adoptable reports whether the entry is new, or another than the one that the
// disk is known by. What is being restored or purged is not.
func adoptable(d *DiskStub, e TrashEntry) bool {
	if d == nil {
		return true
	}
	switch d.State {
	case Pending, Restored:
		return true
	case Restoring, Purging:
		return false
	}
	return secondLife(&Disk{DeletedAt: d.DeletedAt}, e)
}

// stranded are the pool's live images under names that this service gives to
// disks that are out of the trash, and that the catalog does not know: name →
// image id.
func (r *Reconciler) stranded(ctx context.Context, ref PoolRef) (map[string]string, []string, error) {
	live, err := r.images.LiveImages(ctx, ref, ReservedPrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("list the reserved names of %s: %w", ref, err)
	}
	moving, err := r.images.LiveImages(ctx, ref, RestorePrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("list the names of restores in %s: %w", ref, err)
	}
	for name, imageID := range moving { // of the disks themselves, not of their copies
		if ownEntry(ref.Key(imageID), name) {
			live[name] = imageID
		}
	}
	var names []string
	for name, imageID := range live {
		if name == CanaryName {
			continue
		}
		d, err := r.ledger.disks.Disk(ctx, ref.Key(imageID).DiskID())
		switch {
		case errors.Is(err, ErrNotFound), err == nil && (d.State == Purged || d.State == Lost):
			names = append(names, name)
		case err != nil:
			return nil, nil, fmt.Errorf("look for image %s in the catalog: %w", ref.Key(imageID), err)
		}
	}
	slices.Sort(names)
	return live, names, nil
}
