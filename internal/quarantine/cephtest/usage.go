package cephtest

import (
	"errors"
	"time"

	"quarantine/internal/quarantine"
)

// usageWait is how long Ceph may take to count anew.
const usageWait = time.Minute

// What is written into a pool, or a namespace of it, is counted as one copy of it;
// what is removed is not counted any more.
func usageIsThePools(e *env) {
	const wrote = 8 * mib
	usage := func(p quarantine.PoolRef) quarantine.PoolUsage {
		u, err := e.Ceph.Usage(e.ctx, p)
		// A pool that was just made comes into the monitors' figures with the next report.
		for end := time.Now().Add(usageWait); errors.Is(err, quarantine.ErrNotFound) && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			u, err = e.Ceph.Usage(e.ctx, p)
		}
		e.ok(err)
		if u.UsedBytes < 0 || u.FreeBytes <= 0 || u.Fill() < 0 || u.Fill() > 1 {
			e.Fatalf("usage of %s is %+v", p, u)
		}
		return u
	}
	grown := func(what string, p quarantine.PoolRef, before int64, least, most int64) {
		e.Helper()
		for end := time.Now().Add(usageWait); ; time.Sleep(200 * time.Millisecond) {
			got := usage(p).UsedBytes - before
			if got >= least && got <= most {
				return
			}
			if time.Now().After(end) {
				e.Fatalf("%s: %s has %d bytes more than before, want %d to %d", what, p, got, least, most)
			}
		}
	}
	before := usage(e.Pool).UsedBytes
	key := e.create(e.Pool, "disk")
	e.write(key, 0, wrote)
	grown("written", e.Pool, before, wrote, wrote+mib)
	within := e.create(e.Namespace, "disk")
	e.write(within, 0, 4*mib)
	grown("written in a namespace", e.Pool, before, wrote+4*mib, wrote+5*mib)
	grown("asked by the namespace", e.Namespace, before, wrote+4*mib, wrote+5*mib)
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", 0))
	e.ok(e.Remover.Remove(e.ctx, key, nil))
	grown("removed", e.Pool, before, 4*mib, 5*mib)
}
