package fakeceph

import (
	"context"
	"fmt"
	"slices"

	"quarantine/internal/quarantine"
)

var _ quarantine.Snapshots = (*Ceph)(nil)

// sealIDs are the ids of the seals, the one that counts first.
func (i *image) sealIDs() []uint64 {
	var ids []uint64
	for _, name := range []string{quarantine.SealSnapshot, quarantine.FlatSeal} {
		if s := i.snap(name); s != nil {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// SealsOf returns the ids of the image's seals.
func (c *Ceph) SealsOf(ctx context.Context, key quarantine.Key) (quarantine.Seals, error) {
	return call(ctx, c, Call{Verb: "SealsOf", Key: key}, func() (quarantine.Seals, error) {
		img := c.images[key]
		if img == nil {
			return quarantine.Seals{}, fmt.Errorf("look at the seals of %s: %w", key, quarantine.ErrNotFound)
		}
		return quarantine.Seals{IDs: img.sealIDs(), DataPool: img.dataPool}, nil
	})
}

// RemovedSnapshots tells of every removal, each of which made an epoch.
func (c *Ceph) RemovedSnapshots(ctx context.Context, fsid string, since uint64) (quarantine.RemovedSnapshots, error) {
	return call(ctx, c, Call{Verb: "RemovedSnapshots", Pool: quarantine.PoolRef{FSID: fsid}}, func() (quarantine.RemovedSnapshots, error) {
		res := quarantine.RemovedSnapshots{Epoch: uint64(len(c.removed)) + 1}
		switch {
		case since == 0:
		case since > res.Epoch || since < c.forgotten:
			res.Gap = true
		default:
			for _, s := range c.removed[since-1:] {
				if s.FSID == fsid {
					res.Snapshots = append(res.Snapshots, s)
				}
			}
		}
		return res, nil
	})
}

// noteRemoved notes that a snapshot is gone from its pool. The caller holds
// c.mu.
func (c *Ceph) noteRemoved(key quarantine.Key, id uint64) {
	pool := key.Pool
	if img := c.images[key]; img != nil && img.dataPool != "" {
		pool = img.dataPool
	}
	c.removed = append(c.removed, quarantine.SealRef{FSID: key.FSID, Pool: pool, ID: id})
}

// NoteRemoved tells of a snapshot as removed that no image has.
func (c *Ceph) NoteRemoved(s quarantine.SealRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = append(c.removed, s)
}

// SetDataPool says that the image's data is in another pool, which need not be
// one of the fake's.
func (c *Ceph) SetDataPool(key quarantine.Key, pool string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[key]; img != nil {
		img.dataPool = pool
	}
}

// ForgetEpochs makes the monitors forget what they have removed until now.
func (c *Ceph) ForgetEpochs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten = uint64(len(c.removed)) + 1
}

// CloudUnseal is `rbd snap rm --image-id` of every seal by somebody else.
func (c *Ceph) CloudUnseal(key quarantine.Key) { c.unsealed(key, true, true) }

// CloudReleaseSeal takes the seals from the pool, and leaves them in the image's
// header: the first half of CloudUnseal, or a client of RADOS itself.
func (c *Ceph) CloudReleaseSeal(key quarantine.Key) { c.unsealed(key, true, false) }

// CloudForgeHeader takes the seals from the image's header without the
// monitors' knowledge: `rados rmomapkey rbd_header.ID snapshot_…`.
func (c *Ceph) CloudForgeHeader(key quarantine.Key) { c.unsealed(key, false, true) }

// BreakSeal makes the seal one that is listed and cannot be opened, as a client
// leaves it that dies while it takes it. The image must be sealed.
func (c *Ceph) BreakSeal(key quarantine.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images[key].sealed().broken = true
}

func (c *Ceph) unsealed(key quarantine.Key, pool, header bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.images[key]
	if img == nil {
		return
	}
	for _, id := range img.sealIDs() {
		if pool {
			c.noteRemoved(key, id)
		}
		if header {
			img.snaps = slices.DeleteFunc(img.snaps, func(s *snapshot) bool { return s.id == id })
		}
	}
}
