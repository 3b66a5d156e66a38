package cephtest

import (
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// based makes a base image with a snapshot in Other, and a clone of it in Pool,
// in which something was written and which is in the trash, sealed. It returns
// both, and what the clone holds.
func (e *env) based(clone func(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error)) (base, key quarantine.Key, held []byte) {
	e.Helper()
	base = e.create(e.Other, "base")
	data := e.write(base, 3*mib, 6*mib)
	e.ok(e.Cloud.CloudSnapshot(e.Other, "base", "snap"))
	key, err := clone(e.Other, "base", "snap", e.Pool, "disk")
	e.ok(err)
	own := []byte("of the disk")
	e.ok(e.Cloud.CloudWrite(key, 4*mib+7, own))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	e.seal(key)
	held = content(size, map[int64][]byte{3 * mib: data})
	copy(held[4*mib+7:], own)
	return base, key, held
}

func (e *env) lineage(key quarantine.Key) quarantine.Lineage {
	e.Helper()
	l, err := e.Ceph.Lineage(e.ctx, key)
	e.ok(err)
	return l
}

func (e *env) holds(key quarantine.Key, want []byte) {
	e.Helper()
	got, _ := e.sealed(key, size)
	e.same(got, want)
}

// gone lets the cloud delete the base with its own steps, which a clone would
// stop.
func (e *env) baseGoes(base quarantine.Key) {
	e.Helper()
	if deps := e.dependents(base); len(deps) != 0 {
		e.Fatalf("%q depend on the base", deps)
	}
	e.ok(e.Cloud.CloudRemoveSnapshot(e.Other, "base", "snap"))
	e.ok(e.Cloud.CloudRemove(e.Other, "base"))
	if there, err := e.Ceph.HasImage(e.ctx, base); err != nil || there {
		e.Errorf("the base is there: %v, %v", there, err)
	}
}

// An image says what its head and its seal stand on, and what stands on it; one
// that was never a clone stands on nothing.
func lineageTells(e *env) {
	base, key, _ := e.based(e.Cloud.CloudClone)
	if l := e.lineage(base); l.Parent != nil || l.Head || l.Seal || !l.Deep || len(l.Clones) != 1 || len(l.Watchers) != 0 {
		e.Errorf("the base is %+v", l)
	}
	l := e.lineage(key)
	want := quarantine.ParentRef{Key: base, Name: "base", Snapshot: "snap", OverlapBytes: size}
	if l.Parent == nil || *l.Parent != want || !l.Head || !l.Seal || !l.Deep || len(l.Others) != 0 || len(l.Clones) != 0 {
		e.Errorf("the clone is %+v of %+v, want %+v", l, l.Parent, want)
	}
	if p := e.info(key).Parent; p == nil || *p != want {
		e.Errorf("opened, it is a clone of %+v", p)
	}
	if p := e.info(base).Parent; p != nil {
		e.Errorf("opened, the base is a clone of %+v", p)
	}
	stop, err := e.Cloud.CloudWatch(key, "hypervisor")
	e.ok(err)
	if l := e.lineage(key); len(l.Watchers) != 1 || !strings.HasPrefix(l.Watchers[0], "watcher ") {
		e.Errorf("a client has it open: %q", l.Watchers)
	}
	stop()
	_, err = e.Ceph.Lineage(e.ctx, e.Pool.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
	used, err := e.Ceph.UsedOfParent(e.ctx, key)
	e.ok(err)
	// What the base allocates, in whole objects on a real Ceph, without the one
	// that the clone has of its own.
	if used < mib || used > 8*mib {
		e.Errorf("a flatten would copy %d bytes", used)
	}
	used, err = e.Ceph.UsedOfParent(e.ctx, base)
	e.ok(err)
	if used != 0 {
		e.Errorf("a flatten of the base would copy %d bytes", used)
	}
}

// A flatten by id of a sealed disk in the trash frees the base, and leaves the
// sealed bytes as they are: also where the head was written to after the seal.
// The seal is the same snapshot as before.
func flattenSealed(e *env) {
	base, key, held := e.based(e.Cloud.CloudClone)
	sealedAt := e.info(key).SealedAt
	e.ok(e.Cloud.CloudWrite(key, 9*mib, []byte("after the seal"))) // a client that goes on
	var last, total uint64
	e.ok(e.Ceph.FlattenImage(e.ctx, key, func(done, of uint64) {
		if done < last || done > of {
			e.Errorf("progress goes from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	}))
	if total == 0 || last == 0 {
		e.Error("no progress was told")
	}
	if l := e.lineage(key); l.Parent != nil || l.Head || l.Seal || len(l.Others) != 0 {
		e.Errorf("flattened, it is %+v", l)
	}
	info := e.info(key)
	if !info.Sealed || !info.SealedAt.Equal(sealedAt) || info.Parent != nil {
		e.Errorf("flattened, it is %+v, sealed at %s before", info, sealedAt)
	}
	e.holds(key, held)
	e.ok(e.Ceph.FlattenImage(e.ctx, key, nil)) // nothing to do
	e.baseGoes(base)
	e.holds(key, held)
	e.is(e.Ceph.FlattenImage(e.ctx, e.Pool.Key("0123456789ab"), nil), quarantine.ErrNotFound)
}

// Without deep-flatten the seal still needs the base. A second seal has the same
// bytes without it, and takes the first one's place.
func flattenShallow(e *env) {
	base, key, held := e.based(e.Cloud.CloudCloneShallow)
	if l := e.lineage(key); l.Deep || !l.Head || !l.Seal {
		e.Errorf("it is %+v", l)
	}
	e.ok(e.Ceph.FlattenImage(e.ctx, key, nil))
	if l := e.lineage(key); l.Parent == nil || l.Head || !l.Seal || len(l.Others) != 0 {
		e.Errorf("flattened, it is %+v", l)
	}
	if deps := e.dependents(base); len(deps) != 1 {
		e.Errorf("%q depend on the base, want the seal", deps)
	}
	var last, total uint64
	pair, same, err := e.Ceph.SealAgain(e.ctx, key, func(done, of uint64) { last, total = done, of })
	e.ok(err)
	if !same || last == 0 || last != total || pair.First == 0 || pair.Second <= pair.First {
		e.Fatalf("the second seal is %+v, the same: %v, compared %d of %d", pair, same, last, total)
	}
	again, same, err := e.Ceph.SealAgain(e.ctx, key, nil)
	e.ok(err)
	if again != pair || !same {
		e.Errorf("a second look gives %+v after %+v, the same: %v", again, pair, same)
	}
	if l := e.lineage(key); l.Parent == nil || l.Head || !l.Seal || len(l.Others) != 0 {
		e.Errorf("sealed twice, it is %+v", l)
	}
	for _, wrong := range []quarantine.SealPair{{First: pair.First, Second: pair.Second + 1}, {First: pair.First + 1, Second: pair.Second}, {}} {
		e.is(e.Remover.RemoveFirstSeal(e.ctx, key, wrong), quarantine.ErrConflict)
	}
	if l := e.lineage(key); !l.Seal {
		e.Errorf("what was refused left %+v", l)
	}
	for range 2 {
		e.ok(e.Remover.RemoveFirstSeal(e.ctx, key, pair))
		if l := e.lineage(key); l.Parent != nil {
			e.Errorf("with its second seal alone, it is %+v", l)
		}
		e.holds(key, held)
	}
	e.baseGoes(base)
	e.secondSealIsTheSeal(key, held)
	e.is(e.Remover.RemoveFirstSeal(e.ctx, e.Pool.Key("0123456789ab"), pair), quarantine.ErrNotFound)
}

// secondSealIsTheSeal uses a disk that has only its second seal: it is sealed,
// not sealed again, refused to be removed, cloned, and unsealed like any other.
func (e *env) secondSealIsTheSeal(key quarantine.Key, held []byte) {
	e.Helper()
	e.ok(e.Cloud.CloudWrite(key, 0, []byte("after the seal")))
	if !e.info(key).Sealed || e.info(key).SealedAt.IsZero() {
		e.Fatal("it is not sealed")
	}
	e.seal(key)
	e.holds(key, held)
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, "out"))
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "out", e.Pool, "copy"))
	copied := e.Pool.Key(e.live(e.Pool)["copy"])
	e.ok(e.Ceph.Flatten(e.ctx, e.Pool, "copy", nil))
	e.seal(copied)
	e.holds(copied, held)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "out", 0))
	e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrRefused)
	e.ok(e.Remover.Unseal(e.ctx, key))
	if e.info(key).Sealed {
		e.Error("it is still sealed")
	}
	e.ok(e.Remover.Remove(e.ctx, key, nil))
}

// A snapshot that the cloud had left stands on the base, too, and is named.
func lineageOfShallow(e *env) {
	base := e.create(e.Other, "base")
	e.write(base, 0, 64*kib)
	e.ok(e.Cloud.CloudSnapshot(e.Other, "base", "snap"))
	key, err := e.Cloud.CloudCloneShallow(e.Other, "base", "snap", e.Pool, "disk")
	e.ok(err)
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "of-the-cloud"))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	e.seal(key)
	for range 2 {
		if l := e.lineage(key); !slices.Equal(l.Others, []string{"of-the-cloud"}) || !l.Seal {
			e.Errorf("it is %+v", l)
		}
		e.ok(e.Ceph.FlattenImage(e.ctx, key, nil))
	}
}

// A second seal that holds something else, because somebody wrote after the
// first, says so. It goes with the seal.
func secondSealDiffers(e *env) {
	_, key, held := e.based(e.Cloud.CloudCloneShallow)
	_, _, err := e.Ceph.SealAgain(e.ctx, key, nil)
	e.is(err, quarantine.ErrConflict) // not flattened: it needs the base itself
	e.ok(e.Remover.Unseal(e.ctx, key))
	e.seal(key)
	e.ok(e.Cloud.CloudWrite(key, 11*mib, []byte("after the seal")))
	e.ok(e.Ceph.FlattenImage(e.ctx, key, nil))
	_, same, err := e.Ceph.SealAgain(e.ctx, key, nil)
	e.ok(err)
	if same {
		e.Error("seals of different bytes are the same")
	}
	e.holds(key, held)
	e.ok(e.Remover.Unseal(e.ctx, key))
	if e.info(key).Sealed {
		e.Error("it is still sealed")
	}
	_, _, err = e.Ceph.SealAgain(e.ctx, key, nil)
	e.is(err, quarantine.ErrNotFound)
}

// Strip takes both seals, as every snapshot.
func stripTakesBothSeals(e *env) {
	_, key, _ := e.based(e.Cloud.CloudCloneShallow)
	e.ok(e.Ceph.FlattenImage(e.ctx, key, nil))
	_, _, err := e.Ceph.SealAgain(e.ctx, key, nil)
	e.ok(err)
	e.ok(e.Remover.Strip(e.ctx, key))
	if e.info(key).Sealed {
		e.Error("it is still sealed")
	}
	e.reopen(key)
	e.ok(e.Remover.Remove(e.ctx, key, nil))
}

// A parent is found live under its name or another one, in the trash, or
// nowhere, and whether a snapshot of it was removed under its clones.
func whereabouts(e *env) {
	base, key, held := e.based(e.Cloud.CloudClone)
	look := func(name string, want quarantine.Whereabouts) {
		e.Helper()
		w, err := e.Ceph.Whereabouts(e.ctx, base, name)
		e.ok(err)
		if w != want {
			e.Errorf("it is at %+v, want %+v", w, want)
		}
	}
	look("base", quarantine.Whereabouts{Live: true, Name: "base"})
	look("other", quarantine.Whereabouts{Live: true, Name: "base"})
	e.ok(e.Cloud.CloudRemoveSnapshot(e.Other, "base", "snap"))
	look("base", quarantine.Whereabouts{Live: true, Name: "base", SnapshotRemoved: true})
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Other, "base", 0))
	look("base", quarantine.Whereabouts{InTrash: true, SnapshotRemoved: true})
	if l := e.lineage(key); l.Parent == nil || l.Parent.Key != base {
		e.Errorf("the clone is %+v", l)
	}
	e.holds(key, held)
	e.ok(e.Ceph.FlattenImage(e.ctx, key, nil))
	look("base", quarantine.Whereabouts{InTrash: true})
	e.ok(e.Remover.Remove(e.ctx, base, nil))
	look("base", quarantine.Whereabouts{})
	e.holds(key, held)
	_, err := e.Ceph.Whereabouts(e.ctx, quarantine.PoolRef{FSID: base.FSID, Pool: "no-such-pool"}.Key("0123456789ab"), "base")
	e.is(err, quarantine.ErrNotFound)
}
