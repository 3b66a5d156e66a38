package cephtest

import (
	"bytes"

	"quarantine/internal/quarantine"
)

// A clone shows the seal, not what was written after it, in any pool of the
// cluster, and stays readable when its source goes to the trash.
func cloneOfTheSeal(e *env) {
	src := e.create(e.Pool, "src")
	data := e.write(src, 5*mib, 100*kib)
	if err := e.Ceph.Clone(e.ctx, e.Pool, "src", e.Pool, "too early"); err == nil {
		e.Error("an image without a seal was cloned")
	}
	record := []byte(`{"of":"src"}`)
	e.with(src, func(img quarantine.Image) error { return img.WriteRecord(e.ctx, record) })
	e.seal(src)
	e.ok(e.Cloud.CloudWrite(src, 5*mib, bytes.Repeat([]byte("x"), 9*kib)))

	e.is(e.Ceph.Clone(e.ctx, e.Pool, "nothing", e.Pool, "dst"), quarantine.ErrNotFound)
	e.create(e.Pool, "taken")
	e.is(e.Ceph.Clone(e.ctx, e.Pool, "src", e.Pool, "taken"), quarantine.ErrExists)

	for _, dst := range []quarantine.PoolRef{e.Pool, e.Other, e.Namespace} {
		e.ok(e.Ceph.Clone(e.ctx, e.Pool, "src", dst, "dst"))
	}
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "src", day))
	for _, dst := range []quarantine.PoolRef{e.Pool, e.Other, e.Namespace} {
		clone := dst.Key(e.live(dst)["dst"])
		// Ceph copies the metadata: the clone bears the record of its source.
		if got := e.info(clone); got.SizeBytes != size || got.Sealed || !bytes.Equal(got.Record, record) {
			e.Errorf("the clone in %s is %+v", dst, got)
		}
		more := []byte("written to the clone")
		e.ok(e.Cloud.CloudWrite(clone, 0, more))
		e.seal(clone)
		got, _ := e.sealed(clone, size)
		e.same(got, content(size, map[int64][]byte{0: more, 5 * mib: data}))
	}
	got, _ := e.sealed(src, size)
	e.same(got, content(size, map[int64][]byte{5 * mib: data}))
}

// Flatten tells its progress, leaves the content as it is, and makes the clone
// independent. A second call has nothing to do and says so by success.
func flattenMakesIndependent(e *env) {
	src := e.create(e.Pool, "src")
	data := e.write(src, 7*mib, 2*mib)
	e.seal(src)
	e.is(e.Ceph.Flatten(e.ctx, e.Other, "dst", nil), quarantine.ErrNotFound)
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "src", e.Other, "dst"))
	clone := e.Other.Key(e.live(e.Other)["dst"])
	more := []byte("of the clone")
	e.ok(e.Cloud.CloudWrite(clone, 100, more))

	var last, total uint64
	e.ok(e.Ceph.Flatten(e.ctx, e.Other, "dst", func(done, of uint64) {
		if done < last || done > of {
			e.Errorf("progress goes from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	}))
	if total == 0 || last == 0 {
		e.Error("no progress was told")
	}
	e.ok(e.Ceph.Flatten(e.ctx, e.Other, "dst", nil))
	e.ok(e.Ceph.Flatten(e.ctx, e.Other, "dst", func(uint64, uint64) {}))
	if deps := e.dependents(src); len(deps) != 0 {
		e.Errorf("after the flatten %q still depend on the source", deps)
	}
	e.seal(clone)
	got, _ := e.sealed(clone, size)
	e.same(got, content(size, map[int64][]byte{100: more, 7 * mib: data}))

	// The source can go: its clone lives on.
	e.ok(e.Remover.Unseal(e.ctx, src))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "src", 0))
	e.ok(e.Remover.Remove(e.ctx, src, nil))
	got, _ = e.sealed(clone, size)
	e.same(got, content(size, map[int64][]byte{100: more, 7 * mib: data}))
}

// What a rename left that was cut short is dropped, whether the image is live or in
// the trash, and then nobody reaches the image by it. Names of images stay.
func dropsSecondNames(e *env) {
	key, other := e.create(e.Pool, "one"), e.create(e.Pool, "other")
	data := e.write(key, 0, 64*kib)
	e.seal(key)
	e.ok(e.Cloud.CloudRenameCut(e.Pool, "one", "live"))
	e.ok(e.Cloud.CloudRenameCut(e.Pool, "one", "trashed"))
	e.ok(e.Ceph.DropName(e.ctx, key, "live"))
	e.ok(e.Ceph.DropName(e.ctx, key, "live"))
	e.ok(e.Ceph.DropName(e.ctx, key, "one"))
	e.ok(e.Ceph.DropName(e.ctx, key, "other"))
	e.ok(e.Ceph.DropName(e.ctx, other, "trashed"))
	if live := e.live(e.Pool); len(live) != 2 || live["one"] != key.ImageID || live["other"] != other.ImageID {
		e.Errorf("there is %v", live)
	}
	e.is(e.Ceph.RenameImage(e.ctx, e.Pool, "other", "trashed"), quarantine.ErrExists) // it was not another's to drop
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "one", day))
	e.ok(e.Ceph.DropName(e.ctx, key, "trashed"))
	for _, name := range []string{"live", "trashed"} {
		_ = e.Cloud.CloudRemove(e.Pool, name) // it fails in either case
	}
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
}

// A live image is renamed and loses nothing; a name that is not there, or taken,
// is refused, and changes nothing.
func renames(e *env) {
	e.is(e.Ceph.RenameImage(e.ctx, e.Pool, "nothing", "other"), quarantine.ErrNotFound)
	key := e.create(e.Pool, "one")
	data := e.write(key, 0, 64*kib)
	other := e.create(e.Pool, "taken")
	e.is(e.Ceph.RenameImage(e.ctx, e.Pool, "one", "taken"), quarantine.ErrExists)
	e.ok(e.Ceph.RenameImage(e.ctx, e.Pool, "one", "two"))
	if live := e.live(e.Pool); len(live) != 2 || live["two"] != key.ImageID || live["taken"] != other.ImageID {
		e.Errorf("after the renames there is %v", live)
	}
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "two", day))
	e.seal(key)
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
}
