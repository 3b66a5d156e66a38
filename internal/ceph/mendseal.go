package ceph

import (
	"context"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// mendSeal looks whether a seal that somebody else took, or this service before
// it was killed, is whole, and takes a second one if it is not.
//
// librbd writes a snapshot into the image's header first, and its object map
// after that. A client that dies between the two leaves a snapshot that is listed,
// and that librbd (16.2.15) says is not there when it is opened by its name, or
// cloned: a disk whose seal that is can be read (openSnapshot), and cannot be given
// back. Clones take the second one where they do not find the first.
func (o *openImage) mendSeal(ctx context.Context) error {
	io, err := o.c.ioctx(ctx, o.key.PoolRef())
	if err != nil {
		return err
	}
	var ids []uint64
	err = o.do(ctx, "look at the seal of", func() error {
		if opens, err := sealOpens(io, o.key.ImageID); err != nil || opens {
			return err
		}
		if _, err := o.img.CreateSnapshot(quarantine.FlatSeal); err != nil && errnoOf(err) != syscall.EEXIST {
			return err
		}
		opens, err := sealOpens(io, o.key.ImageID)
		if err == nil && !opens {
			err = fmt.Errorf("neither its seal nor a second one can be opened: %w", quarantine.ErrConflict)
		}
		if err != nil {
			return err
		}
		snaps, err := listSnapshots(o.img)
		ids = sealIDs(snaps)
		return err
	})
	if err == nil && ids != nil {
		o.info.SealIDs = ids
	}
	return err
}

// sealOpens reports whether one of the image's seals can be opened as a clone
// opens it.
func sealOpens(io *rados.IOContext, imageID string) (bool, error) {
	for _, name := range seals {
		img, err := rbd.OpenImageByIdReadOnly(io, imageID, name)
		if err == nil {
			return true, img.Close()
		}
		if !gone(err) {
			return false, err
		}
	}
	return false, nil
}
