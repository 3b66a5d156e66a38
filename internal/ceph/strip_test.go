package ceph

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// A disk that the cloud left with protected snapshots, as the clones of format
// 1 need them, can be freed; while such a clone lives, it cannot, and all its
// snapshots stay.
func TestStripOfProtectedSnapshots(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	cl := newCloud(t, l)
	r := registry(t, l, pool)
	key, err := cl.CloudCreate(pool, "base", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	var clone quarantine.Key
	err = cl.in(pool, func(io *rados.IOContext) (err error) {
		img, err := rbd.OpenImage(io, "base", rbd.NoSnapshot)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		for _, name := range []string{"idle", "cloned", quarantine.SealSnapshot} {
			snap, err := img.CreateSnapshot(name)
			if err != nil {
				return err
			}
			if err := snap.Protect(); err != nil && name != quarantine.SealSnapshot {
				return err
			}
		}
		options := rbd.NewRbdImageOptions()
		defer options.Destroy()
		if err := options.SetUint64(rbd.ImageOptionCloneFormat, 1); err != nil {
			return err
		}
		if err := rbd.CloneImage(io, "base", "cloned", io, "clone", options); err != nil {
			return err
		}
		clone, err = cl.key(io, pool, "clone")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	if err := r.MoveToTrash(ctx, pool, "base", 0); err != nil {
		t.Fatal(err)
	}
	m := NewRemover(r, time.Now)
	in, err := m.Inspect(ctx, key)
	if err != nil || len(in.Dependents) != 1 || in.Dependents[0] != "clone "+pool.Pool+"/clone" {
		t.Errorf("%q depend on it, %v", in.Dependents, err)
	}
	if err := m.Strip(ctx, key); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("with a clone, Strip ends with %v", err)
	}
	img, err := r.OpenImage(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := img.(*openImage).img.GetSnapshotNames()
	if err := errors.Join(err, img.Close()); err != nil || !img.Info().Sealed || len(snaps) != 3 {
		t.Errorf("a clone is there, and of the snapshots only these are left: %+v, %v", snaps, err)
	}
	if err := r.Flatten(ctx, pool, "clone", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Strip(ctx, key); err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(ctx, key, nil); err != nil {
		t.Fatal(err)
	}
	other, err := r.OpenImage(ctx, clone)
	if err == nil {
		err = other.Close()
	}
	if err != nil {
		t.Errorf("the clone: %v", err)
	}
}

// A clone of format 2, which needs no protected snapshot, is named too, also
// where the disk is such a clone itself; and of a disk without clones, none.
func TestInspectNamesClonesOfFormat2(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	cl := newCloud(t, l)
	r := registry(t, l, pool)
	if _, err := cl.CloudCreate(pool, "base", 8<<20); err != nil {
		t.Fatal(err)
	}
	clone := func(io *rados.IOContext, of, as string) error {
		img, err := rbd.OpenImage(io, of, rbd.NoSnapshot)
		if err != nil {
			return err
		}
		if _, err = img.CreateSnapshot(quarantine.SealSnapshot); err == nil {
			options := rbd.NewRbdImageOptions()
			defer options.Destroy()
			if err = options.SetUint64(rbd.ImageOptionCloneFormat, 2); err == nil {
				err = rbd.CloneImage(io, of, quarantine.SealSnapshot, io, as, options)
			}
		}
		return errors.Join(err, img.Close())
	}
	var disk quarantine.Key
	err := cl.in(pool, func(io *rados.IOContext) (err error) {
		if err := clone(io, "base", "disk"); err != nil {
			return err
		}
		disk, err = cl.key(io, pool, "disk")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	m := NewRemover(r, time.Now)
	depend := func(want ...string) {
		t.Helper()
		in, err := m.Inspect(ctx, disk)
		if err != nil || !slices.Equal(in.Dependents, want) {
			t.Errorf("%q depend on it, want %q; %v", in.Dependents, want, err)
		}
	}
	depend()
	if err := cl.in(pool, func(io *rados.IOContext) error { return clone(io, "disk", "child") }); err != nil {
		t.Fatal(err)
	}
	depend("clone " + pool.Pool + "/child")
	if err := cl.in(pool, func(io *rados.IOContext) error { return rbd.GetImage(io, "child").Trash(0) }); err != nil {
		t.Fatal(err)
	}
	if in, err := m.Inspect(ctx, disk); err != nil || len(in.Dependents) != 1 {
		t.Errorf("a clone in the trash: %q, %v", in.Dependents, err)
	}
}
