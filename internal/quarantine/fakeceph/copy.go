package fakeceph

import (
	"bytes"
	"context"
	"fmt"

	"quarantine/internal/quarantine"
)

// CreateImage makes an empty live image, also of a name that a dead client took.
func (c *Ceph) CreateImage(ctx context.Context, p quarantine.PoolRef, name string, size int64) error {
	return do(ctx, c, Call{Verb: "CreateImage", Pool: p, Name: name}, func() error {
		if err := c.known(p); err != nil {
			return err
		}
		if c.live(p, name) != nil {
			return fmt.Errorf("create %s/%s: %w", p, name, quarantine.ErrExists)
		}
		delete(c.cut[p], name)
		c.create(p, name, size)
		return nil
	})
}

// target is an image that is being filled. What was written stays in it, as in
// librbd's cache, until it is flushed: a process that dies before loses it.
type target struct {
	open
	mark  []byte
	dirty []dirty
}

type dirty struct {
	offset int64
	data   []byte
}

// OpenCopy opens an image for writing.
func (c *Ceph) OpenCopy(ctx context.Context, key quarantine.Key) (quarantine.CopyTarget, error) {
	return call(ctx, c, Call{Verb: "OpenCopy", Key: key}, func() (quarantine.CopyTarget, error) {
		img := c.images[key]
		if img == nil {
			return nil, fmt.Errorf("open image %s: %w", key, quarantine.ErrNotFound)
		}
		t := &target{open: open{c: c, image: img, info: quarantine.ImageInfo{SizeBytes: img.content.size}}}
		if m, ok := img.meta[quarantine.CopyMarkKey]; ok {
			t.mark = []byte(m)
		}
		return t, nil
	})
}

func (t *target) SizeBytes() int64 { return t.info.SizeBytes }

func (t *target) Mark() []byte { return bytes.Clone(t.mark) }

func (t *target) Write(ctx context.Context, offset int64, data []byte) error {
	return do(ctx, t.c, Call{Verb: "Write", Key: t.image.key}, func() error {
		if err := t.usable(); err != nil {
			return err
		}
		if offset < 0 || offset+int64(len(data)) > t.image.content.size {
			return fmt.Errorf("write to %s beyond its end: %w", t.image.key, quarantine.ErrInvalid)
		}
		t.dirty = append(t.dirty, dirty{offset, bytes.Clone(data)})
		return nil
	})
}

func (t *target) KeepMark(ctx context.Context, mark []byte) error {
	return do(ctx, t.c, Call{Verb: "KeepMark", Key: t.image.key}, func() error {
		if err := t.usable(); err != nil {
			return err
		}
		t.flush()
		t.image.meta[quarantine.CopyMarkKey] = string(mark)
		return nil
	})
}

func (t *target) flush() {
	for _, d := range t.dirty {
		t.image.content.write(d.offset, d.data)
	}
	t.dirty = nil
}

// Close writes what is in the cache, and closes the handle.
func (t *target) Close() error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.usable() == nil {
		t.flush()
	}
	t.closed = true
	return nil
}

// ReadSealedFrom reads the seal's allocated blocks from the offset on.
func (c *Ceph) ReadSealedFrom(ctx context.Context, key quarantine.Key, from int64, extent func(offset int64, data []byte) error) error {
	return c.readBlocks(ctx, Call{Verb: "ReadSealedFrom", Key: key}, from, sealedContent, extent)
}

// sealedContent is nil without a seal.
func sealedContent(img *image) *content {
	if s := img.sealed(); s != nil {
		return &s.content
	}
	return nil
}

// ReadHead reads the blocks of the image as it is.
func (c *Ceph) ReadHead(ctx context.Context, key quarantine.Key, extent func(offset int64, data []byte) error) error {
	return c.readBlocks(ctx, Call{Verb: "ReadHead", Key: key}, 0, func(img *image) *content { return &img.content }, extent)
}

// readBlocks hands over the allocated blocks of one of an image's contents.
func (c *Ceph) readBlocks(ctx context.Context, k Call, from int64, of func(*image) *content, extent func(offset int64, data []byte) error) error {
	type block struct {
		offset int64
		data   []byte
	}
	blocks, err := call(ctx, c, k, func() ([]block, error) {
		img := c.images[k.Key]
		if img == nil || of(img) == nil {
			return nil, fmt.Errorf("read %s: %w", k.Key, quarantine.ErrNotFound)
		}
		s := of(img)
		var out []block
		for _, n := range s.allocated() {
			data := s.block(n)
			if end := s.size - n*BlockSize; end < BlockSize {
				data = data[:end]
			}
			if n*BlockSize+int64(len(data)) > from {
				out = append(out, block{n * BlockSize, data})
			}
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := ended(ctx); err != nil {
			return err
		}
		if err := extent(b.offset, b.data); err != nil {
			return err
		}
	}
	return nil
}
