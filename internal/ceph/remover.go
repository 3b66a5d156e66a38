package ceph

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// Remover destroys. The wiring makes one and gives it to the collector, and to
// nobody else.
type Remover struct {
	r     *Registry
	clock quarantine.Clock
}

var _ quarantine.Remover = (*Remover)(nil)

// NewRemover makes the Remover.
func NewRemover(r *Registry, clock quarantine.Clock) *Remover { return &Remover{r: r, clock: clock} }

// Inspect names clones of the image's snapshots and clients that have it open,
// and reads the record. Similar to: rbd children --image-id ID --all; rbd
// status --image-id ID; rbd image-meta get.
func (m *Remover) Inspect(ctx context.Context, key quarantine.Key) (quarantine.Inspection, error) {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return quarantine.Inspection{}, err
	}
	return get(ctx, c, "inspect image "+key.String(), func() (quarantine.Inspection, error) {
		return inspect(ioctx, key.ImageID)
	}, nil)
}

func inspect(ioctx *rados.IOContext, id string) (in quarantine.Inspection, err error) {
	// Read-only: opening for writing would make this very client a watcher.
	img, err := openByID(ioctx, id, rbd.OpenImageByIdReadOnly)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	return inspectOpen(ioctx, id, img, 0)
}

// inspectOpen inspects an image that is open: for writing, by the client own, or for
// reading, by nobody of note (0).
func inspectOpen(ioctx *rados.IOContext, id string, img *rbd.Image, own uint64) (in quarantine.Inspection, err error) {
	clones, watchers, err := dependents(ioctx, id, img, own)
	if err != nil {
		return in, err
	}
	in.Cloned, in.Watched = len(clones) > 0, len(watchers) > 0
	in.Dependents = append(clones, watchers...)
	if err := sizes(img, &in); err != nil {
		return in, err
	}
	in.Record, err = readMetadata(img, quarantine.RecordKey)
	return in, err
}

// sizes notes the image's size, that of its objects, whether it has an object
// map, and the group that it is in, which keeps Ceph from removing it. (go-ceph
// does not tell whether the map is valid; with one that is not, a removal asks
// for every object, as without.)
func sizes(img *rbd.Image, in *quarantine.Inspection) error {
	st, err := img.Stat()
	if err != nil {
		return err
	}
	features, err := img.GetFeatures()
	if err != nil {
		return err
	}
	in.SizeBytes, in.ObjectBytes = int64(st.Size), int64(1)<<st.Order
	in.Mapped = features&rbd.FeatureObjectMap != 0
	if features&rbd.FeatureOperations == 0 {
		return nil // every image in a group has it: a call less for all others
	}
	g, err := img.GetGroup()
	if err == nil && g.Name != "" {
		in.Dependents = append(in.Dependents, "group "+g.Name)
	}
	return err
}

// Trim frees the image's data behind the size. Similar to: rbd resize
// --allow-shrink --image-id ID.
func (m *Remover) Trim(ctx context.Context, key quarantine.Key, size int64) error {
	return m.open(ctx, key, "trim", func(img *rbd.Image) error {
		now, err := img.GetSize()
		if err != nil || int64(now) <= size {
			return err
		}
		return img.Resize(uint64(size))
	})
}

// Unseal removes the seal. Similar to: rbd snap rm --image-id ID.
func (m *Remover) Unseal(ctx context.Context, key quarantine.Key) error {
	return m.open(ctx, key, "remove the seal of", unseal)
}

// unseal removes a second seal first: alone it would count as the seal.
func unseal(img *rbd.Image) error {
	if err := removeSnapshot(img.GetSnapshot(quarantine.FlatSeal)); err != nil {
		return err
	}
	return removeSnapshot(img.GetSnapshot(quarantine.SealSnapshot))
}

// removal is an image that OpenForRemoval opened.
type removal struct {
	*openImage
	found quarantine.Inspection
}

// OpenForRemoval opens the image for writing, and inspects it.
func (m *Remover) OpenForRemoval(ctx context.Context, key quarantine.Key) (quarantine.Removal, error) {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return nil, err
	}
	var found quarantine.Inspection
	o, err := c.open(ctx, key, "open for its removal", func() (*rbd.Image, quarantine.ImageInfo, error) {
		var none quarantine.ImageInfo
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return nil, none, err
		}
		if found, err = inspectOpen(ioctx, key.ImageID, img, c.conn.GetInstanceID()); err != nil {
			return nil, none, errors.Join(err, img.Close())
		}
		return img, none, nil
	})
	if err != nil {
		return nil, err
	}
	return &removal{o, found}, nil
}

// Found is what OpenForRemoval saw.
func (r *removal) Found() quarantine.Inspection { return r.found }

// Strip removes every snapshot. Whoever removed the image meanwhile has done so.
func (r *removal) Strip(ctx context.Context) error {
	return r.do(ctx, "remove the snapshots of", func() error {
		if err := strip(r.img); err != nil && !gone(err) {
			return err
		}
		return nil
	})
}

// Strip removes every snapshot, the seal last. Similar to: rbd snap purge
// --image-id ID.
func (m *Remover) Strip(ctx context.Context, key quarantine.Key) error {
	return m.open(ctx, key, "remove the snapshots of", strip)
}

func strip(img *rbd.Image) error {
	snaps, err := listSnapshots(img)
	if err != nil {
		return err
	}
	// Before the first is removed: one that has clones of format 1 ends the
	// purge here, and the disk keeps all its snapshots.
	for _, s := range snaps {
		if err := unprotect(img.GetSnapshot(s.Name)); err != nil && !gone(err) {
			return err
		}
	}
	for _, s := range snaps {
		if s.Name == quarantine.SealSnapshot || s.Name == quarantine.FlatSeal {
			continue
		}
		if err := removeSnapshot(img.GetSnapshot(s.Name)); err != nil {
			return err
		}
	}
	return unseal(img)
}

// open acts on the image, opened for writing. One that is gone is success.
func (m *Remover) open(ctx context.Context, key quarantine.Key, what string, act func(*rbd.Image) error) error {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, what+" image "+key.String(), func() (err error) {
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageById)
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		return act(img)
	})
}

// removeSnapshot removes a snapshot, protected or not; one that is gone is
// success.
func removeSnapshot(s *rbd.Snapshot) error {
	err := unprotect(s)
	if err == nil {
		err = s.Remove()
	}
	if gone(err) {
		return nil
	}
	return err
}

// unprotect takes the protection off a snapshot, if it has one.
func unprotect(s *rbd.Snapshot) error {
	protected, err := s.IsProtected()
	if err == nil && protected {
		err = s.Unprotect()
	}
	return err
}

// FreeName frees a name that a dead client took, without coming to an image.
func (m *Remover) FreeName(ctx context.Context, key quarantine.Key, name string) error {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, "free the name "+key.PoolRef().String()+"/"+name, func() error {
		freed, err := freeName(ioctx, name, key.ImageID)
		if err == nil && !freed {
			err = fmt.Errorf("%w: there is an image %s, or the name is not its any more", quarantine.ErrConflict, key.ImageID)
		}
		return err
	})
}

// Remove removes the trash entry without force. Similar to: rbd trash rm.
func (m *Remover) Remove(ctx context.Context, key quarantine.Key, _ quarantine.Progress) error {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, "remove "+key.String()+" from the trash", func() error {
		if err := rbd.TrashRemove(ioctx, key.ImageID, false); err != nil && !gone(err) {
			return err
		}
		return nil
	})
}
