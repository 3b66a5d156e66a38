package fakeceph

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"quarantine/internal/quarantine"
)

var _ quarantine.Lineages = (*Ceph)(nil)

// CloudCloneShallow is CloudClone of an image without the feature deep-flatten,
// as a site has them whose rbd_default_features lacks it.
func (c *Ceph) CloudCloneShallow(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img, err := c.clone(p, src, snap, dst, name)
	if err != nil {
		return quarantine.Key{}, err
	}
	img.shallow = true
	return img.key, nil
}

// CloudRemoveSnapshot removes a snapshot; one with clones leaves its name and
// stays until they are gone, as with format 2.
func (c *Ceph) CloudRemoveSnapshot(p quarantine.PoolRef, name, snap string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.live(p, name)
	if img == nil || img.snap(snap) == nil {
		return fmt.Errorf("remove snapshot %s/%s@%s: %w", p, name, snap, quarantine.ErrNotFound)
	}
	img.snap(snap).removed = true
	c.dropRemovedSnaps()
	return nil
}

// ref is what a clone stands on, as the domain names it.
func (c *content) ref() *quarantine.ParentRef {
	if c.parent == nil {
		return nil
	}
	p := c.parent
	return &quarantine.ParentRef{Key: p.image.key, Name: p.image.name, Snapshot: p.snap.name, OverlapBytes: min(c.size, p.snap.size)}
}

// Lineage looks at what the image stands on.
func (c *Ceph) Lineage(ctx context.Context, key quarantine.Key) (quarantine.Lineage, error) {
	return call(ctx, c, Call{Verb: "Lineage", Key: key}, func() (quarantine.Lineage, error) {
		var l quarantine.Lineage
		img := c.images[key]
		if img == nil {
			return l, fmt.Errorf("look at what image %s stands on: %w", key, quarantine.ErrNotFound)
		}
		l.Deep = !img.shallow
		l.Parent = img.content.ref()
		l.Head = l.Parent != nil
		for _, s := range img.snaps {
			p := s.ref()
			switch {
			case p == nil:
				continue
			case s == img.sealed():
				l.Seal = true
			case s.name == quarantine.FlatSeal && !s.removed:
				continue
			default:
				l.Others = append(l.Others, s.name)
			}
			if l.Parent == nil {
				l.Parent = p
			}
		}
		l.Clones = c.children(img)
		slices.Sort(l.Clones)
		for _, w := range img.watchers {
			l.Watchers = append(l.Watchers, "watcher "+w)
		}
		return l, nil
	})
}

// Whereabouts looks for an image.
func (c *Ceph) Whereabouts(ctx context.Context, key quarantine.Key, _ string) (quarantine.Whereabouts, error) {
	return call(ctx, c, Call{Verb: "Whereabouts", Key: key}, func() (quarantine.Whereabouts, error) {
		var w quarantine.Whereabouts
		if err := c.known(key.PoolRef()); err != nil {
			return w, err
		}
		img := c.images[key]
		if img == nil {
			return w, nil
		}
		if w.InTrash = img.trash != nil; !w.InTrash {
			w.Live, w.Name = true, img.name
		}
		w.SnapshotRemoved = slices.ContainsFunc(img.snaps, func(s *snapshot) bool { return s.removed })
		return w, nil
	})
}

// FlattenImage copies the parent's blocks.
func (c *Ceph) FlattenImage(ctx context.Context, key quarantine.Key, progress quarantine.Progress) error {
	var total uint64
	err := do(ctx, c, Call{Verb: "FlattenImage", Key: key}, func() error {
		img := c.images[key]
		if img == nil {
			return fmt.Errorf("flatten image %s: %w", key, quarantine.ErrNotFound)
		}
		if img.content.parent != nil {
			img.flatten()
			c.dropRemovedSnaps()
			total = uint64((img.content.size + BlockSize - 1) / BlockSize)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for done := range total {
		if progress != nil {
			progress(done+1, total)
		}
		if err := ended(ctx); err != nil {
			return err
		}
	}
	return nil
}

// flatten gives the image its parent's blocks, and those of its snapshots,
// unless it lacks deep-flatten.
func (i *image) flatten() {
	i.content.flatten()
	if i.shallow {
		return
	}
	for _, s := range i.snaps {
		s.flatten()
	}
}

// SealAgain takes the second seal, and compares.
func (c *Ceph) SealAgain(ctx context.Context, key quarantine.Key, progress quarantine.Progress) (quarantine.SealPair, bool, error) {
	var same bool
	pair, err := call(ctx, c, Call{Verb: "SealAgain", Key: key}, func() (pair quarantine.SealPair, err error) {
		img := c.images[key]
		if img == nil || img.snap(quarantine.SealSnapshot) == nil {
			return pair, fmt.Errorf("take the second seal of %s: %w", key, quarantine.ErrNotFound)
		}
		if img.snap(quarantine.FlatSeal) == nil {
			c.snapshot(img, quarantine.FlatSeal)
		}
		first, second := img.snap(quarantine.SealSnapshot), img.snap(quarantine.FlatSeal)
		pair = quarantine.SealPair{First: first.id, Second: second.id}
		if second.parent != nil {
			return pair, fmt.Errorf("the second seal of %s has a parent: %w", key, quarantine.ErrConflict)
		}
		same = bytes.Equal(first.bytes(), second.bytes())
		return pair, nil
	})
	if err == nil && progress != nil {
		progress(1, 1)
	}
	return pair, same && err == nil, err
}

// UsedOfParent counts the blocks that a flatten would copy.
func (c *Ceph) UsedOfParent(ctx context.Context, key quarantine.Key) (int64, error) {
	return call(ctx, c, Call{Verb: "UsedOfParent", Key: key}, func() (int64, error) {
		img := c.images[key]
		if img == nil {
			return 0, fmt.Errorf("measure what stands below %s: %w", key, quarantine.ErrNotFound)
		}
		return int64(len(img.content.allocated())-len(img.content.blocks)) * BlockSize, nil
	})
}

// RemoveFirstSeal removes the first of two seals.
func (r Remover) RemoveFirstSeal(ctx context.Context, key quarantine.Key, pair quarantine.SealPair) error {
	return do(ctx, r.c, Call{Verb: "RemoveFirstSeal", Key: key}, func() error {
		img := r.c.images[key]
		if img == nil {
			return fmt.Errorf("remove the first seal of %s: %w", key, quarantine.ErrNotFound)
		}
		first, second := img.snap(quarantine.SealSnapshot), img.snap(quarantine.FlatSeal)
		if second == nil || second.id != pair.Second || first != nil && first.id != pair.First {
			return fmt.Errorf("remove the first seal of %s: its snapshots are not the ones that were compared: %w", key, quarantine.ErrConflict)
		}
		if first != nil {
			first.removed = true
			r.c.dropRemovedSnaps()
		}
		return nil
	})
}
