package quarantine_test

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A disk that was evicted, whose time is over meanwhile, and for which there is room
// again, is not purged for its eviction, and without it it is one of the last
// of its kind, so it stays.
func TestEvictedLastOfKindStaysWhenThereIsRoom(t *testing.T) {
	w := newWorld(t)
	w.policy.use(quarantine.Decision{Rule: "r", Retain: 2 * day, KeepLast: quarantine.KeepLast{N: 2, By: quarantine.KeepByProject}})
	w.tight(1, 1)
	keys := w.of("a", 2)
	w.pass(2*day - time.Hour)
	w.collect()
	if got := w.states(keys); got != "eq" {
		t.Fatalf("states %s", got)
	}
	w.tight(9, 9) // room, and the disk's time is over before the next pass
	w.pass(grace)
	for range 3 {
		w.collect()
		w.pass(grace)
	}
	w.nothingRemoved()
	w.is(keys[0], quarantine.Quarantined)
}

// Whose data is in another pool frees nothing in this one.
func TestDataElsewhereIsNotEvicted(t *testing.T) {
	w := newWorld(t)
	w.room(quarantine.Watermarks{High: 0.5, Low: 0.3})
	w.ceph.SetCapacity(vms, 4*diskUsed)
	keys := w.of("a", 3)
	for _, k := range keys[:2] {
		d := w.disk(k)
		d.DataPool = "fast"
		if _, err := w.store.PutDisk(w.ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(quarantine.DefaultMinAge)
	w.collect()
	if got := w.states(keys); got != "qqe" {
		t.Errorf("states %s", got)
	}
	// Where it is what the quarantine takes that is bounded, they count as others.
	w.tight(1, 1)
	w.collect()
	if got := w.states(keys); got != "eqe" && got != "eeq" {
		t.Errorf("states %s", got)
	}
}

// name is no id, and a name of one domain is none of another.
func TestSharesAreTold(t *testing.T) {
	of := func(cloud string, p quarantine.Principal) string {
		return quarantine.ShareOf(&quarantine.Disk{Deletion: &quarantine.Deletion{Cloud: cloud, Project: p}})
	}
	all := []string{
		quarantine.ShareOf(&quarantine.Disk{}),
		of("os", quarantine.Principal{}), of("os", quarantine.Principal{ID: "7f"}), of("os", quarantine.Principal{Name: "7f"}),
		of("os", quarantine.Principal{Name: "7f", Domain: "d"}), of("os", quarantine.Principal{Name: "7f", Domain: "e"}),
		of("one", quarantine.Principal{ID: "7f"}), of("os", quarantine.Principal{ID: "name 7f"}),
	}
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s] {
			t.Errorf("%q is two shares: %q", s, all)
		}
		seen[s] = true
	}
	if a, b := of("os", quarantine.Principal{ID: "7f", Name: "a"}), of("os", quarantine.Principal{ID: "7f", Name: "b"}); a != b {
		t.Errorf("a new name makes a new share: %q, %q", a, b)
	}
}

// Of two pools on the same OSDs, both too full, the second does not evict what goes
// from the first already: that makes room for it, too. When all is gone neither is
// above its high watermark, and no more goes.
func TestPoolsOnTheSameOSDs(t *testing.T) {
	w := newWorld(t)
	marks := quarantine.Watermarks{High: 0.8, Low: 0.7}
	w.watermarks = map[quarantine.PoolRef]quarantine.Watermarks{{FSID: vms.FSID, Pool: vms.Pool}: marks, {FSID: vols.FSID, Pool: vols.Pool}: marks}
	w.restart()
	for _, pool := range []quarantine.PoolRef{vms, vols} {
		for range 45 {
			key := w.create(pool, "disk-"+pool.Pool+"-"+w.now().Format("150405"))
			w.remove(key)
			w.adopt(key)
			w.jump(time.Second)
		}
	}
	w.reconcile()
	// Room for a hundred on the OSDs; each pool can have what the other has not.
	const room = 100 * diskUsed
	free := func() {
		used := int64(0)
		for _, pool := range []quarantine.PoolRef{vms, vols} {
			u, err := w.ceph.Usage(w.ctx, pool)
			if err != nil {
				t.Fatal(err)
			}
			used += u.UsedBytes
		}
		for _, pool := range []quarantine.PoolRef{vms, vols} {
			u, _ := w.ceph.Usage(w.ctx, pool)
			w.ceph.SetCapacity(pool, u.UsedBytes+room-used)
		}
	}
	free()
	w.pass(quarantine.DefaultMinAge)
	w.collect()
	// The first goes down from 45/55 to 38.5/55; then the second has 45/62, and not
	// 45/55, of which it would evict as much again.
	if going := len(w.disks(quarantine.Expiring)); going != 7 {
		t.Errorf("%d are evicted", going)
	}
	w.pass(grace)
	for range 3 {
		w.collect()
		free()
		w.pass(time.Hour)
	}
	left := len(w.disks(quarantine.Quarantined))
	if left != 83 || len(w.disks(quarantine.Purged)) != 7 {
		t.Errorf("%d are left", left)
	}
	for _, pool := range []quarantine.PoolRef{vms, vols} {
		if u, err := w.ceph.Usage(w.ctx, pool); err != nil || u.Fill() > 0.8 {
			t.Errorf("pool %s is %.3f full, %v", pool.Pool, u.Fill(), err)
		}
	}
}

// A clock that is set back in the middle of a pass, and right again before the next,
// shortens no grace.
func TestEvictWhileTheClockGoesBack(t *testing.T) {
	w := newWorld(t)
	w.tight(1, 1)
	keys := w.of("a", 3)
	w.pass(quarantine.DefaultMinAge)
	back := false
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "Inspect" && !back {
			back = true
			w.jump(-5 * day)
		}
		return nil
	})
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	w.restart()
	w.jump(5 * day)
	w.pass(time.Hour)
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	w.nothingRemoved()
	if got := w.states(keys); got != "eeq" {
		t.Errorf("states %s", got)
	}
}
