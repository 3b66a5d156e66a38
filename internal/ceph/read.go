package ceph

import (
	"context"
	"errors"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// readChunk is how much is read, and handed over, at once.
const readChunk = 4 << 20

// extent is an allocated range of an image.
type extent struct{ offset, length uint64 }

// ReadSealed reads the seal's allocated extents. Similar to: rbd export
// --image-id ID --snap quarantine.
func (r *Registry) ReadSealed(ctx context.Context, key quarantine.Key, handOver func(offset int64, data []byte) error) error {
	return r.readExtents(ctx, key, seals, 0, handOver)
}

// ReadSealedFrom is ReadSealed without what ends at or before the offset.
func (r *Registry) ReadSealedFrom(ctx context.Context, key quarantine.Key, from int64, handOver func(offset int64, data []byte) error) error {
	return r.readExtents(ctx, key, seals, from, handOver)
}

// ReadHead reads what the image holds now. Similar to: rbd export, by id.
func (r *Registry) ReadHead(ctx context.Context, key quarantine.Key, handOver func(offset int64, data []byte) error) error {
	return r.readExtents(ctx, key, []string{rbd.NoSnapshot}, 0, handOver)
}

// seals are the names under which a seal is looked for, in order.
var seals = []string{quarantine.SealSnapshot, quarantine.FlatSeal}

// openSnapshot opens a snapshot for reading, or the head. ENOENT if the image has
// no such snapshot. One without an object map is none for librbd, if it is asked
// for at once, and is there if it is asked for after the head (mendSeal).
func openSnapshot(io *rados.IOContext, imageID, snap string) (*rbd.Image, error) {
	img, err := rbd.OpenImageByIdReadOnly(io, imageID, snap)
	if snap == rbd.NoSnapshot || !gone(err) {
		return img, err
	}
	if img, err = rbd.OpenImageByIdReadOnly(io, imageID, rbd.NoSnapshot); err != nil {
		return nil, err
	}
	if err := img.SetSnapshot(snap); err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return img, nil
}

// readExtents reads the allocated extents of the first of the snapshots that is
// there. Chunks that end at or before from are passed over.
func (r *Registry) readExtents(ctx context.Context, key quarantine.Key, snaps []string, from int64, handOver func(offset int64, data []byte) error) error {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	o, err := c.open(ctx, key, "open for reading", func() (img *rbd.Image, none quarantine.ImageInfo, err error) {
		for _, snap := range snaps {
			if img, err = openSnapshot(ioctx, key.ImageID, snap); !gone(err) {
				break
			}
		}
		return img, none, err
	})
	if err != nil {
		return err
	}
	defer o.Close()
	var extents []extent
	err = o.do(ctx, "list the extents of", func() (err error) {
		extents, err = allocated(o.img, rbd.IncludeParent)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range extents {
		if skip := min(e.length, uint64(max(from-int64(e.offset), 0))); skip > 0 {
			e.offset, e.length = e.offset+skip, e.length-skip
		}
		for e.length > 0 {
			// A fresh buffer for each read: one that its caller left may still
			// be written to.
			buf := make([]byte, min(e.length, readChunk))
			if err := o.read(ctx, buf, int64(e.offset)); err != nil {
				return err
			}
			if err := handOver(int64(e.offset), buf); err != nil {
				return err
			}
			e.offset += uint64(len(buf))
			e.length -= uint64(len(buf))
		}
	}
	return nil
}

// Used measures the image's own allocated bytes. Similar to: rbd du.
func (r *Registry) Used(ctx context.Context, key quarantine.Key) (int64, error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return 0, err
	}
	return get(ctx, c, "measure image "+key.String(), func() (int64, error) { return used(ioctx, key.ImageID) }, nil)
}

func used(ioctx *rados.IOContext, id string) (total int64, err error) {
	img, err := openByID(ioctx, id, rbd.OpenImageByIdReadOnly)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	extents, err := allocated(img, rbd.ExcludeParent)
	for _, e := range extents {
		total += int64(e.length)
	}
	return total, err
}

// allocated lists the ranges of the image that hold data, in ascending order.
func allocated(img *rbd.Image, parent rbd.DiffIncludeParent) ([]extent, error) {
	size, err := img.GetSize()
	if err != nil || size == 0 {
		return nil, err
	}
	var out []extent
	err = img.DiffIterate(rbd.DiffIterateConfig{
		Length: size, IncludeParent: parent, WholeObject: rbd.EnableWholeObject,
		Callback: func(offset, length uint64, exists int, _ any) int {
			if exists == 0 {
				return 0
			}
			if n := len(out); n > 0 && out[n-1].offset+out[n-1].length == offset {
				out[n-1].length += length
			} else {
				out = append(out, extent{offset, length})
			}
			return 0
		},
	})
	return out, err
}
