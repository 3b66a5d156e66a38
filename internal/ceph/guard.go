package ceph

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// The pool metadata keys of the guard's options: "conf_" and the option's
// name. librbd of every client reads them when it removes an image.
const (
	guardKey  = "conf_rbd_move_to_trash_on_remove"
	expireKey = "conf_rbd_move_to_trash_on_remove_expire_seconds"
)

// ReadGuard reads the pool's metadata. Similar to: rbd config pool get.
func (r *Registry) ReadGuard(ctx context.Context, pool quarantine.PoolRef) (quarantine.GuardSetting, error) {
	c, io, err := r.pool(pool)
	if err != nil {
		return quarantine.GuardSetting{}, err
	}
	what := "read the guard of " + pool.String()
	read := func(key string) (string, error) {
		v, err := get(ctx, c, what, func() (string, error) { return rbd.GetPoolMetadata(io, key) }, nil)
		if errors.Is(err, quarantine.ErrNotFound) {
			return "", nil
		}
		return v, err
	}
	on, err := read(guardKey)
	if err != nil {
		return quarantine.GuardSetting{}, err
	}
	expire, err := read(expireKey)
	if err != nil {
		return quarantine.GuardSetting{}, err
	}
	// Only what is surely on counts as on: librbd takes true, yes and 1 too,
	// but this service writes "true", and anything else was written by
	// somebody else.
	s := quarantine.GuardSetting{On: on == "true" || on == "1"}
	if seconds, err := strconv.ParseInt(expire, 10, 64); err == nil && seconds > 0 {
		s.Expire = time.Duration(min(seconds, int64(1<<62/time.Second))) * time.Second
	}
	return s, nil
}

// WriteGuard sets or removes both options; the protection time is there before
// the guard is on. Similar to: rbd config pool set POOL
// rbd_move_to_trash_on_remove true.
func (r *Registry) WriteGuard(ctx context.Context, pool quarantine.PoolRef, s quarantine.GuardSetting) error {
	c, io, err := r.pool(pool)
	if err != nil {
		return err
	}
	if s.On {
		return c.do(ctx, "switch on the guard of "+pool.String(), func() error {
			if err := rbd.SetPoolMetadata(io, expireKey, strconv.FormatInt(int64(s.Expire/time.Second), 10)); err != nil {
				return err
			}
			return rbd.SetPoolMetadata(io, guardKey, "true")
		})
	}
	return c.do(ctx, "switch off the guard of "+pool.String(), func() error {
		for _, key := range []string{guardKey, expireKey} {
			if err := rbd.RemovePoolMetadata(io, key); err != nil && !gone(err) {
				return err
			}
		}
		return nil
	})
}

// canarySize is one object.
const canarySize = 4 << 20

// Canary takes the pool's canary out of the trash (or makes one), removes it as
// a cloud would, and looks for it in the trash.
func (r *Registry) Canary(ctx context.Context, pool quarantine.PoolRef) (quarantine.TrashEntry, error) {
	c, io, err := r.pool(pool)
	if err != nil {
		return quarantine.TrashEntry{}, err
	}
	id, err := r.liveCanary(ctx, c, io, pool)
	if err != nil {
		return quarantine.TrashEntry{}, err
	}
	what := "remove the canary of " + pool.String()
	// The only ordinary remove in this program, of an image that is the
	// canary by name and by id.
	if err := c.do(ctx, what, func() error { return rbd.RemoveImage(io, quarantine.CanaryName) }); err != nil {
		return quarantine.TrashEntry{}, err
	}
	entry, err := r.trashEntry(ctx, pool.Key(id))
	if err != nil {
		return quarantine.TrashEntry{}, fmt.Errorf("look for the canary of %s: %w", pool, err)
	}
	return entry.entry(pool.Key(id)), nil
}

// liveCanary returns the id of the live canary.
func (r *Registry) liveCanary(ctx context.Context, c *Cluster, io *rados.IOContext, pool quarantine.PoolRef) (string, error) {
	find := func() (string, error) {
		live, err := r.LiveImages(ctx, pool, quarantine.CanaryName)
		return live[quarantine.CanaryName], err
	}
	// One that is live was left by a check that was cut short.
	if id, err := find(); err != nil || id != "" {
		return id, err
	}
	entries, err := r.ListTrash(ctx, pool)
	if err != nil {
		return "", err
	}
	var newest *quarantine.TrashEntry
	for i := range entries {
		if e := &entries[i]; e.Name == quarantine.CanaryName && (newest == nil || e.DeletedAt.After(newest.DeletedAt)) {
			newest = e
		}
	}
	if newest != nil {
		if err := r.RestoreFromTrash(ctx, newest.Key, quarantine.CanaryName); err != nil {
			return "", err
		}
		return newest.Key.ImageID, nil
	}
	err = c.do(ctx, "make the canary of "+pool.String(), func() error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		return rbd.CreateImage(io, quarantine.CanaryName, canarySize, options)
	})
	if err != nil {
		return "", err
	}
	return find()
}
