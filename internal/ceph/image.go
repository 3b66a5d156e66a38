package ceph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// directoryObject is the object whose omap maps names to ids: keys
// "name_<image name>" (RBD_DIRECTORY in Ceph's source).
const directoryObject = "rbd_directory"

const directoryNamePrefix = "name_"

// headerPrefix begins the name of an image's header object (RBD_HEADER_PREFIX
// in Ceph's source); the id follows. When an image is removed its data goes before
// the header, and only its name, or its entry in the trash, after it.
const headerPrefix = "rbd_header."

// LiveImages reads the pool's directory by prefix, without listing the pool.
func (r *Registry) LiveImages(ctx context.Context, pool quarantine.PoolRef, prefix string) (map[string]string, error) {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return nil, err
	}
	what := "list the images of " + pool.String()
	raw, err := c.omap(ctx, io, pool, directoryObject, directoryNamePrefix+prefix, what)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		id, rest, ok := decodeString(v)
		if !ok || len(rest) > 0 {
			return nil, fmt.Errorf("%s: %w: the directory's entry %s does not parse", what, quarantine.ErrUnavailable, k)
		}
		out[strings.TrimPrefix(k, directoryNamePrefix)] = id
	}
	return out, nil
}

// openByID opens an image. ENOENT means that no image has that id: librbd says
// so, too, of one whose parent cannot be found, which is told apart here,
// because who hears that an image is not there may call it lost.
func openByID(io *rados.IOContext, id string, open func(*rados.IOContext, string, string) (*rbd.Image, error)) (*rbd.Image, error) {
	img, err := open(io, id, rbd.NoSnapshot)
	if !gone(err) {
		return img, err
	}
	switch there, serr := hasHeader(io, id); {
	case serr != nil:
		return nil, serr
	case there:
		return nil, fmt.Errorf("%w: it is there, but librbd cannot open it: %v", quarantine.ErrUnavailable, err)
	}
	return nil, err
}

// openImage is an image that OpenImage opened.
type openImage struct {
	c    *Cluster
	key  quarantine.Key
	info quarantine.ImageInfo

	// mu serialises the calls on the handle: one that its caller left, because
	// its context ended, may still run when Close comes, and closing under it
	// would crash the process.
	mu      sync.Mutex
	img     *rbd.Image
	running atomic.Int32 // calls on the handle, those that were left included
	close   sync.Once
}

// do runs a call on the handle.
func (o *openImage) do(ctx context.Context, what string, call func() error) error {
	return o.c.do(ctx, what+" image "+o.key.String(), func() error {
		o.running.Add(1)
		defer o.running.Add(-1)
		o.mu.Lock()
		defer o.mu.Unlock()
		return call()
	})
}

// OpenImage opens the image by id, in the trash or not, and reads what the
// adoption needs.
func (r *Registry) OpenImage(ctx context.Context, key quarantine.Key) (quarantine.Image, error) {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return nil, err
	}
	// One call for all of it: the slot and the goroutine are paid once.
	o, err := c.open(ctx, key, "open", func() (*rbd.Image, quarantine.ImageInfo, error) {
		img, err := openByID(io, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return nil, quarantine.ImageInfo{}, err
		}
		info, err := readInfo(img, key.FSID)
		if err == nil {
			info.DataPool, err = c.dataPool(io, img)
		}
		if err != nil {
			return nil, info, errors.Join(err, img.Close())
		}
		return img, info, nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// open opens a handle, which Cluster.Close waits for.
func (c *Cluster) open(ctx context.Context, key quarantine.Key, what string, open func() (*rbd.Image, quarantine.ImageInfo, error)) (*openImage, error) {
	return get(ctx, c, what+" image "+key.String(), func() (*openImage, error) {
		img, info, err := open()
		if err != nil {
			return nil, err
		}
		c.keep()
		return &openImage{c: c, key: key, img: img, info: info}, nil
	}, func(o *openImage) { _ = o.Close() })
}

func readInfo(img *rbd.Image, fsid string) (quarantine.ImageInfo, error) {
	var info quarantine.ImageInfo
	size, err := img.GetSize()
	if err != nil {
		return info, err
	}
	snaps, err := listSnapshots(img)
	if err != nil {
		return info, err
	}
	if info.Record, err = readMetadata(img, quarantine.RecordKey); err != nil {
		return info, err
	}
	if info.Record != nil {
		if info.Mark, err = readMetadata(img, quarantine.RestoreMarkKey); err != nil {
			return info, err
		}
	}
	info.SizeBytes = int64(size)
	if info.Parent, err = parentOf(img, fsid); err != nil {
		return info, err
	}
	if seal, sealed := sealOf(snaps); sealed {
		taken, err := img.GetSnapTimestamp(seal.Id)
		if err != nil {
			return info, err
		}
		info.Sealed, info.SealedAt, info.SealIDs = true, time.Unix(taken.Sec, taken.Nsec).UTC(), sealIDs(snaps)
	}
	return info, nil
}

// sealOf is the snapshot that is the seal.
func sealOf(snaps []rbd.SnapInfo) (rbd.SnapInfo, bool) {
	for _, name := range []string{quarantine.SealSnapshot, quarantine.FlatSeal} {
		if i := slices.IndexFunc(snaps, func(s rbd.SnapInfo) bool { return s.Name == name }); i >= 0 {
			return snaps[i], true
		}
	}
	return rbd.SnapInfo{}, false
}

// readMetadata is nil if the image has no such key.
func readMetadata(img *rbd.Image, key string) ([]byte, error) {
	value, err := img.GetMetadata(key)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []byte(value), nil
}

// HasImage looks for the image's header; ErrNotFound if the pool is gone.
// Similar to: rados stat rbd_header.ID.
func (r *Registry) HasImage(ctx context.Context, key quarantine.Key) (bool, error) {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return false, err
	}
	what := "look for image " + key.String()
	there, err := get(ctx, c, what, func() (bool, error) { return hasHeader(io, key.ImageID) }, nil)
	if err == nil && !there {
		err = c.stands(ctx, io, key.PoolRef())
	}
	return there, err
}

// Info is what was read when the image was opened.
func (o *openImage) Info() quarantine.ImageInfo { return o.info }

// WriteRecord sets the record. Similar to: rbd image-meta set.
func (o *openImage) WriteRecord(ctx context.Context, record []byte) error {
	return o.do(ctx, "write the record of", func() error {
		return o.img.SetMetadata(quarantine.RecordKey, string(record))
	})
}

// WriteMark sets the restore's mark. Similar to: rbd image-meta set.
func (o *openImage) WriteMark(ctx context.Context, mark []byte) error {
	return o.do(ctx, "write the restore's mark of", func() error {
		return o.img.SetMetadata(quarantine.RestoreMarkKey, string(mark))
	})
}

// Seal takes the snapshot. Similar to: rbd snap create --image-id. One that is
// there is looked at (mendSeal).
func (o *openImage) Seal(ctx context.Context) error {
	if o.info.Sealed {
		return o.mendSeal(ctx)
	}
	var ids []uint64
	err := o.do(ctx, "seal", func() error {
		if _, err := o.img.CreateSnapshot(quarantine.SealSnapshot); err != nil && errnoOf(err) != syscall.EEXIST {
			return err
		}
		snaps, err := listSnapshots(o.img) // from the handle's memory
		ids = sealIDs(snaps)
		return err
	})
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("seal image %s: its seal is gone again: %w", o.key, quarantine.ErrConflict)
	}
	if err != nil {
		return err
	}
	o.info.Sealed, o.info.SealIDs = true, ids
	return nil
}

// Close closes the image. While a call that was left runs on the handle it
// does not wait: the handle is closed after that call, and Cluster.Close waits
// for it. Else the operation timeout bounds how long it takes.
func (o *openImage) Close() (err error) {
	o.close.Do(func() {
		left := o.running.Load() > 0
		done := o.c.release(func() error {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.img.Close()
		})
		if !left {
			err = mapped("close image "+o.key.String(), <-done)
		}
	})
	return err
}
