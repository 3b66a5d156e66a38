package cephtest

import (
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

func (e *env) dependents(key quarantine.Key) []string {
	e.Helper()
	in, err := e.Remover.Inspect(e.ctx, key)
	e.ok(err)
	return in.Dependents
}

// Clones of the image's snapshots, in any pool, and clients that have it open
// are named; the service's own look is not one of them.
func dependentsAreNamed(e *env) {
	key := e.create(e.Pool, "disk")
	if deps := e.dependents(key); len(deps) != 0 {
		e.Errorf("%q depend on a lone image", deps)
	}
	e.seal(key)
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "snap"))
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "disk", e.Other, "of-seal"))
	_, err := e.Cloud.CloudClone(e.Pool, "disk", "snap", e.Namespace, "of-snap")
	e.ok(err)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	stop, err := e.Cloud.CloudWatch(key, "hypervisor")
	e.ok(err)
	deps := e.dependents(key)
	for _, want := range []string{"clone " + e.Other.String() + "/of-seal", "clone " + e.Namespace.String() + "/of-snap"} {
		if !slices.Contains(deps, want) {
			e.Errorf("%q do not name %q", deps, want)
		}
	}
	watchers := slices.DeleteFunc(slices.Clone(deps), func(d string) bool { return !strings.HasPrefix(d, "watcher ") })
	if len(deps) != 3 || len(watchers) != 1 {
		e.Errorf("%q depend on the image, want two clones and one watcher", deps)
	}
	stop()
	// A clone that is in the trash itself still needs its parent.
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Other, "of-seal", day))
	if deps := e.dependents(key); len(deps) != 2 || slices.ContainsFunc(deps, func(d string) bool { return strings.HasPrefix(d, "watcher ") }) {
		e.Errorf("%q depend on the image, want two clones", deps)
	}
	_, err = e.Remover.Inspect(e.ctx, e.Pool.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
	_, err = e.Remover.OpenForRemoval(e.ctx, e.Pool.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
}

// A removal that is begun names who depends on the image, as a look does, and not
// itself; it strips the image, also of one that was taken out of the trash since, and
// of one that is gone. Who only looked changes nothing.
func removalsBegin(e *env) {
	key := e.create(e.Pool, "disk")
	e.seal(key)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", 0))
	begin := func(want int) quarantine.Removal {
		e.Helper()
		r, err := e.Remover.OpenForRemoval(e.ctx, key)
		e.ok(err)
		looked, err := e.Remover.Inspect(e.ctx, key)
		e.ok(err)
		in := r.Found()
		if len(in.Dependents) != want || in.Watched != (want > 0) || in.SizeBytes != looked.SizeBytes || in.ObjectBytes != looked.ObjectBytes || in.Mapped != looked.Mapped {
			e.Errorf("%+v, want %d dependents; a look says %+v", in, want, looked)
		}
		return r
	}
	stop, err := e.Cloud.CloudWatch(key, "hypervisor")
	e.ok(err)
	e.ok(begin(1).Close())
	stop()
	r := begin(0)
	e.ok(r.Close())
	e.ok(r.Close())
	if deps := e.dependents(key); len(deps) != 0 {
		e.Errorf("after a removal that was not gone on with %q depend on the image", deps)
	}
	r = begin(0)
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, key.ReservedName()))
	e.ok(r.Strip(e.ctx))
	e.ok(r.Strip(e.ctx))
	e.ok(r.Close())
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, key.ReservedName(), 0))
	e.ok(e.Remover.Remove(e.ctx, key, nil))
}

// The record is read with the same look, and an image is there until it is
// removed, in the trash or not.
func inspectReadsTheRecord(e *env) {
	key := e.create(e.Pool, "disk")
	in, err := e.Remover.Inspect(e.ctx, key)
	e.ok(err)
	if in.Record != nil {
		e.Errorf("a record %q of none", in.Record)
	}
	img, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	e.ok(img.WriteRecord(e.ctx, []byte("a record")))
	e.close(img)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", 0))
	in, err = e.Remover.Inspect(e.ctx, key)
	e.ok(err)
	if string(in.Record) != "a record" {
		e.Errorf("the record is %q", in.Record)
	}
	for _, want := range []bool{true, false} {
		there, err := e.Ceph.HasImage(e.ctx, key)
		e.ok(err)
		if there != want {
			e.Errorf("the image is there: %v, want %v", there, want)
		}
		e.ok(e.Remover.Remove(e.ctx, key, nil))
	}
}

// The seal comes off by id, live or in the trash; one that is gone is success,
// and so is an image that is gone.
func unsealRepeats(e *env) {
	key := e.trashed(e.Pool, "disk", day)
	e.seal(key)
	for range 2 {
		e.ok(e.Remover.Unseal(e.ctx, key))
		if e.info(key).Sealed {
			e.Fatal("the image is still sealed")
		}
	}
	e.ok(e.Remover.Unseal(e.ctx, e.Pool.Key("0123456789ab")))
	// It can be sealed again, with what it holds then.
	data := e.write(key, 0, 5*kib)
	e.seal(key)
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
	// A snapshot of the cloud's stays.
	other := e.create(e.Pool, "other")
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "other", "of-the-cloud"))
	e.seal(other)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "other", 0))
	e.ok(e.Remover.Unseal(e.ctx, other))
	e.is(e.Remover.Remove(e.ctx, other, nil), quarantine.ErrRefused)
}

// Every snapshot goes, those that the cloud left too, and with them what kept
// the image; an image that is gone is success.
func stripTakesAll(e *env) {
	key := e.create(e.Pool, "disk")
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "of-the-cloud"))
	e.seal(key)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", 0))
	e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrRefused)
	for range 2 {
		e.ok(e.Remover.Strip(e.ctx, key))
		if e.info(key).Sealed {
			e.Fatal("the image is still sealed")
		}
	}
	e.ok(e.Remover.Remove(e.ctx, key, nil))
	e.ok(e.Remover.Strip(e.ctx, key))
}

// reopen takes the protection off an entry, by way of its reserved name.
func (e *env) reopen(key quarantine.Key) {
	e.Helper()
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, key.ReservedName()))
	e.ok(e.Ceph.MoveToTrash(e.ctx, key.PoolRef(), key.ReservedName(), 0))
}

// A removal keeps to Ceph's own refusals: protected, sealed, in use, cloned.
// One that is gone is success.
func removeKeepsRefusals(e *env) {
	key := e.trashed(e.Pool, "disk", day)
	data := e.write(key, 0, 5*kib)
	e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrRefused) // protected
	e.reopen(key)
	e.seal(key)
	e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrRefused) // sealed
	if err := e.Cloud.CloudForceRemove(key); err == nil {
		e.Fatal("a sealed image was forced out")
	}
	// The refusals left all as it was.
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
	e.ok(e.Remover.Unseal(e.ctx, key))
	stop, err := e.Cloud.CloudWatch(key, "hypervisor")
	e.ok(err)
	e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrBusy)
	e.entry(key)
	stop()
	for range 2 {
		e.ok(e.Remover.Remove(e.ctx, key, nil))
		if e.inTrash(key) {
			e.Error("a removed entry is still listed")
		}
		_, err = e.Ceph.OpenImage(e.ctx, key)
		e.is(err, quarantine.ErrNotFound)
	}

	// A seal with a clone goes off its name, and holds until the clone is gone.
	parent := e.create(e.Pool, "parent")
	e.write(parent, 0, 5*kib)
	e.seal(parent)
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "parent", e.Pool, "clone"))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "parent", 0))
	e.ok(e.Remover.Unseal(e.ctx, parent))
	if e.info(parent).Sealed {
		e.Error("a seal with a clone is still under its name")
	}
	e.is(e.Remover.Remove(e.ctx, parent, nil), quarantine.ErrRefused)
	e.ok(e.Ceph.Flatten(e.ctx, e.Pool, "clone", nil))
	e.ok(e.Remover.Remove(e.ctx, parent, nil))
	// What is live is not removed.
	live := e.create(e.Pool, "live")
	e.ok(e.Remover.Remove(e.ctx, live, nil))
	if e.live(e.Pool)["live"] != live.ImageID {
		e.Error("a live image was removed")
	}
}

// Trim makes an image smaller, in the trash or not, and never larger; what is
// before its new end stays as it is.
func trimMakesSmaller(e *env) {
	key := e.create(e.Pool, "disk")
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", 0))
	before, err := e.Remover.Inspect(e.ctx, key)
	e.ok(err)
	if before.ObjectBytes != 4<<20 || before.SizeBytes <= 4096 {
		e.Fatalf("%+v", before)
	}
	for _, step := range []struct{ to, want int64 }{{4096, 4096}, {before.SizeBytes, 4096}, {4096, 4096}} {
		e.ok(e.Remover.Trim(e.ctx, key, step.to))
		in, err := e.Remover.Inspect(e.ctx, key)
		e.ok(err)
		if in.SizeBytes != step.want {
			e.Errorf("trimmed to %d it has %d bytes, want %d", step.to, in.SizeBytes, step.want)
		}
	}
	e.ok(e.Remover.Remove(e.ctx, key, nil))
	e.ok(e.Remover.Trim(e.ctx, key, 0))
}
