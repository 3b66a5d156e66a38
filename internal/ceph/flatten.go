package ceph

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// flattenOps is how many objects one flatten copies at once
// (rbd_concurrent_management_ops; Ceph's default is 10). A slowed down flatten
// comes in bursts of that many.
const flattenOps = "2"

// FlattenImage copies the parent's blocks, on a connection of its own: librbd
// calls progress from one of the connection's few threads, and when progress
// waits, nobody else's calls must wait with it. Similar to: rbd flatten, by id.
func (r *Registry) FlattenImage(ctx context.Context, key quarantine.Key, progress quarantine.Progress) error {
	c, err := r.cluster(key.FSID)
	if err != nil {
		return err
	}
	return c.do(ctx, "flatten image "+key.String(), func() (err error) {
		conn, err := newConn(c.cfg)
		if err != nil {
			return err
		}
		defer conn.Shutdown()
		if err := conn.SetConfigOption("rbd_concurrent_management_ops", flattenOps); err != nil {
			return err
		}
		if err := conn.Connect(); err != nil {
			return err
		}
		io, err := conn.OpenIOContext(key.Pool)
		if err != nil {
			return err
		}
		defer io.Destroy()
		io.SetNamespace(key.Namespace)
		img, err := openByID(io, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		return flattenOpen(ctx, img, progress)
	})
}

// flattenOpen flattens an open image; one without a parent is success.
func flattenOpen(ctx context.Context, img *rbd.Image, progress quarantine.Progress) error {
	err := img.FlattenWithProgress(func(done, total uint64, _ any) int {
		if progress != nil {
			progress(done, total)
		}
		// librbd gives up when the callback asks for it: the one call that can
		// be cancelled.
		if ctx.Err() != nil {
			return -int(syscall.ECANCELED)
		}
		return 0
	}, nil)
	if errnoOf(err) == syscall.EINVAL { // it has no parent: flattened before
		if _, perr := img.GetParent(); gone(perr) {
			return nil
		}
	}
	if errnoOf(err) == syscall.ECANCELED && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, ctx.Err())
	}
	return err
}
