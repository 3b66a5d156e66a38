package ceph

import (
	"context"
	"errors"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

var _ quarantine.Looker = (*Registry)(nil)

// LookAt opens the image for reading only: such a handle is no watcher. Similar
// to: rbd info, rbd snap ls and rbd image-meta ls, with --image-id ID.
func (r *Registry) LookAt(ctx context.Context, key quarantine.Key) (quarantine.ImageInfo, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return quarantine.ImageInfo{}, err
	}
	return get(ctx, c, "look at image "+key.String(), func() (info quarantine.ImageInfo, err error) {
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageByIdReadOnly)
		if err != nil {
			return info, err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		if info, err = readInfo(img, key.FSID); err != nil {
			return info, err
		}
		if info.DataPool, err = c.dataPool(ioctx, img); err != nil {
			return info, err
		}
		if info.Sealed {
			opens, err := sealOpens(ioctx, key.ImageID)
			if err != nil {
				return info, err
			}
			info.SealBroken = !opens
		}
		snaps, err := listSnapshots(img)
		for _, s := range snaps {
			info.Snapshots = append(info.Snapshots, quarantine.SnapshotInfo{ID: s.Id, Name: s.Name})
		}
		return info, err
	}, nil)
}
