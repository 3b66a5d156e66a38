package ceph

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// canarySize is one object.
const canarySize = 4 << 20

// Canary takes the pool's canary out of the trash (or makes one), removes it as
// a cloud would, and looks for it in the trash. Checks of one cluster take
// turns; one of another process that comes between is ErrBusy, because it must
// not look as if the guard had failed.
func (r *Registry) Canary(ctx context.Context, pool quarantine.PoolRef) (quarantine.TrashEntry, error) {
	none := quarantine.TrashEntry{}
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return none, err
	}
	what := "let go the canary of " + pool.String()
	select {
	case c.canary <- struct{}{}:
		defer func() { <-c.canary }()
	case <-ctx.Done():
		return none, mapped(what, ctx.Err())
	}
	id, err := r.liveCanary(ctx, c, io, pool)
	if err != nil {
		return none, err
	}
	// The only ordinary remove in this program, of an image that is the
	// canary by its name.
	err = c.do(ctx, what, func() error { return rbd.RemoveImage(io, quarantine.CanaryName) })
	if gone(err) {
		return none, fmt.Errorf("%s: %w: somebody else has removed it", what, quarantine.ErrBusy)
	}
	if err != nil {
		return none, err
	}
	key := pool.Key(id)
	entry, err := r.trashEntry(ctx, key)
	if errors.Is(err, quarantine.ErrNotFound) {
		live, lerr := r.LiveImages(ctx, pool, quarantine.CanaryName)
		if lerr != nil {
			return none, lerr
		}
		if live[quarantine.CanaryName] == id {
			return none, fmt.Errorf("%s: %w: somebody else has restored it", what, quarantine.ErrBusy)
		}
	}
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	c.lastCanary[pool] = id
	return entry.entry(key), nil
}

// liveCanary returns the id of the live canary.
func (r *Registry) liveCanary(ctx context.Context, c *Cluster, io *rados.IOContext, pool quarantine.PoolRef) (string, error) {
	// One that is live was left by a check that was cut short.
	live, err := r.LiveImages(ctx, pool, quarantine.CanaryName)
	if id := live[quarantine.CanaryName]; err != nil || id != "" {
		return id, err
	}
	newest, err := r.trashedCanary(ctx, c, pool)
	if err != nil {
		return "", err
	}
	what := "make the canary of " + pool.String()
	if newest != nil {
		err := r.RestoreFromTrash(ctx, newest.Key, quarantine.CanaryName)
		if errors.Is(err, quarantine.ErrNotFound) || errors.Is(err, quarantine.ErrExists) {
			return "", fmt.Errorf("%s: %w: somebody else has restored it", what, quarantine.ErrBusy)
		}
		return newest.Key.ImageID, err
	}
	err = c.do(ctx, what, func() error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		return rbd.CreateImage(io, quarantine.CanaryName, canarySize, options)
	})
	if err != nil {
		return "", err
	}
	live, err = r.LiveImages(ctx, pool, quarantine.CanaryName)
	if id := live[quarantine.CanaryName]; err != nil || id != "" {
		return id, err
	}
	return "", fmt.Errorf("%s: %w: somebody else has removed it", what, quarantine.ErrBusy)
}

// trashedCanary returns the newest canary of the pool's trash, or nil: the one
// that was let go last, mostly, so that a long trash is not gone through each
// time.
func (r *Registry) trashedCanary(ctx context.Context, c *Cluster, pool quarantine.PoolRef) (*quarantine.TrashEntry, error) {
	if id := c.lastCanary[pool]; id != "" {
		s, err := r.trashEntry(ctx, pool.Key(id))
		if err == nil && s.users() && s.name == quarantine.CanaryName {
			e := s.entry(pool.Key(id))
			return &e, nil
		}
		if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
			return nil, err
		}
	}
	var newest *quarantine.TrashEntry
	err := r.EachTrash(ctx, pool, func(page []quarantine.TrashEntry) error {
		for i := range page {
			if e := &page[i]; e.Name == quarantine.CanaryName && (newest == nil || e.DeletedAt.After(newest.DeletedAt)) {
				newest = e
			}
		}
		return nil
	})
	return newest, err
}
