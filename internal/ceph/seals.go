package ceph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

var _ quarantine.Snapshots = (*Registry)(nil)

// listSnapshots returns the image's snapshots. go-ceph asks for their number first,
// and makes up nameless ones in place of those that are removed before it asks again.
func listSnapshots(img *rbd.Image) ([]rbd.SnapInfo, error) {
	snaps, err := img.GetSnapshotNames()
	return slices.DeleteFunc(snaps, func(s rbd.SnapInfo) bool { return s.Name == "" }), err
}

// sealIDs are the ids of the seals, the one that counts first.
func sealIDs(snaps []rbd.SnapInfo) []uint64 {
	var ids []uint64
	for _, name := range []string{quarantine.SealSnapshot, quarantine.FlatSeal} {
		if i := slices.IndexFunc(snaps, func(s rbd.SnapInfo) bool { return s.Name == name }); i >= 0 {
			ids = append(ids, snaps[i].Id)
		}
	}
	return ids
}

// SealsOf opens the image for reading only: a handle for writing is a watcher,
// and holds up a removal. Similar to: rbd snap ls --image-id ID.
func (r *Registry) SealsOf(ctx context.Context, key quarantine.Key) (quarantine.Seals, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return quarantine.Seals{}, err
	}
	return get(ctx, c, "look at the seals of image "+key.String(), func() (s quarantine.Seals, err error) {
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageByIdReadOnly)
		if err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		snaps, err := listSnapshots(img)
		if err != nil {
			return s, err
		}
		s.IDs = sealIDs(snaps)
		s.DataPool, err = c.dataPool(ioctx, img)
		return s, err
	}, nil)
}

// maxEpochs bounds how many epochs of the OSD map one call reads. Each is the
// whole map as JSON: 8 KB in the lab, a megabyte and more with a thousand OSDs.
const maxEpochs = 100

// RemovedSnapshots reads the epochs of the OSD map. Similar to: ceph osd stat;
// ceph osd dump EPOCH.
func (r *Registry) RemovedSnapshots(ctx context.Context, fsid string, since uint64) (quarantine.RemovedSnapshots, error) {
	var res quarantine.RemovedSnapshots
	c, err := r.cluster(fsid)
	if err != nil {
		return res, err
	}
	var stat struct {
		Epoch uint64 `json:"epoch"`
	}
	out, err := c.monCommand(ctx, "osd stat")
	if err != nil {
		return res, err
	}
	if err := json.Unmarshal(out, &stat); err != nil || stat.Epoch == 0 {
		return res, fmt.Errorf("cluster %s: the epoch of its OSD map does not parse: %w", c.name, errors.Join(quarantine.ErrUnavailable, err))
	}
	res.Epoch = stat.Epoch
	switch {
	case since == 0 || since == stat.Epoch:
		return res, nil
	case since > stat.Epoch || stat.Epoch-since > maxEpochs:
		// A monitor that lags behind cannot be told from a map that was put back.
		res.Gap = true
		return res, nil
	}
	for e := since + 1; e <= stat.Epoch; e++ {
		ids, err := c.removedIn(ctx, e)
		if errors.Is(err, quarantine.ErrNotFound) { // forgotten
			res.Gap = true
			continue
		}
		if err != nil {
			return quarantine.RemovedSnapshots{}, err
		}
		for _, s := range ids {
			name, err := get(ctx, c, fmt.Sprintf("name pool %d of cluster %s", s.pool, c.name), func() (string, error) { return c.conn.GetPoolByID(s.pool) }, nil)
			if errors.Is(err, quarantine.ErrNotFound) {
				continue // deleted since
			}
			if err != nil {
				return quarantine.RemovedSnapshots{}, err
			}
			res.Snapshots = append(res.Snapshots, quarantine.SealRef{FSID: fsid, Pool: name, ID: s.id})
		}
	}
	return res, nil
}

// dataPool is the name of the pool of the image's data, if that is another than
// its own. librbd asks for the ids of its snapshots there.
func (c *Cluster) dataPool(ioctx *rados.IOContext, img *rbd.Image) (string, error) {
	id, err := img.GetDataPoolID()
	if err != nil || id == ioctx.GetPoolID() {
		return "", err
	}
	return c.conn.GetPoolByID(id)
}

type removedSnap struct {
	pool int64
	id   uint64
}

// removedIn returns the snapshots that an epoch of the OSD map removed.
func (c *Cluster) removedIn(ctx context.Context, epoch uint64) ([]removedSnap, error) {
	out, err := c.monCommandWith(ctx, "osd dump", map[string]any{"epoch": epoch})
	if err != nil {
		return nil, err
	}
	var dump struct {
		Epoch   uint64 `json:"epoch"`
		Removed []struct {
			Pool  int64 `json:"pool"`
			Snaps []struct {
				Begin  uint64 `json:"begin"`
				Length uint64 `json:"length"`
			} `json:"snaps"`
		} `json:"new_removed_snaps"`
	}
	if err := json.Unmarshal(out, &dump); err != nil || dump.Epoch != epoch {
		return nil, fmt.Errorf("cluster %s: epoch %d of its OSD map does not parse: %w", c.name, epoch, errors.Join(quarantine.ErrUnavailable, err))
	}
	var ids []removedSnap
	for _, p := range dump.Removed {
		for _, s := range p.Snaps {
			for i := range s.Length {
				ids = append(ids, removedSnap{p.Pool, s.Begin + i})
			}
		}
	}
	return ids, nil
}
