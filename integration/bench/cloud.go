package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
)

// The image that all others are clones of: a cloud boots servers from an image
// in that way.
const (
	baseImage = "base"
	baseSnap  = "snap"
	baseSize  = 4 << 20
)

// cloudWorkers is how many images the cloud makes or removes at once.
const cloudWorkers = 16

// cloud acts as a cloud does: with its own key, through librbd.
type cloud struct {
	conn  *rados.Conn
	base  *rados.IOContext
	pools map[string]*rados.IOContext
}

// newCloud connects, and makes the base image in a pool of its own.
func newCloud(lab *cephlab.Lab, basePool string, pools ...string) (_ *cloud, err error) {
	c := &cloud{pools: map[string]*rados.IOContext{}}
	if c.conn, err = connect(lab, cephlab.Cloud); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, p := range append(pools, basePool) {
		io, err := c.conn.OpenIOContext(p)
		if err != nil {
			return nil, fmt.Errorf("open pool %s: %w", p, err)
		}
		c.pools[p] = io
	}
	c.base = c.pools[basePool]
	if err := makeBase(c.base); err != nil {
		return nil, fmt.Errorf("make the base image: %w", err)
	}
	return c, nil
}

func makeBase(io *rados.IOContext) (err error) {
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	if err := rbd.CreateImage(io, baseImage, baseSize, options); err != nil {
		return err
	}
	img, err := rbd.OpenImage(io, baseImage, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if _, err := img.WriteAt(make([]byte, 64<<10), 0); err != nil {
		return err
	}
	_, err = img.CreateSnapshot(baseSnap)
	return err
}

func (c *cloud) close() {
	for _, io := range c.pools {
		io.Destroy()
	}
	c.conn.Shutdown()
}

// clone makes the images.
func (c *cloud) clone(ctx context.Context, pool string, names []string) error {
	return each(ctx, cloudWorkers, names, func(name string) error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		// Format 2: the parent's snapshot needs no protection.
		if err := options.SetUint64(rbd.ImageOptionCloneFormat, 2); err != nil {
			return fmt.Errorf("clone %s/%s: %w", pool, name, err)
		}
		if err := rbd.CloneImage(c.base, baseImage, baseSnap, c.pools[pool], name, options); err != nil {
			return fmt.Errorf("clone %s/%s: %w", pool, name, err)
		}
		return nil
	})
}

// fill writes to the images: 64 KiB to each, and all of its object to every
// eighth.
func (c *cloud) fill(ctx context.Context, pool string, names []string) error {
	large := map[string]bool{}
	for i := 0; i < len(names); i += 8 {
		large[names[i]] = true
	}
	data := make([]byte, baseSize)
	for i := range data {
		data[i] = byte(i>>12 + i)
	}
	return each(ctx, cloudWorkers, names, func(name string) (err error) {
		img, err := rbd.OpenImage(c.pools[pool], name, rbd.NoSnapshot)
		if err != nil {
			return fmt.Errorf("fill %s/%s: %w", pool, name, err)
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		n := 64 << 10
		if large[name] {
			n = baseSize
		}
		if _, err := img.WriteAt(data[:n], 0); err != nil {
			return fmt.Errorf("fill %s/%s: %w", pool, name, err)
		}
		return nil
	})
}

// remove removes the images in librbd's ordinary way, which in a guarded pool
// moves them to the trash, and returns their ids by name.
func (c *cloud) remove(ctx context.Context, pool string, names []string) (map[string]string, error) {
	err := each(ctx, cloudWorkers, names, func(name string) error {
		if err := rbd.RemoveImage(c.pools[pool], name); err != nil {
			return fmt.Errorf("remove %s/%s: %w", pool, name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.inTrash(pool, names)
}

// inTrash returns the images' ids by name. All of them must be in the trash.
func (c *cloud) inTrash(pool string, names []string) (map[string]string, error) {
	list, err := rbd.GetTrashList(c.pools[pool])
	if err != nil {
		return nil, fmt.Errorf("list the trash of %s: %w", pool, err)
	}
	all := map[string]string{}
	for _, e := range list {
		all[e.Name] = e.Id
	}
	ids := map[string]string{}
	for _, name := range names {
		id, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("image %s/%s was removed and is not in the trash: the guard does not hold", pool, name)
		}
		ids[name] = id
	}
	return ids, nil
}

// toTrash moves the images to the trash without protection, as before an `rbd
// trash purge`.
func (c *cloud) toTrash(ctx context.Context, pool string, names []string) error {
	return each(ctx, cloudWorkers, names, func(name string) error {
		if err := rbd.GetImage(c.pools[pool], name).Trash(0); err != nil {
			return fmt.Errorf("move %s/%s to the trash: %w", pool, name, err)
		}
		return nil
	})
}

// trashIsEmpty makes sure that what should have been removed was.
func (c *cloud) trashIsEmpty(pool string) error {
	list, err := rbd.GetTrashList(c.pools[pool])
	if err != nil {
		return fmt.Errorf("list the trash of %s: %w", pool, err)
	}
	if len(list) > 0 {
		return fmt.Errorf("the trash of %s has %d images, and should be empty", pool, len(list))
	}
	return nil
}
