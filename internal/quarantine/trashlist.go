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
