package cephtest

import (
	"time"

	"quarantine/internal/quarantine"
)

// Every entry is listed, by id and with its times; names need not be unique;
// a pool that never had a trash has none.
func trashListsEveryEntry(e *env) {
	if got := e.list(e.Pool); len(got) != 0 {
		e.Fatalf("a new pool's trash has %v", got)
	}
	live := e.create(e.Pool, "live")
	for _, key := range []quarantine.Key{live, e.Pool.Key("0123456789ab"), e.Pool.Key("")} {
		_, err := e.Ceph.FindInTrash(e.ctx, key)
		e.is(err, quarantine.ErrNotFound)
	}
	none, err := e.Ceph.FindSomeInTrash(e.ctx, e.Pool, []string{live.ImageID, "0123456789ab"})
	if e.ok(err); len(none) != 0 {
		e.Errorf("in a new pool's trash there are %v", none)
	}
	first := e.since()
	want := map[quarantine.Key]string{}
	for _, name := range []string{"twin", "twin", "vm-1_disk", "ünïcode name"} {
		want[e.trashed(e.Pool, name, day)] = name
	}
	got := e.list(e.Pool)
	if len(got) != len(want) {
		e.Errorf("%d entries are listed, want %d", len(got), len(want))
	}
	for key, name := range want {
		entry, ok := got[key.ImageID]
		if !ok {
			e.Errorf("%s (%s) is not listed", key, name)
			continue
		}
		if one, err := e.Ceph.FindInTrash(e.ctx, key); err != nil || one != entry {
			e.Errorf("%s is listed as %+v and found as %+v, %v", key, entry, one, err)
		}
		if entry.Name != name {
			e.Errorf("%s has the name %q, want %q", key, entry.Name, name)
		}
		some, err := e.Ceph.FindSomeInTrash(e.ctx, e.Pool, []string{"0123456789ab", key.ImageID, live.ImageID})
		if e.ok(err); len(some) != 1 || some[key.ImageID] != entry {
			e.Errorf("%s is listed as %+v, and found among others as %+v", key, entry, some)
		}
		e.between("the deletion of "+name, entry.DeletedAt, first, 0)
		e.between("the end of protection of "+name, entry.ProtectedUntil, first, day)
	}
}

// A live image is moved by name and loses nothing; what is not live is
// ErrNotFound; the protection may be none.
func trashMoves(e *env) {
	e.is(e.Ceph.MoveToTrash(e.ctx, e.Pool, "nothing", day), quarantine.ErrNotFound)
	key := e.create(e.Pool, "disk")
	data := e.write(key, 0, 64*kib)
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "of-the-cloud"))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	e.is(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day), quarantine.ErrNotFound)
	if live := e.live(e.Pool); len(live) != 0 {
		e.Errorf("after the move there is still %v", live)
	}
	e.seal(key)
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))

	first := e.since()
	bare := e.trashed(e.Pool, "bare", 0)
	e.between("the end of no protection", e.entry(bare).ProtectedUntil, first, 0)

	// An image that somebody has open is moved, too.
	busy := e.create(e.Pool, "busy")
	stop, err := e.Cloud.CloudWatch(busy, "hypervisor")
	e.ok(err)
	defer stop()
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "busy", day))
	e.entry(busy)
}

// An entry comes back by its id, under any name that is free. A refusal leaves
// it as it was.
func trashRestores(e *env) {
	key := e.trashed(e.Pool, "disk", day)
	twin := e.trashed(e.Pool, "disk", day)
	e.create(e.Pool, "taken")

	e.is(e.Ceph.RestoreFromTrash(e.ctx, e.Pool.Key("0123456789ab"), "new"), quarantine.ErrNotFound)
	before := e.entry(key)
	e.is(e.Ceph.RestoreFromTrash(e.ctx, key, "taken"), quarantine.ErrExists)
	if after := e.entry(key); after != before {
		e.Errorf("a refused restore changed the entry from %v to %v", before, after)
	}
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, twin, "disk"))
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, "under another name"))
	live := e.live(e.Pool)
	if live["disk"] != twin.ImageID || live["under another name"] != key.ImageID {
		e.Errorf("after the restores there is %v, want disk as %s, under another name as %s", live, twin.ImageID, key.ImageID)
	}
	if got := e.list(e.Pool); len(got) != 0 {
		e.Errorf("after the restores the trash still has %v", got)
	}
	e.is(e.Ceph.RestoreFromTrash(e.ctx, key, "again"), quarantine.ErrNotFound) // it is live
	_, err := e.Ceph.FindInTrash(e.ctx, key)
	e.is(err, quarantine.ErrNotFound)

	// In again, with another protection: the id stays.
	first := e.since()
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "under another name", 2*day))
	entry := e.entry(key)
	if entry.Name != "under another name" {
		e.Errorf("the entry bears the name %q", entry.Name)
	}
	e.between("the new end of protection", entry.ProtectedUntil, first, 2*day)

	// The trash counts whole seconds.
	short := e.trashed(e.Pool, "short", 1500*time.Millisecond)
	if got := e.entry(short); got.ProtectedUntil.After(got.DeletedAt.Add(3 * time.Second)) {
		e.Errorf("a protection of 1.5 s from %s ends at %s", got.DeletedAt, got.ProtectedUntil)
	}
}
