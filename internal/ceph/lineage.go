package ceph

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

var _ quarantine.Lineages = (*Registry)(nil)

// parentOf is what the image, as it is set to its head or to a snapshot, is a
// clone of; nil if it stands alone.
func parentOf(img *rbd.Image, fsid string) (*quarantine.ParentRef, error) {
	p, err := img.GetParent()
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	overlap, err := img.GetOverlap()
	if err != nil {
		return nil, err
	}
	pool := quarantine.PoolRef{FSID: fsid, Pool: p.Image.PoolName, Namespace: p.Image.PoolNamespace}
	return &quarantine.ParentRef{Key: pool.Key(p.Image.ImageID), Name: p.Image.ImageName, Snapshot: p.Snap.SnapName, OverlapBytes: int64(overlap)}, nil
}

// Lineage looks at what the image's head and each of its snapshots stand on,
// and at what stands on them. Similar to: rbd info, rbd children and rbd status
// with --image-id.
func (r *Registry) Lineage(ctx context.Context, key quarantine.Key) (quarantine.Lineage, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return quarantine.Lineage{}, err
	}
	return get(ctx, c, "look at what image "+key.String()+" stands on", func() (quarantine.Lineage, error) {
		return lineage(ioctx, key)
	}, nil)
}

func lineage(ioctx *rados.IOContext, key quarantine.Key) (l quarantine.Lineage, err error) {
	img, err := openByID(ioctx, key.ImageID, rbd.OpenImageByIdReadOnly)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	// Of the head first: afterwards the handle is set to a snapshot.
	if l.Clones, l.Watchers, err = dependents(ioctx, key.ImageID, img, 0); err != nil {
		return l, err
	}
	features, err := img.GetFeatures()
	if err != nil {
		return l, err
	}
	l.Deep = features&rbd.FeatureDeepFlatten != 0
	if l.Parent, err = parentOf(img, key.FSID); err != nil {
		return l, err
	}
	l.Head = l.Parent != nil
	snaps, err := listSnapshots(img)
	if err != nil {
		return l, err
	}
	seal, sealed := sealOf(snaps)
	for _, s := range snaps {
		if err := img.SetSnapByID(s.Id); err != nil {
			return l, err
		}
		p, err := parentOf(img, key.FSID)
		if err != nil {
			return l, err
		}
		switch {
		case p == nil:
			continue
		case sealed && s.Id == seal.Id:
			l.Seal = true
		case s.Name == quarantine.FlatSeal:
			continue
		default:
			l.Others = append(l.Others, s.Name)
		}
		if l.Parent == nil {
			l.Parent = p
		}
	}
	return l, nil
}

// opClones is RBD_OPERATION_FEATURE_CLONE_PARENT: a snapshot of the image has
// clones of format 2. It is in opFeatures of the header's omap, 8 bytes.
const (
	opFeatures = "op_features"
	opClones   = 1 << 0
)

// mayHaveClones reports whether clones of the image are worth asking for, which
// librbd does in every pool of the cluster: a clone of format 1 needs a protected
// snapshot, and one of format 2 leaves its mark on the parent. In doubt it may.
func mayHaveClones(ioctx *rados.IOContext, id string, img *rbd.Image) (bool, error) {
	snaps, err := listSnapshots(img)
	if err != nil {
		return false, err
	}
	for _, s := range snaps {
		if protected, err := img.GetSnapshot(s.Name).IsProtected(); err != nil || protected {
			return true, nil // also of a namespace that has no protection
		}
	}
	features, err := img.GetFeatures()
	if err != nil || features&rbd.FeatureOperations == 0 {
		return false, err
	}
	ops, err := omapValue(ioctx, headerPrefix+id, opFeatures)
	if err != nil {
		return false, err
	}
	return len(ops) != 8 || binary.LittleEndian.Uint64(ops)&opClones != 0, nil
}

// dependents names the clones of the image's snapshots, and the clients that
// have it open.
//
// own is the client whose opening for writing, once, is not named; 0: nobody's.
func dependents(ioctx *rados.IOContext, id string, img *rbd.Image, own uint64) (clones, watchers []string, err error) {
	may, err := mayHaveClones(ioctx, id, img)
	if err != nil {
		return nil, nil, err
	}
	var children []rbd.ImageSpec
	if may {
		if children, err = img.ListChildrenAttributes(); err != nil {
			return nil, nil, err
		}
	}
	for _, ch := range children {
		name := ch.PoolName + "/" + ch.ImageName
		if ch.PoolNamespace != "" {
			name = ch.PoolName + "/" + ch.PoolNamespace + "/" + ch.ImageName
		}
		if ch.Trash {
			name += " (in the trash, id " + ch.ImageID + ")"
		}
		clones = append(clones, "clone "+name)
	}
	open, err := img.ListWatchers()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range open {
		if own != 0 && uint64(w.Id) == own {
			own = 0 // a second one is somebody's
			continue
		}
		watchers = append(watchers, fmt.Sprintf("watcher client.%d at %s", w.Id, w.Addr))
	}
	return clones, watchers, nil
}

// Whereabouts looks for an image in any pool of the cluster, by its trash and
// its directory.
func (r *Registry) Whereabouts(ctx context.Context, key quarantine.Key, name string) (quarantine.Whereabouts, error) {
	var w quarantine.Whereabouts
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return w, err
	}
	_, err = r.FindInTrash(ctx, key)
	switch {
	case err == nil:
		w.InTrash = true
	case !errors.Is(err, quarantine.ErrNotFound):
		return w, err
	default:
		if w.Name, err = r.liveName(ctx, key, name); err != nil {
			return w, err
		}
		w.Live = w.Name != ""
	}
	if !w.Live && !w.InTrash {
		return w, nil
	}
	w.SnapshotRemoved, err = get(ctx, c, "look at the snapshots of image "+key.String(), func() (bool, error) {
		return snapshotRemoved(ioctx, key.ImageID)
	}, nil)
	if gone(err) {
		return quarantine.Whereabouts{}, nil // it went away meanwhile
	}
	return w, err
}

// liveName is the name of a live image, which was name once; "" if no live
// image has the id.
func (r *Registry) liveName(ctx context.Context, key quarantine.Key, name string) (string, error) {
	for _, prefix := range []string{name, ""} {
		live, err := r.LiveImages(ctx, key.PoolRef(), prefix)
		if err != nil {
			return "", err
		}
		if live[name] == key.ImageID {
			return name, nil
		}
		for n, id := range live {
			if id == key.ImageID {
				return n, nil
			}
		}
		// The whole pool is listed only for an image that is there.
		if there, err := r.HasImage(ctx, key); err != nil || !there {
			return "", err
		}
	}
	return "", nil
}

// snapshotRemoved reports whether the image has a snapshot in the trash of
// snapshots.
func snapshotRemoved(ioctx *rados.IOContext, id string) (removed bool, err error) {
	img, err := openByID(ioctx, id, rbd.OpenImageByIdReadOnly)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	snaps, err := listSnapshots(img)
	if err != nil {
		return false, err
	}
	for _, s := range snaps {
		space, err := img.GetSnapNamespaceType(s.Id)
		if err != nil {
			return false, err
		}
		removed = removed || space == rbd.SnapNamespaceTypeTrash
	}
	return removed, nil
}

// UsedOfParent measures what of the head is the parent's. Similar to: rbd diff
// with and without the parent's blocks.
func (r *Registry) UsedOfParent(ctx context.Context, key quarantine.Key) (int64, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return 0, err
	}
	return get(ctx, c, "measure what stands below image "+key.String(), func() (total int64, err error) {
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageByIdReadOnly)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		for _, parent := range []rbd.DiffIncludeParent{rbd.IncludeParent, rbd.ExcludeParent} {
			extents, err := allocated(img, parent)
			if err != nil {
				return 0, err
			}
			for _, e := range extents {
				total += int64(e.length)
			}
			if parent == rbd.IncludeParent {
				total = -total
			}
		}
		return max(-total, 0), nil
	}, nil)
}

// findSnapshot returns the id of a snapshot, and whether it is there.
func findSnapshot(img *rbd.Image, name string) (uint64, bool, error) {
	snaps, err := listSnapshots(img)
	if err != nil {
		return 0, false, err
	}
	i := slices.IndexFunc(snaps, func(s rbd.SnapInfo) bool { return s.Name == name })
	if i < 0 {
		return 0, false, nil
	}
	return snaps[i].Id, true, nil
}
