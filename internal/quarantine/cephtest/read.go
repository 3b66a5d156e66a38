package cephtest

import (
	"context"
	"errors"

	"quarantine/internal/quarantine"
)

// The bytes are those at the time of the seal, whatever was written later, and
// only what is allocated is read.
func readSealedBytes(e *env) {
	key := e.create(e.Pool, "disk")
	head := e.write(key, 0, 10*kib)
	tail := e.write(key, size-3*kib, 3*kib)
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "of-the-cloud"))
	middle := e.write(key, 5*mib+17, 5000)
	want := content(size, map[int64][]byte{0: head, size - 3*kib: tail, 5*mib + 17: middle})
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	e.seal(key)
	e.write(key, 20, 9*kib)
	got, _ := e.sealed(key, size)
	e.same(got, want)

	sparse, err := e.Cloud.CloudCreate(e.Pool, "sparse", 1<<40)
	e.ok(err)
	e.ok(e.Cloud.CloudWrite(sparse, 1<<39, head))
	e.seal(sparse)
	allocated := 0
	e.ok(e.Ceph.ReadSealed(e.ctx, sparse, func(offset int64, data []byte) error {
		got = append(got[:allocated], data...)
		if allocated == 0 && offset != 1<<39 {
			e.Errorf("the first extent is at %d", offset)
		}
		allocated += len(data)
		return nil
	}))
	if allocated < len(head) || allocated > 4*mib {
		e.Fatalf("%d bytes were read of an image with %d", allocated, len(head))
	}
	e.same(got[:len(head)], head)
	empty := e.create(e.Pool, "empty")
	e.seal(empty)
	if _, allocated := e.sealed(empty, size); allocated != 0 {
		e.Errorf("%d bytes were read of an empty image", allocated)
	}
}

// What a clone has of its parent belongs to its bytes, as far as it reaches.
func readSealedClone(e *env) {
	// An odd size: the last block is not full.
	const odd = size - 1000
	base, err := e.Cloud.CloudCreate(e.Other, "base", odd)
	e.ok(err)
	below := e.write(base, 0, 3*mib)
	last := e.write(base, odd-100, 100)
	e.ok(e.Cloud.CloudSnapshot(e.Other, "base", "snap"))
	e.ok(e.Cloud.CloudWrite(base, 0, make([]byte, 5*kib)))
	key, err := e.Cloud.CloudClone(e.Other, "base", "snap", e.Pool, "clone")
	e.ok(err)
	own := e.write(key, mib, 6000)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "clone", day))
	e.seal(key)
	e.write(key, 2*mib, 6000)
	want := content(odd, map[int64][]byte{0: below, odd - 100: last})
	copy(want[mib:], own)
	got, _ := e.sealed(key, odd)
	e.same(got, want)
}

var errEnough = errors.New("enough")

// Reading ends with the extent function's error, or with the context. Without
// a seal there is nothing to read.
func readSealedEnds(e *env) {
	key := e.create(e.Pool, "disk")
	e.write(key, 0, 5*kib)
	e.write(key, 9*mib, 5*kib)
	e.is(e.Ceph.ReadSealed(e.ctx, key, func(int64, []byte) error { return nil }), quarantine.ErrNotFound)
	e.seal(key)
	calls := 0
	e.is(e.Ceph.ReadSealed(e.ctx, key, func(int64, []byte) error { calls++; return errEnough }), errEnough)
	if calls != 1 {
		e.Errorf("extent was called %d times after it refused", calls)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	calls = 0
	err := e.Ceph.ReadSealed(ctx, key, func(int64, []byte) error { calls++; cancel(); return nil })
	e.is(err, context.Canceled)
	e.is(err, quarantine.ErrUnavailable)
	if calls != 1 {
		e.Errorf("extent was called %d times after the context ended", calls)
	}
	// A reader leaves nothing behind that is in the way of a removal.
	if deps := e.dependents(key); len(deps) != 0 {
		e.Errorf("after reading, %q depend on the image", deps)
	}
}

// Used counts what the image itself allocated, not its parent's.
func usedIsAllocated(e *env) {
	key := e.create(e.Pool, "disk")
	used := func(key quarantine.Key) int64 {
		e.Helper()
		n, err := e.Ceph.Used(e.ctx, key)
		e.ok(err)
		return n
	}
	if n := used(key); n != 0 {
		e.Errorf("an empty image uses %d bytes", n)
	}
	e.write(key, mib, mib)
	// Ceph may count a whole object of 4 MiB.
	if n := used(key); n < mib || n > 4*mib {
		e.Errorf("an image with 1 MiB written uses %d bytes", n)
	}
	e.seal(key)
	e.ok(e.Ceph.Clone(e.ctx, e.Pool, "disk", e.Pool, "clone"))
	clone := e.Pool.Key(e.live(e.Pool)["clone"])
	if n := used(clone); n != 0 {
		e.Errorf("a new clone uses %d bytes", n)
	}
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	if n := used(key); n < mib || n > 4*mib {
		e.Errorf("in the trash and sealed the image uses %d bytes", n)
	}
}
