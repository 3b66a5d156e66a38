package fakeceph

import (
	"context"
	"fmt"
	"maps"

	"quarantine/internal/quarantine"
)

// Clone makes a copy-on-write clone of the seal of a live image. As librbd
// does, it copies the metadata too.
func (c *Ceph) Clone(ctx context.Context, p quarantine.PoolRef, src string, dst quarantine.PoolRef, dstName string) error {
	return do(ctx, c, Call{Verb: "Clone", Pool: p, Name: src}, func() error {
		snap := quarantine.SealSnapshot
		if img := c.live(p, src); img != nil && img.sealed() != nil {
			snap = img.sealed().name
		}
		_, err := c.clone(p, src, snap, dst, dstName)
		return err
	})
}

func (c *Ceph) clone(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, dstName string) (*image, error) {
	if dst.FSID != p.FSID {
		return nil, fmt.Errorf("clone %s/%s to another cluster: %w", p, src, quarantine.ErrInvalid)
	}
	if err := c.known(dst); err != nil {
		return nil, err
	}
	img := c.live(p, src)
	if img == nil {
		return nil, fmt.Errorf("clone %s/%s: %w", p, src, quarantine.ErrNotFound)
	}
	s := img.snap(snap)
	if s == nil {
		return nil, fmt.Errorf("clone %s/%s@%s: %w", p, src, snap, quarantine.ErrNotFound)
	}
	if c.taken(dst, dstName) {
		return nil, fmt.Errorf("clone to %s/%s: %w", dst, dstName, quarantine.ErrExists)
	}
	n := c.create(dst, dstName, s.size)
	n.content.parent = &parent{img, s}
	n.meta = maps.Clone(img.meta)
	return n, nil
}

// ProtectSnapshot takes a snapshot. Its protection, as format 2 of clones needs
// none, is not told apart.
func (c *Ceph) ProtectSnapshot(ctx context.Context, key quarantine.Key, snap string) error {
	return do(ctx, c, Call{Verb: "ProtectSnapshot", Key: key, Name: snap}, func() error {
		img := c.images[key]
		if img == nil {
			return fmt.Errorf("snapshot %s@%s: %w", key, snap, quarantine.ErrNotFound)
		}
		if img.snap(snap) == nil {
			c.snapshot(img, snap)
		}
		return nil
	})
}

// RenameImage renames a live image.
func (c *Ceph) RenameImage(ctx context.Context, p quarantine.PoolRef, from, to string) error {
	return do(ctx, c, Call{Verb: "RenameImage", Pool: p, Name: from}, func() error { return c.rename(p, from, to) })
}

// rename is RenameImage for callers that hold c.mu.
func (c *Ceph) rename(p quarantine.PoolRef, name, to string) error {
	img := c.live(p, name)
	if img == nil {
		return fmt.Errorf("rename %s/%s: %w", p, name, quarantine.ErrNotFound)
	}
	if c.second[p][to] == img.key {
		delete(c.second[p], to) // begun
	}
	if c.taken(p, to) {
		return fmt.Errorf("rename %s/%s to %s: %w", p, name, to, quarantine.ErrExists)
	}
	img.name = to
	return nil
}

// Flatten copies the parent's blocks into the image.
func (c *Ceph) Flatten(ctx context.Context, p quarantine.PoolRef, name string, progress quarantine.Progress) error {
	return do(ctx, c, Call{Verb: "Flatten", Pool: p, Name: name}, func() error {
		img := c.live(p, name)
		if img == nil {
			return fmt.Errorf("flatten %s/%s: %w", p, name, quarantine.ErrNotFound)
		}
		img.flatten()
		c.dropRemovedSnaps()
		if progress != nil {
			total := uint64((img.content.size + BlockSize - 1) / BlockSize)
			progress(total, total)
		}
		return nil
	})
}

func (c *content) flatten() {
	for _, n := range c.allocated() {
		c.blocks[n] = c.block(n)
	}
	c.parent = nil
}

// children names the clones of the image's snapshots. The caller holds c.mu.
func (c *Ceph) children(of *image) []string {
	var names []string
	for _, img := range c.images {
		if img.descends(of) {
			names = append(names, "clone "+img.key.PoolRef().String()+"/"+img.name)
		}
	}
	return names
}

func (i *image) descends(of *image) bool {
	if i.content.parent != nil && i.content.parent.image == of {
		return true
	}
	for _, s := range i.snaps {
		if s.parent != nil && s.parent.image == of {
			return true
		}
	}
	return false
}

// dropRemovedSnaps ends the removed snapshots that have no clone any more.
func (c *Ceph) dropRemovedSnaps() {
	for _, img := range c.images {
		kept := img.snaps[:0]
		for _, s := range img.snaps {
			if !s.removed || c.hasClone(s) {
				kept = append(kept, s)
				continue
			}
			c.noteRemoved(img.key, s.id)
		}
		img.snaps = kept
	}
}

func (c *Ceph) hasClone(s *snapshot) bool {
	for _, img := range c.images {
		if img.content.parent != nil && img.content.parent.snap == s {
			return true
		}
		for _, own := range img.snaps {
			if own.parent != nil && own.parent.snap == s {
				return true
			}
		}
	}
	return false
}

// ReadSealed reads the seal's allocated blocks.
func (c *Ceph) ReadSealed(ctx context.Context, key quarantine.Key, extent func(offset int64, data []byte) error) error {
	return c.readBlocks(ctx, Call{Verb: "ReadSealed", Key: key}, 0, sealedContent, extent)
}

// Used counts the image's own allocated bytes, without its parent's.
func (c *Ceph) Used(ctx context.Context, key quarantine.Key) (int64, error) {
	return call(ctx, c, Call{Verb: "Used", Key: key}, func() (int64, error) {
		img := c.images[key]
		if img == nil {
			return 0, fmt.Errorf("measure %s: %w", key, quarantine.ErrNotFound)
		}
		return int64(len(img.content.blocks)) * BlockSize, nil
	})
}
