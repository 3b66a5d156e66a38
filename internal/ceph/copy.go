package ceph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

var _ quarantine.Copier = (*Registry)(nil)

// CreateImage makes an image with Ceph's default order and features. A name that a
// dead client took, without coming to an image, is free. Similar to: rbd create
// --size.
func (r *Registry) CreateImage(ctx context.Context, pool quarantine.PoolRef, name string, size int64) error {
	c, ioctx, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	return c.do(ctx, "create image "+pool.String()+"/"+name, func() error {
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		err := rbd.CreateImage(ioctx, name, uint64(size), options)
		if errnoOf(err) != syscall.EEXIST {
			return err
		}
		if freed, cerr := freeName(ioctx, name, ""); cerr != nil {
			return cerr
		} else if !freed {
			return err
		}
		return rbd.CreateImage(ioctx, name, uint64(size), options)
	})
}

// copyTarget is an image that is being filled.
type copyTarget struct {
	*openImage
	mark []byte
}

// OpenCopy opens the image for writing, and reads its mark.
func (r *Registry) OpenCopy(ctx context.Context, key quarantine.Key) (quarantine.CopyTarget, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return nil, err
	}
	var mark []byte
	o, err := c.open(ctx, key, "open for writing", func() (*rbd.Image, quarantine.ImageInfo, error) {
		var info quarantine.ImageInfo
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return nil, info, err
		}
		size, err := img.GetSize()
		if err == nil {
			info.SizeBytes = int64(size)
			mark, err = readMetadata(img, quarantine.CopyMarkKey)
		}
		if err != nil {
			return nil, info, errors.Join(err, img.Close())
		}
		return img, info, nil
	})
	if err != nil {
		return nil, err
	}
	return &copyTarget{o, mark}, nil
}

// SizeBytes is the image's size.
func (t *copyTarget) SizeBytes() int64 { return t.info.SizeBytes }

// Mark is what KeepMark kept before the image was opened, or since.
func (t *copyTarget) Mark() []byte { return t.mark }

// Write writes through librbd's cache.
func (t *copyTarget) Write(ctx context.Context, offset int64, data []byte) error {
	// The caller may leave while the call hangs, and use its buffer again.
	data = append([]byte(nil), data...)
	return t.do(ctx, "write to", func() error {
		n, err := t.img.WriteAt(data, offset)
		if err == nil && n != len(data) {
			err = fmt.Errorf("%d of %d bytes: %w", n, len(data), io.ErrShortWrite)
		}
		return err
	})
}

// KeepMark flushes, and then sets the mark. Similar to: rbd image-meta set.
func (t *copyTarget) KeepMark(ctx context.Context, mark []byte) error {
	return t.do(ctx, "mark", func() error {
		if err := t.img.Flush(); err != nil {
			return err
		}
		return t.img.SetMetadata(quarantine.CopyMarkKey, string(mark))
	})
}
