package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/catalog"
	"quarantine/internal/quarantine"
)

// writers put disks into the catalog at once. They share its commits: as many as
// there are, so that a page of an index is written once for several of them.
const writers = 16384

// fillCatalog puts the history's disks into the catalog. The daemon's round of the
// seals is at its end: there are no images that it could look at.
func fillCatalog(ctx context.Context, c *catalog.Catalog, h history, progress io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range work {
				if _, err := c.PutDisk(ctx, h.at(i)); err != nil {
					stop(err)
				}
			}
		})
	}
	for i := range h.n {
		if i%100_000 == 0 {
			fmt.Fprintf(progress, "catalog: %d of %d disks\n", i, h.n)
		}
		select {
		case work <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return c.SetMark(ctx, "seals/round", fmt.Appendf(nil, `{"from":%q,"done":0}`, h.now.Format(time.RFC3339)))
}

// trashPage is how many entries are written at once.
const trashPage = 5000

// fillTrash puts an entry for each disk in quarantine into the pool's trash.
func fillTrash(ctx context.Context, conn *rados.Conn, h history, progress io.Writer) error {
	pool, err := conn.OpenIOContext(h.pool.Pool)
	if err != nil {
		return fmt.Errorf("open the pool %s: %w", h.pool.Pool, err)
	}
	defer pool.Destroy()
	page := map[string][]byte{}
	write := func() error {
		if err := pool.SetOmap("rbd_trash", page); err != nil {
			return fmt.Errorf("fill the trash of %s: %w", h.pool.Pool, err)
		}
		clear(page)
		return ctx.Err()
	}
	for i := range h.n {
		if i%500_000 == 0 {
			fmt.Fprintf(progress, "trash: %d of %d disks\n", i, h.n)
		}
		d := h.at(i)
		if d.State != quarantine.Quarantined {
			continue
		}
		page["id_"+d.Key.ImageID] = trashSpec(d.OriginalName, d.DeletedAt, d.ProtectedUntil)
		if len(page) == trashPage {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

// trashSpec is an entry that a user's removal left (cls::rbd::TrashImageSpec in
// Ceph's source): source, name, deletion and end of protection.
func trashSpec(name string, deleted, until time.Time) []byte {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a Buffer takes all
	put(uint8(0))
	put(uint32(len(name)))
	b.WriteString(name)
	for _, t := range []time.Time{deleted, until} {
		put(uint32(t.Unix()))
		put(uint32(0))
	}
	body := b.Bytes()
	out := []byte{1, 1}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	return append(out, body...)
}
