package ceph

import (
	"errors"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// cloud acts on the lab with the cloud's key, through librbd, as a hypervisor
// or a cloud's services do.
type cloud struct {
	t     *testing.T
	conns map[string]*rados.Conn // by fsid
}

func newCloud(t *testing.T, labs ...*cephlab.Lab) cloud {
	t.Helper()
	c := cloud{t, map[string]*rados.Conn{}}
	for _, l := range labs {
		c.conns[l.FSID] = connectAs(t, l, cephlab.Cloud)
	}
	return c
}

// in runs act on the pool.
func (c cloud) in(p quarantine.PoolRef, act func(*rados.IOContext) error) error {
	io, err := c.conns[p.FSID].OpenIOContext(p.Pool)
	if err != nil {
		return err
	}
	defer io.Destroy()
	io.SetNamespace(p.Namespace)
	return act(io)
}

// image runs act on the image, open for writing.
func (c cloud) image(key quarantine.Key, act func(*rbd.Image) error) error {
	return c.in(key.PoolRef(), func(io *rados.IOContext) (err error) {
		img, err := rbd.OpenImageById(io, key.ImageID, rbd.NoSnapshot)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		return act(img)
	})
}

// key returns the key of a live image.
func (c cloud) key(io *rados.IOContext, p quarantine.PoolRef, name string) (key quarantine.Key, err error) {
	img, err := rbd.OpenImageReadOnly(io, name, rbd.NoSnapshot)
	if err != nil {
		return key, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	id, err := img.GetId()
	return p.Key(id), err
}

func (c cloud) CloudCreate(p quarantine.PoolRef, name string, size int64) (key quarantine.Key, err error) {
	err = c.in(p, func(io *rados.IOContext) error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		if err := rbd.CreateImage(io, name, uint64(size), options); err != nil {
			return err
		}
		key, err = c.key(io, p, name)
		return err
	})
	return key, err
}

func (c cloud) CloudWrite(key quarantine.Key, offset int64, data []byte) error {
	return c.image(key, func(img *rbd.Image) error {
		_, err := img.WriteAt(data, offset)
		return err
	})
}

func (c cloud) CloudSnapshot(p quarantine.PoolRef, name, snap string) error {
	return c.in(p, func(io *rados.IOContext) (err error) {
		img, err := rbd.OpenImage(io, name, rbd.NoSnapshot)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		_, err = img.CreateSnapshot(snap)
		return err
	})
}

func (c cloud) CloudClone(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (key quarantine.Key, err error) {
	err = c.in(p, func(from *rados.IOContext) error {
		return c.in(dst, func(to *rados.IOContext) error {
			options := rbd.NewRbdImageOptions()
			defer options.Destroy()
			if err := options.SetUint64(rbd.ImageOptionCloneFormat, cloneFormat); err != nil {
				return err
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

func (c cloud) CloudRemove(p quarantine.PoolRef, name string) error {
	return c.in(p, func(io *rados.IOContext) error { return rbd.RemoveImage(io, name) })
}

func (c cloud) CloudTrash(p quarantine.PoolRef, name string, protect time.Duration) error {
	return c.in(p, func(io *rados.IOContext) error { return rbd.GetImage(io, name).Trash(protect) })
}

func (c cloud) CloudForceRemove(key quarantine.Key) error {
	return c.in(key.PoolRef(), func(io *rados.IOContext) error { return rbd.TrashRemove(io, key.ImageID, true) })
}

func (c cloud) CloudWatch(key quarantine.Key, _ string) (func(), error) {
	io, err := c.conns[key.FSID].OpenIOContext(key.Pool)
	if err != nil {
		return nil, err
	}
	io.SetNamespace(key.Namespace)
	img, err := rbd.OpenImageById(io, key.ImageID, rbd.NoSnapshot)
	if err != nil {
		io.Destroy()
		return nil, err
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := img.Close(); err != nil {
			c.t.Error(err)
		}
		io.Destroy()
	}
	c.t.Cleanup(stop)
	return stop, nil
}
