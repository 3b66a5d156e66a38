package ceph

import (
	"errors"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// shallowFeatures are Ceph's default features but deep-flatten.
const shallowFeatures = rbd.FeatureLayering | rbd.FeatureExclusiveLock | rbd.FeatureObjectMap | rbd.FeatureFastDiff

// cloneOf makes a clone of a format and with features; 0: the default ones.
func (c cloud) cloneOf(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string, format, features uint64) (key quarantine.Key, err error) {
	err = c.in(p, func(from *rados.IOContext) error {
		return c.in(dst, func(to *rados.IOContext) error {
			options := rbd.NewRbdImageOptions()
			defer options.Destroy()
			if err := options.SetUint64(rbd.ImageOptionCloneFormat, format); err != nil {
				return err
			}
			if features != 0 {
				if err := options.SetUint64(rbd.ImageOptionFeatures, features); err != nil {
					return err
				}
			}
			if err := rbd.CloneImage(from, src, snap, to, name, options); err != nil {
				return err
			}
			key, err = c.key(to, dst, name)
			return err
		})
	})
	return key, err
}

func (c cloud) CloudCloneShallow(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error) {
	return c.cloneOf(p, src, snap, dst, name, cloneFormat, shallowFeatures)
}

// named runs act on a live image, open for writing.
func (c cloud) named(p quarantine.PoolRef, name string, act func(*rbd.Image) error) error {
	return c.in(p, func(io *rados.IOContext) (err error) {
		img, err := rbd.OpenImage(io, name, rbd.NoSnapshot)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		return act(img)
	})
}

func (c cloud) CloudRemoveSnapshot(p quarantine.PoolRef, name, snap string) error {
	return c.named(p, name, func(img *rbd.Image) error { return img.GetSnapshot(snap).Remove() })
}
