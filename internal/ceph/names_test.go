package ceph

import (
	"context"
	"errors"
	"fmt"
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

// CloudRenameCut is a rename whose client dies after its first step.
func (c cloud) CloudRenameCut(p quarantine.PoolRef, name, to string) error {
	return c.in(p, func(io *rados.IOContext) error {
		id, err := idObject(io, name)
		if err != nil {
			return err
		}
		op := rados.CreateWriteOp()
		defer op.Release()
		op.Create(rados.CreateExclusive)
		op.WriteFull(encodeString(nil, id))
		return op.Operate(io, idObjectPrefix+to, rados.OperationNoFlag)
	})
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

// names is a pool in which names are left as dead clients leave them.
type names struct {
	t     *testing.T
	r     *Registry
	cloud cloud
	pool  quarantine.PoolRef
}

func newNames(t *testing.T) names {
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	return names{t, registry(t, l, pool), newCloud(t, l), pool}
}

func (n names) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n names) create(name string) quarantine.Key {
	n.t.Helper()
	key, err := n.cloud.CloudCreate(n.pool, name, 4<<20)
	n.must(err)
	return key
}

// renamed is librbd's own rename.
func (n names) renamed(from, to string) error {
	return n.cloud.in(n.pool, func(io *rados.IOContext) error { return rbd.GetImage(io, from).Rename(to) })
}

// alias makes a name open what another one does: as a rename does first, and as one
// leaves it that does not come to its last step.
func (n names) alias(of, name string) {
	n.t.Helper()
	n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error {
		b := make([]byte, 100)
		got, err := io.Read(idObjectPrefix+of, b, 0)
		if err != nil {
			return err
		}
		return io.WriteFull(idObjectPrefix+name, b[:got])
	}))
}

// lead makes a name open the image.
func (n names) lead(name string, key quarantine.Key) {
	n.t.Helper()
	n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error {
		return io.WriteFull(idObjectPrefix+name, encodeString(nil, key.ImageID))
	}))
}

// at fails the test unless the pool says this of the name.
func (n names) at(name string, want place) {
	n.t.Helper()
	n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error {
		got, err := placeOf(io, name)
		if err == nil && got != want {
			n.t.Errorf("%s is %+v, want %+v", name, got, want)
		}
		return err
	}))
}

func (n names) is(name string, key quarantine.Key) {
	n.t.Helper()
	n.at(name, place{key.ImageID, key.ImageID})
	opens(testContext(n.t), n.t, n.r, n.cloud, key, name)
}

// Whatever a client has left that died in a rename: the rename is finished by being
// asked for again, and nothing opens the image by its old name. Another image's name
// is not taken.
func TestRenameAfterARenameThatWasCutShort(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	for name, cut := range map[string]func(from, to string){
		"begun": n.alias,
		"all but ended": func(from, to string) {
			n.must(n.renamed(from, to))
			n.alias(to, from)
		},
	} {
		from, to := name+" from", name+" to"
		key := n.create(from)
		cut(from, to)
		if err := n.renamed(from, to); !errors.Is(mapped("rename", err), quarantine.ErrExists) {
			t.Fatalf("%s: Ceph itself says %v", name, err)
		}
		if err := n.r.RenameImage(ctx, n.pool, from, to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n.is(to, key)
		n.at(from, place{})
		if err := n.r.RenameImage(ctx, n.pool, from, to); !errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("%s: renamed again: %v", name, err)
		}
		n.must(n.r.CreateImage(ctx, n.pool, from, 1<<20))
		if err := n.r.RenameImage(ctx, n.pool, from, to); !errors.Is(err, quarantine.ErrExists) {
			t.Errorf("%s: another image's name is taken: %v", name, err)
		}
		n.is(to, key)
	}
}

// librbd says that it has renamed when it could not take the old name away: it goes.
func TestRenameLeavesOneName(t *testing.T) {
	t.Parallel()
	n := newNames(t)
	key := n.create("first")
	n.must(n.renamed("first", "second"))
	n.alias("second", "first")
	n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error { return oneName(io, "first", "second", key.ImageID) }))
	n.at("first", place{})
	n.is("second", key)
	err := n.cloud.in(n.pool, func(io *rados.IOContext) error { return oneName(io, "second", "first", key.ImageID) })
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("it has not been renamed: %v", err)
	}
	n.is("second", key)
}

// An old name that opens an image which has another now is free, and is no name to
// rename it by.
func TestOldNamesAreFree(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	for _, trashed := range []bool{false, true} {
		first, second := fmt.Sprint("first", trashed), fmt.Sprint("second", trashed)
		key := n.create(first)
		n.must(n.renamed(first, second))
		n.alias(second, first)
		if trashed {
			n.must(n.r.MoveToTrash(ctx, n.pool, second, time.Hour))
		}
		if err := n.r.RenameImage(ctx, n.pool, first, "third"); !errors.Is(err, quarantine.ErrConflict) {
			t.Errorf("%s is renamed: %v", first, err)
		}
		n.at("third", place{})
		n.must(n.r.CreateImage(ctx, n.pool, first, 1<<20))
		if !trashed {
			n.is(second, key)
			continue
		}
		n.must(n.r.RestoreFromTrash(ctx, key, second))
		n.is(second, key)
	}
}

// A name that a create took which was cut short, and then a rename that was: both
// are cleared, and the renamed image keeps its name.
func TestNameTakenTwice(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	cut, err := n.cloud.cutCreate(n.pool, "cut", false)
	n.must(err)
	key := n.create("image")
	if err := n.r.RenameImage(ctx, n.pool, "image", "cut"); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("renamed to it: %v", err)
	}
	n.at("cut", place{listed: cut.ImageID})
	_ = n.renamed("image", "cut") // says that it has, and has not
	n.at("cut", place{cut.ImageID, key.ImageID})
	n.must(n.r.CreateImage(ctx, n.pool, "cut", 1<<20))
	n.is("image", key)
}

// An image that the directory has lost keeps what leads to it.
func TestNameOfALostImage(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	lost, other := n.create("lost"), n.create("other")
	n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error {
		return io.RmOmapKeys(directoryObject, []string{directoryNamePrefix + "lost", directoryIDPrefix + lost.ImageID})
	}))
	if err := n.r.CreateImage(ctx, n.pool, "lost", 1<<20); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("its name is taken: %v", err)
	}
	if err := n.r.RenameImage(ctx, n.pool, "other", "lost"); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("its name is given to another: %v", err)
	}
	if err := n.r.DropName(ctx, lost, "lost"); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("its name is dropped: %v", err)
	}
	n.at("lost", place{opened: lost.ImageID})
	n.is("other", other)
}

// A rename that comes when the image is in the trash already leaves no name; one of a
// live image is left as it is, to be finished.
func TestRenameThatComesTooLate(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	key := n.create("image")
	n.lead("late", key)
	late := func() {
		n.t.Helper()
		n.must(n.cloud.in(n.pool, func(io *rados.IOContext) error { return dropLate(io, "late", key.ImageID) }))
	}
	late()
	n.at("late", place{opened: key.ImageID})
	n.must(n.r.MoveToTrash(ctx, n.pool, "image", time.Hour))
	late()
	n.at("late", place{})
}

// In the trash no name opens an image, not even the one that it had.
func TestNamesOfWhatIsInTheTrash(t *testing.T) {
	t.Parallel()
	n, ctx := newNames(t), testContext(t)
	key := n.create("image")
	n.must(n.r.MoveToTrash(ctx, n.pool, "image", time.Hour))
	n.lead("image", key)
	n.must(n.r.DropName(ctx, key, "image"))
	n.at("image", place{})
	n.must(n.r.RestoreFromTrash(ctx, key, "image"))
	n.is("image", key)
}
