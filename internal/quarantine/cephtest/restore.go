package cephtest

import (
	"bytes"
	"context"

	"quarantine/internal/quarantine"
)

// A restore's mark is copied to a clone with all other metadata, at the moment
// of the clone, and each can then be changed alone. An image without a record
// shows none.
func marksGoWithClones(e *env) {
	src := e.create(e.Pool, "src")
	first, second := []byte(`{"phase":"made"}`), []byte(`{"phase":"offered"}`)
	e.with(src, func(img quarantine.Image) error { return img.WriteMark(e.ctx, first) })
	if got := e.info(src).Mark; got != nil {
		e.Errorf("an image without a record has the mark %s", got)
	}
	e.with(src, func(img quarantine.Image) error { return img.WriteRecord(e.ctx, []byte(`{}`)) })
	e.seal(src)
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "src", e.Other, "dst"))
	clone := e.Other.Key(e.live(e.Other)["dst"])
	if got := e.info(clone).Mark; !bytes.Equal(got, first) {
		e.Errorf("the clone's mark is %s", got)
	}
	e.with(clone, func(img quarantine.Image) error { return img.WriteMark(e.ctx, second) })
	if of, was := e.info(clone).Mark, e.info(src).Mark; !bytes.Equal(of, second) || !bytes.Equal(was, first) {
		e.Errorf("the marks are %s and %s", of, was)
	}
}

// A protected snapshot is taken once; a repetition, and one that was taken but
// not protected, are success. It shows what the image held.
func protectsSnapshots(e *env) {
	img := e.create(e.Pool, "img")
	data := e.write(img, 0, 64*kib)
	e.ok(e.Ceph.ProtectSnapshot(e.ctx, img, "snap"))
	e.ok(e.Ceph.ProtectSnapshot(e.ctx, img, "snap"))
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "img", "other"))
	e.ok(e.Ceph.ProtectSnapshot(e.ctx, img, "other"))
	clone, err := e.Cloud.CloudClone(e.Pool, "img", "snap", e.Other, "clone")
	e.ok(err)
	e.seal(clone)
	got, _ := e.sealed(clone, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
	e.is(e.Ceph.ProtectSnapshot(e.ctx, e.Pool.Key("123456789abc"), "snap"), quarantine.ErrNotFound)
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	e.is(e.Ceph.ProtectSnapshot(ended, img, "snap"), quarantine.ErrUnavailable)
}

// The way in which a restore's clone is discarded works with the guard on: one
// that is live, with a protected snapshot, and one that a cloud has removed,
// which the guard then protects. The disk it was made of is not touched, and a
// clone of the clone stands against it.
func discardsUnderGuard(e *env) {
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, quarantine.GuardSetting{On: true, Expire: day}))
	src := e.create(e.Pool, "src")
	data := e.write(src, 0, 64*kib)
	e.seal(src)
	for _, name := range []string{"live", "removed"} {
		e.ok(e.Ceph.Clone(e.ctx, e.Pool, "src", e.Pool, name))
		clone := e.Pool.Key(e.live(e.Pool)[name])
		e.ok(e.Ceph.Flatten(e.ctx, e.Pool, name, nil))
		e.ok(e.Ceph.ProtectSnapshot(e.ctx, clone, "snap"))
		if name == "removed" {
			e.ok(e.Remover.Strip(e.ctx, clone))
			e.ok(e.Cloud.CloudRemove(e.Pool, name))
			if !e.inTrash(clone) {
				e.Fatal("the guard did not keep it")
			}
			e.is(e.Remover.Remove(e.ctx, clone, nil), quarantine.ErrRefused)
			e.ok(e.Ceph.RestoreFromTrash(e.ctx, clone, name))
		}
		e.ok(e.Remover.Strip(e.ctx, clone))
		e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, name, 0))
		e.ok(e.Remover.Remove(e.ctx, clone, nil))
		there, err := e.Ceph.HasImage(e.ctx, clone)
		e.ok(err)
		if there {
			e.Errorf("%s: the clone is there still", name)
		}
	}
	got, _ := e.sealed(src, size)
	e.same(got, content(size, map[int64][]byte{0: data}))

	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "src", e.Pool, "parent"))
	parent := e.Pool.Key(e.live(e.Pool)["parent"])
	e.ok(e.Ceph.ProtectSnapshot(e.ctx, parent, "snap"))
	_, err := e.Cloud.CloudClone(e.Pool, "parent", "snap", e.Other, "child")
	e.ok(err)
	if deps := e.dependents(parent); len(deps) != 1 {
		e.Errorf("%q depend on the clone", deps)
	}
}
