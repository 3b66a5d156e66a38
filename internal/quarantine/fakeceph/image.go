package fakeceph

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// BlockSize is the granularity of allocation. A block that was never written
// is not allocated, and reads as zeros.
const BlockSize = 4096

// ObjectSize is that of an image's objects.
const ObjectSize = 4 << 20

// content is what an image or a snapshot holds: its own blocks, by block
// number, over those of its parent. Blocks are never changed in place.
type content struct {
	size   int64
	blocks map[int64][]byte
	parent *parent
}

// parent is the snapshot that a clone was made of.
type parent struct {
	image *image
	snap  *snapshot
}

type snapshot struct {
	content
	name  string
	id    uint64
	taken time.Time
	// removed: a snapshot with clones (format 2) leaves its name at once, and
	// goes away with its last clone.
	removed bool
	// broken: it is listed, and cannot be opened.
	broken bool
}

type image struct {
	key      quarantine.Key
	name     string
	content  content
	snaps    []*snapshot
	meta     map[string]string
	trash    *trashInfo // nil: live
	watchers []string
	// shallow: it lacks the feature deep-flatten.
	shallow  bool
	dataPool string // "": its own
	// hollow: nothing is left but its entry in the trash.
	hollow bool
}

type trashInfo struct {
	deletedAt, until time.Time
	removing         bool
}

func (i *image) snap(name string) *snapshot {
	for _, s := range i.snaps {
		if s.name == name && !s.removed {
			return s
		}
	}
	return nil
}

// sealed returns the snapshot that is the seal, or nil.
func (i *image) sealed() *snapshot {
	first, second := i.snap(quarantine.SealSnapshot), i.snap(quarantine.FlatSeal)
	if first == nil || first.broken && second != nil {
		return second
	}
	return first
}

// snapshot takes a snapshot. The caller holds c.mu.
func (c *Ceph) snapshot(i *image, name string) {
	now := i.content
	now.blocks = maps.Clone(now.blocks)
	c.lastSnap++
	i.snaps = append(i.snaps, &snapshot{content: now, name: name, id: c.lastSnap, taken: c.clock()})
}

// write puts data at the offset, block by block.
func (c *content) write(offset int64, data []byte) {
	for len(data) > 0 {
		n, in := offset/BlockSize, offset%BlockSize
		b := slices.Clone(c.block(n))
		if b == nil {
			b = make([]byte, BlockSize)
		}
		w := copy(b[in:], data)
		c.blocks[n] = b
		data, offset = data[w:], offset+int64(w)
	}
}

// cut makes the content smaller.
func (c *content) cut(size int64) {
	blocks := map[int64][]byte{}
	for n, b := range c.blocks {
		if n*BlockSize < size {
			blocks[n] = b
		}
	}
	c.size, c.blocks = size, blocks
}

// block returns the block's bytes, or nil if neither the image nor an ancestor
// allocated it.
func (c *content) block(n int64) []byte {
	if b, ok := c.blocks[n]; ok {
		return b
	}
	if c.parent != nil && n*BlockSize < c.parent.snap.size {
		return c.parent.snap.block(n)
	}
	return nil
}

// allocated returns the numbers of all blocks that block does not return nil
// for, in order.
func (c *content) allocated() []int64 {
	set := map[int64]bool{}
	for at := c; at != nil; {
		for n := range at.blocks {
			set[n] = true
		}
		if at.parent == nil {
			break
		}
		at = &at.parent.snap.content
	}
	all := slices.Sorted(maps.Keys(set))
	return slices.DeleteFunc(all, func(n int64) bool { return n*BlockSize >= c.size || c.block(n) == nil })
}

// bytes returns the whole content, zeros included.
func (c *content) bytes() []byte {
	out := make([]byte, c.size)
	for _, n := range c.allocated() {
		copy(out[n*BlockSize:], c.block(n))
	}
	return out
}

// open is an open image.
type open struct {
	c      *Ceph
	image  *image
	info   quarantine.ImageInfo
	closed bool
}

// OpenImage opens an image by id, live or in the trash.
func (c *Ceph) OpenImage(ctx context.Context, key quarantine.Key) (quarantine.Image, error) {
	return call(ctx, c, Call{Verb: "OpenImage", Key: key}, func() (quarantine.Image, error) {
		img := c.images[key]
		if img == nil || img.hollow {
			return nil, fmt.Errorf("open image %s: %w", key, quarantine.ErrNotFound)
		}
		return &open{c: c, image: img, info: img.info()}, nil
	})
}

// info is what opening the image shows.
func (i *image) info() quarantine.ImageInfo {
	info := quarantine.ImageInfo{SizeBytes: i.content.size, Parent: i.content.ref(), DataPool: i.dataPool}
	if s := i.sealed(); s != nil {
		info.Sealed, info.SealedAt, info.SealIDs = true, s.taken, i.sealIDs()
	}
	if r, ok := i.meta[quarantine.RecordKey]; ok {
		info.Record = []byte(r)
		if m, ok := i.meta[quarantine.RestoreMarkKey]; ok {
			info.Mark = []byte(m)
		}
	}
	return info
}

// LookAt is OpenImage, without opening it.
func (c *Ceph) LookAt(ctx context.Context, key quarantine.Key) (quarantine.ImageInfo, error) {
	return call(ctx, c, Call{Verb: "LookAt", Key: key}, func() (quarantine.ImageInfo, error) {
		img := c.images[key]
		if img == nil || img.hollow {
			return quarantine.ImageInfo{}, fmt.Errorf("look at image %s: %w", key, quarantine.ErrNotFound)
		}
		info := img.info()
		if s := img.sealed(); s != nil {
			info.SealBroken = s.broken
		}
		for _, s := range img.snaps {
			if !s.removed {
				info.Snapshots = append(info.Snapshots, quarantine.SnapshotInfo{ID: s.id, Name: s.name})
			}
		}
		return info, nil
	})
}

// HasImage reports whether there is an image of that id.
func (c *Ceph) HasImage(ctx context.Context, key quarantine.Key) (bool, error) {
	return call(ctx, c, Call{Verb: "HasImage", Key: key}, func() (bool, error) {
		img := c.images[key]
		return img != nil && !img.hollow, c.known(key.PoolRef())
	})
}

// LiveImages returns the live images whose names begin with the prefix.
func (c *Ceph) LiveImages(ctx context.Context, p quarantine.PoolRef, prefix string) (map[string]string, error) {
	return call(ctx, c, Call{Verb: "LiveImages", Pool: p, Name: prefix}, func() (map[string]string, error) {
		if err := c.known(p); err != nil {
			return nil, err
		}
		found := map[string]string{}
		for _, img := range c.images {
			if img.trash == nil && img.key.PoolRef() == p && strings.HasPrefix(img.name, prefix) {
				found[img.name] = img.key.ImageID
			}
		}
		for name, id := range c.cut[p] {
			if strings.HasPrefix(name, prefix) {
				found[name] = id
			}
		}
		return found, nil
	})
}

func (o *open) Info() quarantine.ImageInfo {
	i := o.info
	i.Record, i.Mark = bytes.Clone(i.Record), bytes.Clone(i.Mark)
	return i
}

func (o *open) WriteRecord(ctx context.Context, record []byte) error {
	return do(ctx, o.c, Call{Verb: "WriteRecord", Key: o.image.key}, func() error {
		if err := o.usable(); err != nil {
			return err
		}
		o.image.meta[quarantine.RecordKey] = string(record)
		return nil
	})
}

func (o *open) WriteMark(ctx context.Context, mark []byte) error {
	return do(ctx, o.c, Call{Verb: "WriteMark", Key: o.image.key}, func() error {
		if err := o.usable(); err != nil {
			return err
		}
		o.image.meta[quarantine.RestoreMarkKey] = string(mark)
		return nil
	})
}

func (o *open) Seal(ctx context.Context) error {
	return do(ctx, o.c, Call{Verb: "Seal", Key: o.image.key}, func() error {
		if err := o.usable(); err != nil {
			return err
		}
		switch s := o.image.sealed(); {
		case s == nil:
			o.c.snapshot(o.image, quarantine.SealSnapshot)
		case s.broken:
			o.c.snapshot(o.image, quarantine.FlatSeal)
		}
		o.info.Sealed, o.info.SealIDs = true, o.image.sealIDs()
		return nil
	})
}

func (o *open) Close() error {
	o.closed = true
	return nil
}

// usable refuses the use of a closed handle, and of an image that was removed
// since it was opened.
func (o *open) usable() error {
	if o.closed {
		return fmt.Errorf("image %s: the handle is closed: %w", o.image.key, quarantine.ErrInvalid)
	}
	if o.c.images[o.image.key] != o.image {
		return fmt.Errorf("image %s: %w", o.image.key, quarantine.ErrNotFound)
	}
	return nil
}
