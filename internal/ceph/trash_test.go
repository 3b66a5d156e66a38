package ceph

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// encodeTrashSpec writes an entry as librbd 16 does.
func encodeTrashSpec(source uint8, name string, deleted, deferment time.Time) []byte {
	return encodeTrashState(source, name, deleted, deferment, 0)
}

func encodeTrashState(source uint8, name string, deleted, deferment time.Time, state uint8) []byte {
	body := []byte{source}
	body = binary.LittleEndian.AppendUint32(body, uint32(len(name)))
	body = append(body, name...)
	for _, at := range []time.Time{deleted, deferment} {
		body = binary.LittleEndian.AppendUint32(body, uint32(at.Unix()))
		body = binary.LittleEndian.AppendUint32(body, uint32(at.Nanosecond()))
	}
	body = append(body, state)
	out := []byte{2, 1}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	return append(out, body...)
}

// A trash of thousands is listed in full, though the OSD gives a page at a
// time, as librbd itself lists it; what is on its way out, or moved by a
// migration, is not in it.
func TestListTrashOfThousands(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	ctx := testContext(t)
	const entries = 3500
	deleted := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	err := newCloud(t, l).in(pool, func(io *rados.IOContext) error {
		omap := map[string][]byte{}
		for i := range entries {
			omap[fmt.Sprintf("id_%012x", i)] = encodeTrashSpec(sourceUser, fmt.Sprint("disk", i%7), deleted, deleted.AddDate(10, 0, 0))
		}
		// Mirroring, migration, removing; and the parent of a clone that
		// flattened itself.
		for source := range uint8(5) {
			omap[fmt.Sprintf("id_source%d", source)] = encodeTrashSpec(source, "other", deleted, deleted)
		}
		return io.SetOmap(trashObject, omap)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := quarantine.ListTrash(ctx, r, pool)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range got {
		seen[e.Key.ImageID] = true
		if e.Key.PoolRef() != pool || !e.DeletedAt.Equal(deleted.Truncate(time.Second)) {
			t.Fatalf("listed is %+v", e)
		}
	}
	out, err := l.RBD(ctx, cephlab.Quarantine, "trash", "ls", "--format", "json", pool.Pool)
	if err != nil {
		t.Fatal(err)
	}
	var librbd []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &librbd); err != nil {
		t.Fatal(err)
	}
	if len(got) != entries+2 || len(seen) != len(got) || len(librbd) != len(got) {
		t.Errorf("listed are %d entries (%d different), by librbd %d, want %d", len(got), len(seen), len(librbd), entries+2)
	}
	for _, e := range librbd {
		if !seen[e.ID] {
			t.Errorf("%s is listed by librbd only", e.ID)
		}
	}
}

// An entry that cannot be read makes the listing fail: a part is worse than
// nothing.
func TestListTrashWithAStrangeEntry(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	err := newCloud(t, l).in(pool, func(io *rados.IOContext) error {
		return io.SetOmap(trashObject, map[string][]byte{"id_1": []byte("strange")})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := quarantine.ListTrash(testContext(t), r, pool); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("got %v, want that it is unavailable", err)
	}
}

// A pool that was deleted under the service is not an empty one, also when
// another of its name comes.
func TestListTrashOfADeletedPool(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	ctx := testContext(t)
	if _, err := quarantine.ListTrash(ctx, r, pool); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"osd", "pool", "delete", pool.Pool, pool.Pool, "--yes-i-really-really-mean-it"},
		{"osd", "pool", "create", pool.Pool, "8", "8", "replicated"},
	} {
		if _, err := l.Ceph(ctx, args...); err != nil {
			t.Fatal(err)
		}
		// The client hears of the change with the next map.
		until(t, "the end of the pool", func() bool {
			_, err := quarantine.ListTrash(ctx, r, pool)
			_, lerr := r.LiveImages(ctx, pool, "")
			_, herr := r.HasImage(ctx, pool.Key("0123456789ab"))
			return errors.Is(err, quarantine.ErrNotFound) && errors.Is(lerr, quarantine.ErrNotFound) && errors.Is(herr, quarantine.ErrNotFound)
		})
	}
}

// An image whose parent is missing cannot be opened, and librbd calls that not
// found; it is there nevertheless, and must not count as lost.
func TestAnImageWithoutItsParentIsNotCalledMissing(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	cl := newCloud(t, l)
	r := registry(t, l, pool)
	base, err := cl.CloudCreate(pool, "base", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.CloudSnapshot(pool, "base", "snap"); err != nil {
		t.Fatal(err)
	}
	key, err := cl.CloudClone(pool, "base", "snap", pool, "clone")
	if err != nil {
		t.Fatal(err)
	}
	err = cl.in(pool, func(io *rados.IOContext) error {
		if err := io.Delete(headerPrefix + base.ImageID); err != nil {
			return err
		}
		_, err := rbd.OpenImageById(io, key.ImageID, rbd.NoSnapshot)
		if !gone(err) {
			t.Errorf("librbd says %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	m := NewRemover(r, time.Now)
	_, oerr := r.OpenImage(ctx, key)
	_, uerr := r.Used(ctx, key)
	_, derr := m.Inspect(ctx, key)
	if there, err := r.HasImage(ctx, key); err != nil || !there {
		t.Errorf("HasImage says %v, %v", there, err)
	}
	for _, err := range []error{oerr, uerr, derr, m.Unseal(ctx, key)} {
		if !errors.Is(err, quarantine.ErrUnavailable) || errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("got %v, want that it is unavailable", err)
		}
	}
}

// A client that dies inside its move to the trash leaves an entry that says
// MOVING, which Ceph refuses to restore, with or without the image's name. It is
// moved in, with the protection that it had, and restored. While the name is
// another image's nothing is touched.
func TestRestoreAfterAMoveThatWasCutShort(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	ctx := testContext(t)
	cloud := newCloud(t, l)
	deleted := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	until := deleted.AddDate(10, 0, 0)
	// cutShort leaves the image as a client does that dies before its name is
	// removed, or after.
	cutShort := func(name string, named bool) quarantine.Key {
		t.Helper()
		key, err := cloud.CloudCreate(pool, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !named {
			if err := r.MoveToTrash(ctx, pool, name, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		err = cloud.in(pool, func(io *rados.IOContext) error {
			return io.SetOmap(trashObject, map[string][]byte{trashKeyPrefix + key.ImageID: encodeTrashState(sourceUser, name, deleted, until, stateMoving)})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := cloud.in(pool, func(io *rados.IOContext) error { return rbd.TrashRestore(io, key.ImageID, "other") }); errnoOf(err) != syscall.EBUSY {
			t.Fatalf("Ceph itself restores it: %v", err)
		}
		return key
	}
	for name, named := range map[string]bool{"named": true, "nameless": false} {
		key := cutShort(name, named)
		finished, err := r.finishMove(ctx, key)
		if err != nil || !finished {
			t.Fatalf("%s: %t, %v", name, finished, err)
		}
		s, err := r.trashEntry(ctx, key)
		if err != nil || s.moving || !s.deferment.Equal(until) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if err := r.RestoreFromTrash(ctx, key, key.ReservedName()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, named := range map[string]bool{"named2": true, "nameless2": false} {
		key := cutShort(name, named)
		if err := r.RestoreFromTrash(ctx, key, key.ReservedName()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		live, err := r.LiveImages(ctx, pool, key.ReservedName())
		if err != nil || live[key.ReservedName()] != key.ImageID {
			t.Errorf("%s: %v, %v", name, live, err)
		}
	}
	key := cutShort("taken", false)
	other, err := cloud.CloudCreate(pool, "taken", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RestoreFromTrash(ctx, key, key.ReservedName()); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("while its name is another's: %v", err)
	}
	if live, err := r.LiveImages(ctx, pool, "taken"); err != nil || live["taken"] != other.ImageID {
		t.Errorf("the other image: %v, %v", live, err)
	}
}
