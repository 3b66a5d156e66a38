package fakeceph

import (
	"context"
	"fmt"

	"quarantine/internal/quarantine"
)

// ReadGuard reads the pool's settings.
func (c *Ceph) ReadGuard(ctx context.Context, p quarantine.PoolRef) (quarantine.GuardSetting, error) {
	return call(ctx, c, Call{Verb: "ReadGuard", Pool: p}, func() (quarantine.GuardSetting, error) {
		return c.guards[whole(p)], c.known(p)
	})
}

// WriteGuard sets them.
func (c *Ceph) WriteGuard(ctx context.Context, p quarantine.PoolRef, s quarantine.GuardSetting) error {
	return do(ctx, c, Call{Verb: "WriteGuard", Pool: p}, func() error {
		if err := c.known(p); err != nil {
			return err
		}
		if !s.On {
			s = quarantine.GuardSetting{}
		}
		c.guards[whole(p)] = s
		return nil
	})
}

// Canary removes the pool's canary as a cloud would, and looks for it.
func (c *Ceph) Canary(ctx context.Context, p quarantine.PoolRef) (quarantine.TrashEntry, error) {
	return call(ctx, c, Call{Verb: "Canary", Pool: p}, func() (quarantine.TrashEntry, error) {
		if err := c.known(p); err != nil {
			return quarantine.TrashEntry{}, err
		}
		find := func() *image {
			for _, img := range c.images {
				if img.key.PoolRef() == p && img.name == quarantine.CanaryName {
					return img
				}
			}
			return nil
		}
		canary := find()
		if canary == nil {
			canary = c.create(p, quarantine.CanaryName, BlockSize)
		}
		canary.trash = nil
		if err := c.cloudRemove(p, quarantine.CanaryName); err != nil {
			return quarantine.TrashEntry{}, err
		}
		if canary = find(); canary == nil || canary.trash == nil {
			return quarantine.TrashEntry{}, fmt.Errorf("canary of %s: %w", p, quarantine.ErrNotFound)
		}
		return canary.entry(), nil
	})
}
