package ceph

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// The pool metadata keys of the guard's options: "conf_" and the option's
// name. librbd of every client reads them when it removes an image, in
// whichever namespace: from the pool outside any namespace. What is written to
// a namespace's own metadata has no effect.
const (
	guardKey  = "conf_rbd_move_to_trash_on_remove"
	expireKey = "conf_rbd_move_to_trash_on_remove_expire_seconds"
)

// whole is the pool outside any namespace.
func whole(p quarantine.PoolRef) quarantine.PoolRef {
	p.Namespace = ""
	return p
}

// ReadGuard reads the pool's metadata. Similar to: rbd config pool get.
func (r *Registry) ReadGuard(ctx context.Context, pool quarantine.PoolRef) (quarantine.GuardSetting, error) {
	c, io, err := r.pool(ctx, whole(pool))
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
	c, io, err := r.pool(ctx, whole(pool))
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
