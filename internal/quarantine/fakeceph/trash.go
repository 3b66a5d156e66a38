package fakeceph

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// EachTrash shows the entries of the pool's trash, by image id, seven at a time.
func (c *Ceph) EachTrash(ctx context.Context, p quarantine.PoolRef, do func([]quarantine.TrashEntry) error) error {
	entries, err := c.listTrash(ctx, p)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(entries, 7) {
		if err := do(page); err != nil {
			return err
		}
	}
	return nil
}

func (c *Ceph) listTrash(ctx context.Context, p quarantine.PoolRef) ([]quarantine.TrashEntry, error) {
	return call(ctx, c, Call{Verb: "EachTrash", Pool: p}, func() ([]quarantine.TrashEntry, error) {
		if err := c.known(p); err != nil {
			return nil, err
		}
		var entries []quarantine.TrashEntry
		for _, img := range c.images {
			if img.trash != nil && img.key.PoolRef() == p {
				entries = append(entries, img.entry())
			}
		}
		slices.SortFunc(entries, func(a, b quarantine.TrashEntry) int { return cmp.Compare(a.Key.ImageID, b.Key.ImageID) })
		return entries, nil
	})
}

// FindInTrash returns one entry.
func (c *Ceph) FindInTrash(ctx context.Context, key quarantine.Key) (quarantine.TrashEntry, error) {
	return call(ctx, c, Call{Verb: "FindInTrash", Key: key}, func() (quarantine.TrashEntry, error) {
		if err := c.known(key.PoolRef()); err != nil {
			return quarantine.TrashEntry{}, err
		}
		img := c.images[key]
		if img == nil || img.trash == nil {
			return quarantine.TrashEntry{}, fmt.Errorf("look for %s in the trash: %w", key, quarantine.ErrNotFound)
		}
		return img.entry(), nil
	})
}

// FindSomeInTrash returns several entries.
func (c *Ceph) FindSomeInTrash(ctx context.Context, pool quarantine.PoolRef, ids []string) (map[string]quarantine.TrashEntry, error) {
	return call(ctx, c, Call{Verb: "FindSomeInTrash", Pool: pool}, func() (map[string]quarantine.TrashEntry, error) {
		if err := c.known(pool); err != nil {
			return nil, err
		}
		entries := map[string]quarantine.TrashEntry{}
		for _, id := range ids {
			if img := c.images[pool.Key(id)]; img != nil && img.trash != nil {
				entries[id] = img.entry()
			}
		}
		return entries, nil
	})
}

func (i *image) entry() quarantine.TrashEntry {
	return quarantine.TrashEntry{Key: i.key, Name: i.name, DeletedAt: i.trash.deletedAt, ProtectedUntil: i.trash.until, Removing: i.trash.removing}
}

// MoveToTrash moves a live image to the trash.
func (c *Ceph) MoveToTrash(ctx context.Context, p quarantine.PoolRef, name string, protect time.Duration) error {
	return do(ctx, c, Call{Verb: "MoveToTrash", Pool: p, Name: name}, func() error {
		return c.moveToTrash(p, name, protect)
	})
}

// moveToTrash is MoveToTrash for callers that hold c.mu. The trash counts
// whole seconds.
func (c *Ceph) moveToTrash(p quarantine.PoolRef, name string, protect time.Duration) error {
	img := c.live(p, name)
	if img == nil {
		return fmt.Errorf("move %s/%s to the trash: %w", p, name, quarantine.ErrNotFound)
	}
	now := c.clock().UTC().Truncate(time.Second)
	img.trash = &trashInfo{deletedAt: now, until: now.Add(protect).Truncate(time.Second)}
	return nil
}

// RestoreFromTrash takes an entry out of the trash under the name.
func (c *Ceph) RestoreFromTrash(ctx context.Context, key quarantine.Key, name string) error {
	return do(ctx, c, Call{Verb: "RestoreFromTrash", Key: key, Name: name}, func() error {
		return c.restoreFromTrash(key, name)
	})
}

// DropName drops what CloudRenameCut left.
func (c *Ceph) DropName(ctx context.Context, key quarantine.Key, name string) error {
	return do(ctx, c, Call{Verb: "DropName", Key: key, Name: name}, func() error {
		p := key.PoolRef()
		if err := c.known(p); err != nil {
			return err
		}
		if img := c.images[key]; c.second[p][name] == key && (img == nil || img.trash != nil || img.name != name) {
			delete(c.second[p], name)
		}
		return nil
	})
}

func (c *Ceph) restoreFromTrash(key quarantine.Key, name string) error {
	img := c.images[key]
	if img == nil || img.trash == nil {
		return fmt.Errorf("restore %s from the trash: %w", key, quarantine.ErrNotFound)
	}
	if img.trash.removing {
		return fmt.Errorf("restore %s from the trash: its removal has begun: %w", key, quarantine.ErrBusy)
	}
	if c.taken(key.PoolRef(), name) {
		return fmt.Errorf("restore %s from the trash as %s: %w", key, name, quarantine.ErrExists)
	}
	img.trash, img.name = nil, name
	return nil
}
