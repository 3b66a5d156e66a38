package ceph

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// A client that dies while it takes a seal can leave one that the header lists,
// and that has no object map, of which Ceph makes no clone. Its bytes are read all
// the same; a look tells; and who seals it again takes a second one.
func TestSealWithoutObjectMap(t *testing.T) {
	t.Parallel()
	const held = "what it held"
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	cloud := newCloud(t, l)
	ctx := testContext(t)
	key, err := cloud.CloudCreate(pool, "disk", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.CloudWrite(key, 4<<20, []byte(held)); err != nil {
		t.Fatal(err)
	}
	if err := r.MoveToTrash(ctx, pool, "disk", 0); err != nil {
		t.Fatal(err)
	}
	img, err := r.OpenImage(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	id := img.Info().SealIDs[0]
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	err = cloud.in(pool, func(io *rados.IOContext) error {
		return io.Delete(fmt.Sprintf("rbd_object_map.%s.%016x", key.ImageID, id))
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		var got string
		err := r.ReadSealed(ctx, key, func(offset int64, data []byte) error {
			if offset == 4<<20 {
				got = string(data[:len(held)])
			}
			return nil
		})
		if err != nil || got != held {
			t.Errorf("the seal holds %q, %v", got, err)
		}
	}
	read()
	if err := r.RestoreFromTrash(ctx, key, key.ReservedName()); err != nil {
		t.Fatal(err)
	}
	if err := r.Clone(ctx, pool, key.ReservedName(), pool, "early"); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a clone of it: %v", err)
	}
	if info, err := r.LookAt(ctx, key); err != nil || !info.Sealed || !info.SealBroken {
		t.Errorf("a look: %+v, %v", info, err)
	}
	for range 2 { // the second time there is nothing to do
		img, err = r.OpenImage(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(img.Seal(ctx), img.Close()); err != nil || len(img.Info().SealIDs) != 2 || img.Info().SealIDs[0] != id {
			t.Errorf("sealed again: %+v, %v", img.Info(), err)
		}
	}
	if info, err := r.LookAt(ctx, key); err != nil || info.SealBroken || len(info.Snapshots) != 2 {
		t.Errorf("a look: %+v, %v", info, err)
	}
	read()
	if err := r.Clone(ctx, pool, key.ReservedName(), pool, "clone"); err != nil {
		t.Errorf("a clone of it: %v", err)
	}
	err = cloud.in(pool, func(io *rados.IOContext) error { return rbd.RemoveImage(io, "clone") })
	if err != nil {
		t.Fatal(err)
	}
	if err := NewRemover(r, time.Now).Strip(ctx, key); err != nil {
		t.Errorf("its snapshots cannot be removed: %v", err)
	}
	if info, err := r.LookAt(ctx, key); err != nil || len(info.Snapshots) != 0 {
		t.Errorf("left are %+v, %v", info.Snapshots, err)
	}
}
