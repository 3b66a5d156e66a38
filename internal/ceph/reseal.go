package ceph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// SealAgain takes the second seal and compares it with the first. Similar to:
// rbd snap create --image-id ID --snap quarantine.flat; rbd export of both, and
// cmp.
func (r *Registry) SealAgain(ctx context.Context, key quarantine.Key, progress quarantine.Progress) (pair quarantine.SealPair, same bool, err error) {
	c, ioctx, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return pair, false, err
	}
	what := "take the second seal of image " + key.String()
	pair, err = get(ctx, c, what, func() (quarantine.SealPair, error) { return secondSeal(ioctx, key) }, nil)
	if err != nil {
		return pair, false, err
	}
	var o [2]*openImage
	for i, name := range []string{quarantine.SealSnapshot, quarantine.FlatSeal} {
		o[i], err = c.open(ctx, key, "open the snapshot "+name+" of", func() (img *rbd.Image, info quarantine.ImageInfo, err error) {
			if img, err = openSnapshot(ioctx, key.ImageID, name); err != nil {
				return nil, info, err
			}
			size, err := img.GetSize()
			if err != nil {
				return nil, info, errors.Join(err, img.Close())
			}
			info.SizeBytes = int64(size)
			return img, info, nil
		})
		if err != nil {
			return pair, false, err
		}
		defer o[i].Close()
	}
	if o[0].info.SizeBytes != o[1].info.SizeBytes {
		return pair, false, nil
	}
	same, err = sameBytes(ctx, o, progress)
	return pair, same, err
}

// secondSeal takes the snapshot FlatSeal unless it is there.
func secondSeal(ioctx *rados.IOContext, key quarantine.Key) (pair quarantine.SealPair, err error) {
	img, err := openByID(ioctx, key.ImageID, rbd.OpenImageById)
	if err != nil {
		return pair, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if _, err := img.CreateSnapshot(quarantine.FlatSeal); err != nil && errnoOf(err) != syscall.EEXIST {
		return pair, err
	}
	for _, s := range []struct {
		name string
		id   *uint64
	}{{quarantine.SealSnapshot, &pair.First}, {quarantine.FlatSeal, &pair.Second}} {
		id, there, err := findSnapshot(img, s.name)
		if err != nil {
			return pair, err
		}
		if !there {
			return pair, fmt.Errorf("snapshot %s: %w", s.name, quarantine.ErrNotFound)
		}
		*s.id = id
	}
	if err := img.SetSnapByID(pair.Second); err != nil {
		return pair, err
	}
	p, err := parentOf(img, key.FSID)
	if err == nil && p != nil {
		err = fmt.Errorf("the second seal stands on %s@%s itself: %w", p.Name, p.Snapshot, quarantine.ErrConflict)
	}
	return pair, err
}

// sameBytes reads two snapshots of one size as far as either is allocated, and
// compares them. What neither allocates is zero in both.
func sameBytes(ctx context.Context, o [2]*openImage, progress quarantine.Progress) (bool, error) {
	var ranges [2][]extent
	for i := range o {
		err := o[i].do(ctx, "list the extents of", func() (err error) {
			ranges[i], err = allocated(o[i].img, rbd.IncludeParent)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	all := union(ranges[0], ranges[1])
	var done, total uint64
	for _, e := range all {
		total += e.length
	}
	for _, e := range all {
		for e.length > 0 {
			n := min(e.length, readChunk)
			var data [2][]byte
			for i := range o {
				// Fresh for each read, as in ReadSealed.
				data[i] = make([]byte, n)
				if err := o[i].read(ctx, data[i], int64(e.offset)); err != nil {
					return false, err
				}
			}
			if !bytes.Equal(data[0], data[1]) {
				return false, nil
			}
			e.offset, e.length, done = e.offset+n, e.length-n, done+n
			if progress != nil {
				progress(done, total)
			}
		}
	}
	return true, nil
}

// read fills the buffer, or fails.
func (o *openImage) read(ctx context.Context, buf []byte, offset int64) error {
	return o.do(ctx, "read", func() error {
		n, err := o.img.ReadAt(buf, offset)
		if err == nil && n != len(buf) {
			err = fmt.Errorf("%w: %d of %d bytes at %d", io.ErrUnexpectedEOF, n, len(buf), offset)
		}
		return err
	})
}

// union merges two ascending lists of ranges.
func union(a, b []extent) []extent {
	var out []extent
	for len(a) > 0 || len(b) > 0 {
		if len(a) == 0 || len(b) > 0 && b[0].offset < a[0].offset {
			a, b = b, a
		}
		next := a[0]
		a = a[1:]
		if n := len(out); n > 0 && out[n-1].offset+out[n-1].length >= next.offset {
			out[n-1].length = max(out[n-1].offset+out[n-1].length, next.offset+next.length) - out[n-1].offset
			continue
		}
		out = append(out, next)
	}
	return out
}

// RemoveFirstSeal removes the first of two seals. Similar to: rbd snap rm
// --image-id ID --snap quarantine.
func (m *Remover) RemoveFirstSeal(ctx context.Context, key quarantine.Key, pair quarantine.SealPair) error {
	c, ioctx, err := m.r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, "remove the first seal of image "+key.String(), func() (err error) {
		img, err := openByID(ioctx, key.ImageID, rbd.OpenImageById)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		first, there, err := findSnapshot(img, quarantine.SealSnapshot)
		if err != nil {
			return err
		}
		second, sealed, err := findSnapshot(img, quarantine.FlatSeal)
		switch {
		case err != nil:
			return err
		case !sealed || second != pair.Second || there && first != pair.First:
			return fmt.Errorf("its snapshots are not the ones that were compared: %w", quarantine.ErrConflict)
		case !there:
			return nil
		}
		return removeSnapshot(img.GetSnapshot(quarantine.SealSnapshot))
	})
}
