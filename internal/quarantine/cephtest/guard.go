package cephtest

import (
	"time"

	"quarantine/internal/quarantine"
)

func (e *env) guard(p quarantine.PoolRef) quarantine.GuardSetting {
	e.Helper()
	s, err := e.Ceph.ReadGuard(e.ctx, p)
	e.ok(err)
	return s
}

// What is written is read, and off removes it. Twice is as once.
func guardOnAndOff(e *env) {
	on := quarantine.GuardSetting{On: true, Expire: 10 * 365 * day}
	off := quarantine.GuardSetting{}
	if got := e.guard(e.Pool); got != off {
		e.Errorf("a new pool's guard is %+v", got)
	}
	for _, s := range []quarantine.GuardSetting{off, on, on, {On: true, Expire: 90 * time.Minute}, {Expire: day}, off} {
		e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, s))
		want := s
		if !s.On {
			want = off
		}
		if got := e.guard(e.Pool); got != want {
			e.Errorf("after %+v was written the guard is %+v", s, got)
		}
		// It is the pool's, and so that of its namespaces.
		if got := e.guard(e.Namespace); got != want {
			e.Errorf("after %+v was written to the pool, the guard of its namespace is %+v", s, got)
		}
	}
	if got := e.guard(e.Other); got != off {
		e.Errorf("the other pool's guard is %+v", got)
	}
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Namespace, on))
	if got := e.guard(e.Pool); got != on {
		e.Errorf("after it was switched on for a namespace the pool's guard is %+v", got)
	}
}

// With the guard on, what the cloud removes is in the trash, protected, whole,
// and without a live name; in the pool's namespaces too. Off, it is gone.
func guardKeeps(e *env) {
	const expire = 30 * day
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, quarantine.GuardSetting{On: true, Expire: expire}))
	for _, p := range []quarantine.PoolRef{e.Pool, e.Namespace} {
		key := e.create(p, "disk")
		data := e.write(key, 0, 5*kib)
		snapped := e.create(p, "snapped")
		e.ok(e.Cloud.CloudSnapshot(p, "snapped", "of-the-cloud"))
		busy := e.create(p, "busy")
		stop, err := e.Cloud.CloudWatch(busy, "hypervisor")
		e.ok(err)
		first := e.since()
		for name, key := range map[string]quarantine.Key{"disk": key, "snapped": snapped, "busy": busy} {
			e.ok(e.Cloud.CloudRemove(p, name))
			entry := e.entry(key)
			if entry.Name != name {
				e.Errorf("%s is in the trash as %s", name, entry.Name)
			}
			e.between("the protection of "+name, entry.ProtectedUntil, first, expire)
			e.is(e.Remover.Remove(e.ctx, key, nil), quarantine.ErrRefused)
		}
		stop()
		e.seal(key)
		got, _ := e.sealed(key, size)
		e.same(got, content(size, map[int64][]byte{0: data}))
		if live := e.live(p); len(live) != 0 {
			e.Errorf("after the removals there is %v", live)
		}
	}
	unguarded := e.create(e.Other, "disk")
	e.ok(e.Cloud.CloudRemove(e.Other, "disk"))
	if e.inTrash(unguarded) {
		e.Error("without a guard a removed image is in the trash")
	}
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, quarantine.GuardSetting{}))
	bare := e.create(e.Pool, "disk")
	e.ok(e.Cloud.CloudRemove(e.Pool, "disk"))
	if e.inTrash(bare) {
		e.Error("with the guard off a removed image is in the trash")
	}
}

// While the guard works there is one canary, which comes back into the trash
// with the guard's protection each time, wherever a check that was cut short
// left it; no other image is touched.
func canaryUnderGuard(e *env) {
	const expire = 30 * day
	for _, p := range []quarantine.PoolRef{e.Pool, e.Namespace} {
		e.ok(e.Ceph.WriteGuard(e.ctx, p, quarantine.GuardSetting{On: true, Expire: expire}))
		disk, live := e.trashed(p, "disk", day), e.create(p, "live")
		check := func() quarantine.TrashEntry {
			e.Helper()
			first := e.since()
			entry, err := e.Ceph.Canary(e.ctx, p)
			e.ok(err)
			if entry.Name != quarantine.CanaryName || entry != e.entry(entry.Key) {
				e.Errorf("the canary is %+v, listed as %+v", entry, e.entry(entry.Key))
			}
			e.between("the canary's protection", entry.ProtectedUntil, first, expire)
			return entry
		}
		key := check().Key
		again := check().Key
		e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, quarantine.CanaryName))
		third := check().Key
		if again != key || third != key {
			e.Errorf("the canary was %s, then %s and %s", key, again, third)
		}
		if got := e.list(p); len(got) != 2 || got[disk.ImageID].Name != "disk" {
			e.Errorf("the trash has %v, want a disk and one canary", got)
		}
		if got := e.live(p); len(got) != 1 || got["live"] != live.ImageID {
			e.Errorf("the pool has %v, want one live image", got)
		}
	}
}

// Without the guard the canary is ErrNotFound: removed for good, and no trace
// of it is left. The next check makes a new one.
func canaryWithoutGuard(e *env) {
	for range 2 {
		_, err := e.Ceph.Canary(e.ctx, e.Pool)
		e.is(err, quarantine.ErrNotFound)
		if live, trash := e.live(e.Pool), e.list(e.Pool); len(live)+len(trash) != 0 {
			e.Errorf("after the canary's end there is %v, and in the trash %v", live, trash)
		}
	}
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, quarantine.GuardSetting{On: true, Expire: day}))
	first, err := e.Ceph.Canary(e.ctx, e.Pool)
	e.ok(err)
	// Switched off behind our back: the canary that was kept so far dies.
	e.ok(e.Ceph.WriteGuard(e.ctx, e.Pool, quarantine.GuardSetting{}))
	_, err = e.Ceph.Canary(e.ctx, e.Pool)
	e.is(err, quarantine.ErrNotFound)
	if e.inTrash(first.Key) {
		e.Error("the canary is in the trash")
	}
}
