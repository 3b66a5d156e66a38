package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// bare does on Ceph what the service does, and nothing else: no catalog, no
// custody log, no policy, no look at what depends on a disk.
type bare struct {
	conn *rados.Conn
	io   *rados.IOContext
	// record is what it writes on each image: as much as the service does.
	record string
}

// newBare connects with the service's key.
func newBare(lab *cephlab.Lab, pool string) (*bare, error) {
	conn, err := connect(lab, cephlab.Quarantine)
	if err != nil {
		return nil, err
	}
	io, err := conn.OpenIOContext(pool)
	if err != nil {
		conn.Shutdown()
		return nil, fmt.Errorf("open pool %s: %w", pool, err)
	}
	return &bare{conn: conn, io: io}, nil
}

func (b *bare) close() {
	b.io.Destroy()
	b.conn.Shutdown()
}

func (b *bare) adopt(ctx context.Context, workers int, ids []string) error {
	return each(ctx, workers, ids, func(id string) (err error) {
		img, err := rbd.OpenImageById(b.io, id, rbd.NoSnapshot)
		if err != nil {
			return fmt.Errorf("bare: open image %s: %w", id, err)
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		if err := img.SetMetadata(quarantine.RecordKey, b.record); err != nil {
			return fmt.Errorf("bare: write the record of image %s: %w", id, err)
		}
		if _, err := img.CreateSnapshot(quarantine.SealSnapshot); err != nil {
			return fmt.Errorf("bare: seal image %s: %w", id, err)
		}
		return nil
	})
}

func (b *bare) purge(ctx context.Context, workers int, ids []string) error {
	return each(ctx, workers, ids, func(id string) error {
		if err := b.unseal(id); err != nil {
			return fmt.Errorf("bare: remove the seal of image %s: %w", id, err)
		}
		name := quarantine.ReservedPrefix + id
		if err := rbd.TrashRestore(b.io, id, name); err != nil {
			return fmt.Errorf("bare: restore image %s: %w", id, err)
		}
		if err := rbd.GetImage(b.io, name).Trash(0); err != nil {
			return fmt.Errorf("bare: move image %s to the trash: %w", id, err)
		}
		if err := rbd.TrashRemove(b.io, id, false); err != nil {
			return fmt.Errorf("bare: remove image %s: %w", id, err)
		}
		return nil
	})
}

// remove removes images that are in the trash, and have no seal.
func (b *bare) remove(ctx context.Context, workers int, ids []string) error {
	return each(ctx, workers, ids, func(id string) error {
		if err := rbd.TrashRemove(b.io, id, false); err != nil {
			return fmt.Errorf("bare: remove image %s: %w", id, err)
		}
		return nil
	})
}

func (b *bare) unseal(id string) (err error) {
	img, err := rbd.OpenImageById(b.io, id, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	return img.GetSnapshot(quarantine.SealSnapshot).Remove()
}
