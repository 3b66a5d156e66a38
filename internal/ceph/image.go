package ceph

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// directoryObject is the object whose omap maps names to ids: keys
// "name_<image name>" (RBD_DIRECTORY in Ceph's source).
const directoryObject = "rbd_directory"

const directoryNamePrefix = "name_"

// LiveImages reads the pool's directory by prefix, without listing the pool.
func (r *Registry) LiveImages(ctx context.Context, pool quarantine.PoolRef, prefix string) (map[string]string, error) {
	c, io, err := r.pool(pool)
	if err != nil {
		return nil, err
	}
	what := "list the images of " + pool.String()
	raw, err := c.omap(ctx, io, directoryObject, directoryNamePrefix+prefix, what)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		if len(v) < 4 || int(binary.LittleEndian.Uint32(v)) != len(v)-4 {
			return nil, fmt.Errorf("%s: %w: the directory's entry %s does not parse", what, quarantine.ErrUnavailable, k)
		}
		out[strings.TrimPrefix(k, directoryNamePrefix)] = string(v[4:])
	}
	return out, nil
}

// openImage is an image that OpenImage opened.
type openImage struct {
	c    *Cluster
	key  quarantine.Key
	info quarantine.ImageInfo

	// mu serialises the calls on the handle: one that its caller left, because
	// its context ended, may still run when Close comes, and closing under it
	// would crash the process.
	mu  sync.Mutex
	img *rbd.Image
}

// do runs a call on the handle.
func (o *openImage) do(ctx context.Context, what string, call func() error) error {
	return o.c.do(ctx, what+" image "+o.key.String(), func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		return call()
	})
}

// OpenImage opens the image by id, in the trash or not, and reads what the
// adoption needs.
func (r *Registry) OpenImage(ctx context.Context, key quarantine.Key) (quarantine.Image, error) {
	c, io, err := r.pool(key.PoolRef())
	if err != nil {
		return nil, err
	}
	// One call for all of it: the slot and the goroutine are paid once.
	img, err := get(ctx, c, "open image "+key.String(), func() (*openImage, error) {
		img, err := rbd.OpenImageById(io, key.ImageID, rbd.NoSnapshot)
		if err != nil {
			return nil, err
		}
		o := &openImage{c: c, key: key, img: img}
		if err := o.read(); err != nil {
			return nil, errors.Join(err, img.Close())
		}
		return o, nil
	}, func(o *openImage) { _ = o.img.Close() })
	if err != nil {
		return nil, err
	}
	return img, nil
}

func (o *openImage) read() error {
	size, err := o.img.GetSize()
	if err != nil {
		return err
	}
	snaps, err := o.img.GetSnapshotNames()
	if err != nil {
		return err
	}
	record, err := o.img.GetMetadata(quarantine.RecordKey)
	if err != nil && !gone(err) {
		return err
	}
	o.info = quarantine.ImageInfo{
		SizeBytes: int64(size),
		Sealed:    slices.ContainsFunc(snaps, func(s rbd.SnapInfo) bool { return s.Name == quarantine.SealSnapshot }),
	}
	if err == nil {
		o.info.Record = []byte(record)
	}
	return nil
}

// Info is what was read when the image was opened.
func (o *openImage) Info() quarantine.ImageInfo { return o.info }

// WriteRecord sets the record. Similar to: rbd image-meta set.
func (o *openImage) WriteRecord(ctx context.Context, record []byte) error {
	return o.do(ctx, "write the record of", func() error {
		return o.img.SetMetadata(quarantine.RecordKey, string(record))
	})
}

// Seal takes the snapshot. Similar to: rbd snap create --image-id.
func (o *openImage) Seal(ctx context.Context) error {
	if o.info.Sealed {
		return nil
	}
	err := o.do(ctx, "seal", func() error {
		_, err := o.img.CreateSnapshot(quarantine.SealSnapshot)
		return err
	})
	if err != nil && !errors.Is(err, quarantine.ErrExists) {
		return err
	}
	o.info.Sealed = true
	return nil
}

// Close closes the image. The operation timeout bounds how long that takes.
func (o *openImage) Close() error {
	return o.do(context.Background(), "close", o.img.Close)
}
