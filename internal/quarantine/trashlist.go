package quarantine

import (
	"context"
	"errors"
)

// ListTrash returns all entries of a pool's trash by image id, or an error: never
// a part. Where the trash may have millions, use EachTrash.
func ListTrash(ctx context.Context, t Trash, pool PoolRef) ([]TrashEntry, error) {
	var all []TrashEntry
	err := t.EachTrash(ctx, pool, func(page []TrashEntry) error {
		all = append(all, page...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// errEnough ends a listing of which enough was seen.
var errEnough = errors.New("enough of the listing was seen")

// anyInTrash reports whether the pool's trash has any entry.
func anyInTrash(ctx context.Context, t Trash, pool PoolRef) (bool, error) {
	err := t.EachTrash(ctx, pool, func(page []TrashEntry) error {
		if len(page) > 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, err
}

// trashFinder is Trash.FindInTrash, or answers as that does.
type trashFinder func(context.Context, Key) (TrashEntry, error)

// findTogether asks for the entries of all these disks at once, of which a plan has
// thousands. A disk that is not among the answers is asked for itself: that nothing was
// said of it proves nothing.
func findTogether(ctx context.Context, t Trash, disks []Disk) trashFinder {
	ids := map[PoolRef][]string{}
	for i := range disks {
		key := disks[i].Key
		ids[key.PoolRef()] = append(ids[key.PoolRef()], key.ImageID)
	}
	found := map[Key]TrashEntry{}
	for pool, some := range ids {
		entries, err := t.FindSomeInTrash(ctx, pool, some)
		if err != nil {
			continue
		}
		for _, e := range entries {
			found[e.Key] = e
		}
	}
	return func(ctx context.Context, key Key) (TrashEntry, error) {
		if e, ok := found[key]; ok {
			return e, nil
		}
		return t.FindInTrash(ctx, key)
	}
}
