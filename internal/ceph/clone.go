package ceph

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// cloneFormat 2 needs no protected snapshot, and the parent may go to the
// trash while the clone lives.
const cloneFormat = 2

// Clone makes a copy-on-write clone of the seal. Similar to: rbd clone
// --rbd-default-clone-format 2 src@quarantine dst.
func (r *Registry) Clone(ctx context.Context, pool quarantine.PoolRef, src string, dst quarantine.PoolRef, dstName string) error {
	if dst.FSID != pool.FSID {
		return fmt.Errorf("clone %s/%s to another cluster: %w", pool, src, quarantine.ErrInvalid)
	}
	c, from, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	to, err := c.ioctx(ctx, dst)
	if err != nil {
		return err
	}
	return c.do(ctx, "clone "+pool.String()+"/"+src+" to "+dst.String()+"/"+dstName, func() error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		if err := options.SetUint64(rbd.ImageOptionCloneFormat, cloneFormat); err != nil {
			return err
		}
		err := rbd.CloneImage(from, src, quarantine.SealSnapshot, to, dstName, options)
		if gone(err) {
			err = rbd.CloneImage(from, src, quarantine.FlatSeal, to, dstName, options)
		}
		return err
	})
}

// RenameImage renames a live image within its pool; it may be open. What
// was left of the same rename, cut short, is finished. Similar to: rbd rename.
func (r *Registry) RenameImage(ctx context.Context, pool quarantine.PoolRef, from, to string) error {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	return c.do(ctx, "rename "+pool.String()+"/"+from+" to "+to, func() error { return rename(io, from, to) })
}

// ProtectSnapshot takes a snapshot and protects it; one that is there, and one
// that is protected, is success. Similar to: rbd snap create --image-id ID
// --snap NAME; rbd snap protect --image-id ID --snap NAME.
func (r *Registry) ProtectSnapshot(ctx context.Context, key quarantine.Key, name string) error {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, "protect a snapshot of image "+key.String(), func() (err error) {
		img, err := openByID(io, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		if _, err := img.CreateSnapshot(name); err != nil && errnoOf(err) != syscall.EEXIST {
			return err
		}
		snap := img.GetSnapshot(name)
		if protected, err := snap.IsProtected(); err != nil || protected {
			return err
		}
		return snap.Protect()
	})
}

// Flatten copies the parent's blocks. Similar to: rbd flatten.
func (r *Registry) Flatten(ctx context.Context, pool quarantine.PoolRef, name string, progress quarantine.Progress) error {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	return c.do(ctx, "flatten "+pool.String()+"/"+name, func() error { return flatten(ctx, io, name, progress) })
}

func flatten(ctx context.Context, io *rados.IOContext, name string, progress quarantine.Progress) (err error) {
	img, err := rbd.OpenImage(io, name, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	return flattenOpen(ctx, img, progress)
}
