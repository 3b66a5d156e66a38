package ceph

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// cutCreate leaves what a client leaves that dies in a create, before it has made
// the image's header, and before the object of its id or after.
func (c cloud) cutCreate(p quarantine.PoolRef, name string, withID bool) (quarantine.Key, error) {
	key, err := c.CloudCreate(p, name, 4<<20)
	if err != nil {
		return key, err
	}
	objects := []string{headerPrefix + key.ImageID, "rbd_object_map." + key.ImageID}
	if !withID {
		objects = append(objects, idObjectPrefix+name)
	}
	return key, c.in(p, func(io *rados.IOContext) error {
		for _, o := range objects {
			if err := io.Delete(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// CloudCreateCut is a create whose client dies before there is an image.
func (c cloud) CloudCreateCut(p quarantine.PoolRef, name string) (quarantine.Key, error) {
	return c.cutCreate(p, name, true)
}

// objects returns the names of all objects of the pool.
func (c cloud) objects(p quarantine.PoolRef) (names []string, err error) {
	err = c.in(p, func(io *rados.IOContext) error {
		return io.ListObjects(func(oid string) { names = append(names, oid) })
	})
	return names, err
}

// Whatever a client has left that died in a create: the name can be used, and of
// what was left nothing stays.
func TestCreateAfterACreateThatWasCutShort(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r, cloud, ctx := registry(t, l, pool), newCloud(t, l), testContext(t)
	if err := r.WriteGuard(ctx, pool, quarantine.GuardSetting{On: true, Expire: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	for name, withID := range map[string]bool{"listed": false, "with id": true} {
		old, err := cloud.cutCreate(pool, name, withID)
		if err != nil {
			t.Fatal(err)
		}
		err = cloud.in(pool, func(io *rados.IOContext) error {
			return rbd.CreateImage(io, name, 1<<20, rbd.NewRbdImageOptions())
		})
		if !errors.Is(mapped("create", err), quarantine.ErrExists) {
			t.Fatalf("%s: Ceph itself says %v", name, err)
		}
		if err := r.CreateImage(ctx, pool, name, 1<<20); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		live, err := r.LiveImages(ctx, pool, name)
		if err != nil || live[name] == "" || live[name] == old.ImageID {
			t.Errorf("%s: live is %v, %v", name, live, err)
		}
		opens(ctx, t, r, cloud, pool.Key(live[name]), name)
		if err := r.CreateImage(ctx, pool, name, 1<<20); !errors.Is(err, quarantine.ErrExists) {
			t.Errorf("%s: the name of a whole image is taken again: %v", name, err)
		}
	}
	// Two images, their names, the directory and the pool's own: no more.
	if trash, err := quarantine.ListTrash(ctx, r, pool); err != nil || len(trash) != 0 {
		t.Errorf("the trash has %+v, %v", trash, err)
	}
	names, err := cloud.objects(pool)
	if err != nil || len(names) > 2*3+3 {
		t.Errorf("the pool has %q, %v", names, err)
	}
}

// opens fails the test unless the image opens by its id and by its name.
func opens(ctx context.Context, t *testing.T, r *Registry, c cloud, key quarantine.Key, name string) {
	t.Helper()
	img, err := r.OpenImage(ctx, key)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	err = c.in(key.PoolRef(), func(io *rados.IOContext) error {
		got, err := c.key(io, key.PoolRef(), name)
		if err == nil && got != key {
			t.Errorf("%s opens image %s, want %s", name, got, key)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// Whatever a client has left that died in a rename: the rename is finished by being
// asked for again, and the old name is free. Another image's name is not taken.
func TestRenameAfterARenameThatWasCutShort(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r, cloud, ctx := registry(t, l, pool), newCloud(t, l), testContext(t)
	// copyID gives the id of one name to another, as a rename does first, and as
	// what one leaves is that does not come to its last step.
	copyID := func(from, to string) error {
		return cloud.in(pool, func(io *rados.IOContext) error {
			b := make([]byte, 100)
			n, err := io.Read(idObjectPrefix+from, b, 0)
			if err != nil {
				return err
			}
			return io.WriteFull(idObjectPrefix+to, bytes.Clone(b[:n]))
		})
	}
	rename := func(from, to string) error {
		return cloud.in(pool, func(io *rados.IOContext) error { return rbd.GetImage(io, from).Rename(to) })
	}
	for name, cut := range map[string]func(from, to string) error{
		"begun":         copyID,
		"all but ended": func(from, to string) error { return errors.Join(rename(from, to), copyID(to, from)) },
	} {
		from, to := name+" from", name+" to"
		key, err := cloud.CloudCreate(pool, from, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := cut(from, to); err != nil {
			t.Fatal(err)
		}
		if err := rename(from, to); !errors.Is(mapped("rename", err), quarantine.ErrExists) {
			t.Fatalf("%s: Ceph itself says %v", name, err)
		}
		if err := r.RenameImage(ctx, pool, from, to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		opens(ctx, t, r, cloud, key, to)
		if live, err := r.LiveImages(ctx, pool, name); err != nil || len(live) != 1 || live[to] != key.ImageID {
			t.Errorf("%s: live is %v, %v", name, live, err)
		}
		if err := r.CreateImage(ctx, pool, from, 1<<20); err != nil {
			t.Errorf("%s: its old name is not free: %v", name, err)
		}
		if err := r.RenameImage(ctx, pool, from, to); !errors.Is(err, quarantine.ErrExists) {
			t.Errorf("%s: another image's name is taken: %v", name, err)
		}
		opens(ctx, t, r, cloud, key, to)
	}

	// The old name of one that was renamed, and that nobody asks to be renamed again.
	key, err := cloud.CloudCreate(pool, "first", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rename("first", "second"), copyID("second", "first")); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateImage(ctx, pool, "first", 1<<20); err != nil {
		t.Errorf("the old name is not free: %v", err)
	}
	opens(ctx, t, r, cloud, key, "second")

	// An image that the directory has lost keeps what leads to it.
	lost, err := cloud.CloudCreate(pool, "lost", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	err = cloud.in(pool, func(io *rados.IOContext) error {
		return io.RmOmapKeys(directoryObject, []string{directoryNamePrefix + "lost", directoryIDPrefix + lost.ImageID})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CreateImage(ctx, pool, "lost", 1<<20); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("the name of an image that the directory has lost is taken: %v", err)
	}
	if err := r.RenameImage(ctx, pool, "second", "lost"); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("the name of an image that the directory has lost is given to another: %v", err)
	}
	err = cloud.in(pool, func(io *rados.IOContext) error {
		p, err := placeOf(io, "lost")
		if p.opened != lost.ImageID {
			t.Errorf("what leads to it is %+v", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
