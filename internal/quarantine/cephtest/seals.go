package cephtest

import (
	"slices"

	"quarantine/internal/quarantine"
)

// The seal's id is known to the handle that took it, to those that open the
// image later, and without opening it for writing.
func sealsHaveIDs(e *env) {
	key := e.trashed(e.Pool, "disk", day)
	look := func() []uint64 {
		e.Helper()
		ids, err := e.Ceph.SealsOf(e.ctx, key)
		e.ok(err)
		return ids.IDs
	}
	if ids := look(); len(ids) != 0 {
		e.Errorf("an image without a seal has %v", ids)
	}
	var id []uint64
	e.with(key, func(img quarantine.Image) error {
		if ids := img.Info().SealIDs; len(ids) != 0 {
			e.Errorf("an image without a seal is opened with %v", ids)
		}
		err := img.Seal(e.ctx)
		id = img.Info().SealIDs
		return err
	})
	if len(id) != 1 || id[0] == 0 || !slices.Equal(look(), id) || !slices.Equal(e.info(key).SealIDs, id) {
		e.Errorf("the seal is %v to who took it, %v to who asks, and %v to who opens", id, look(), e.info(key).SealIDs)
	}
	pair, _, err := e.Ceph.SealAgain(e.ctx, key, nil)
	e.ok(err)
	if both := []uint64{pair.First, pair.Second}; !slices.Equal(look(), both) || pair.First != id[0] {
		e.Errorf("after a second seal %v the image has %v, want %v", id, look(), both)
	}
	e.ok(e.Remover.RemoveFirstSeal(e.ctx, key, pair))
	if ids := look(); !slices.Equal(ids, []uint64{pair.Second}) {
		e.Errorf("without its first seal %d the image has %v", pair.First, ids)
	}
	_, err = e.Ceph.SealsOf(e.ctx, e.Pool.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
}

// A snapshot that is removed is told of once, by pool and id, also one of a
// namespace; one that is taken is not.
func removedSnapshotsAreTold(e *env) {
	told := func(since uint64) quarantine.RemovedSnapshots {
		e.Helper()
		r, err := e.Ceph.RemovedSnapshots(e.ctx, e.Pool.FSID, since)
		e.ok(err)
		if r.Gap || r.Epoch < since {
			e.Fatalf("since epoch %d it is told %+v", since, r)
		}
		return r
	}
	start := told(0)
	if len(start.Snapshots) != 0 || start.Epoch == 0 {
		e.Errorf("from nowhere it is told %+v", start)
	}
	var want []quarantine.SealRef
	for _, p := range []quarantine.PoolRef{e.Pool, e.Namespace} {
		key := e.trashed(p, "disk", day)
		e.seal(key)
		id := e.info(key).SealIDs[0]
		ref := quarantine.SealRef{FSID: p.FSID, Pool: p.Pool, ID: id}
		if slices.Contains(told(start.Epoch).Snapshots, ref) {
			e.Errorf("a seal that stands is told as removed")
		}
		e.ok(e.Remover.Unseal(e.ctx, key))
		want = append(want, ref)
	}
	after := told(start.Epoch)
	for _, ref := range want {
		if n := len(slices.DeleteFunc(slices.Clone(after.Snapshots), func(s quarantine.SealRef) bool { return s != ref })); n != 1 {
			e.Errorf("the seal %+v is told %d times among %+v", ref, n, after.Snapshots)
		}
	}
	for _, s := range told(after.Epoch).Snapshots {
		if slices.Contains(want, s) {
			e.Errorf("%+v is told again", s)
		}
	}
	if r, err := e.Ceph.RemovedSnapshots(e.ctx, e.Pool.FSID, after.Epoch+1_000_000); err != nil || !r.Gap {
		e.Errorf("since an epoch to come: %+v, %v, want a gap", r, err)
	}
	_, err := e.Ceph.RemovedSnapshots(e.ctx, "no-such-cluster", 0)
	e.is(err, quarantine.ErrUnavailable)
}
