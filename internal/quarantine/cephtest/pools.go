package cephtest

import (
	"context"
	"errors"
	"slices"

	"quarantine/internal/quarantine"
)

// The same names in two pools and a namespace are different images, and each
// pool's listings have its own.
func poolsAreApart(e *env) {
	places := []quarantine.PoolRef{e.Pool, e.Other, e.Namespace}
	var trashed, live []quarantine.Key
	for _, p := range places {
		trashed = append(trashed, e.trashed(p, "disk", day))
		live = append(live, e.create(p, "disk"))
		if !slices.ContainsFunc(e.Ceph.Pools(), func(q quarantine.Pool) bool { return q.PoolRef == p && q.Cluster != "" }) {
			e.Errorf("%s is not among the pools %v", p, e.Ceph.Pools())
		}
	}
	for i, p := range places {
		if got := e.list(p); len(got) != 1 || got[trashed[i].ImageID].Key != trashed[i] {
			e.Errorf("the trash of %s has %v, want %s", p, got, trashed[i])
		}
		if got := e.live(p); len(got) != 1 || got["disk"] != live[i].ImageID {
			e.Errorf("%s has %v, want %s", p, got, live[i])
		}
		elsewhere := places[(i+1)%len(places)].Key(trashed[i].ImageID)
		_, err := e.Ceph.OpenImage(e.ctx, elsewhere)
		e.is(err, quarantine.ErrNotFound)
		e.is(e.Ceph.RestoreFromTrash(e.ctx, elsewhere, "new"), quarantine.ErrNotFound)
	}
}

// A disk's whole life can be in a namespace.
func namespaceIsAPool(e *env) {
	p := e.Namespace
	e.ok(e.Ceph.WriteGuard(e.ctx, p, quarantine.GuardSetting{On: true, Expire: day}))
	key := e.create(p, "disk")
	data := e.write(key, 0, 5*kib)
	e.ok(e.Cloud.CloudRemove(p, "disk"))
	e.with(key, func(img quarantine.Image) error { return img.WriteRecord(e.ctx, []byte("{}")) })
	e.seal(key)
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, key.ReservedName()))
	e.ok(e.Ceph.Clone(e.ctx, p, key.ReservedName(), p, "clone"))
	e.ok(e.Ceph.MoveToTrash(e.ctx, p, key.ReservedName(), day))
	e.ok(e.Ceph.Flatten(e.ctx, p, "clone", nil))
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{0: data}))
	e.ok(e.Remover.Unseal(e.ctx, key))
	e.reopen(key)
	e.ok(e.Remover.Remove(e.ctx, key, nil))
	if got := e.list(p); len(got) != 0 {
		e.Errorf("the trash has %v", got)
	}
}

// verbs calls each method once, with a key of the pool.
func (e *env) verbs(ctx context.Context, p quarantine.PoolRef, id, name string) map[string]error {
	key := p.Key(id)
	errs := map[string]error{}
	_, errs["EachTrash"] = quarantine.ListTrash(ctx, e.Ceph, p)
	errs["MoveToTrash"] = e.Ceph.MoveToTrash(ctx, p, name, day)
	errs["RestoreFromTrash"] = e.Ceph.RestoreFromTrash(ctx, key, name+"-restored")
	if img, err := e.Ceph.OpenImage(ctx, key); err != nil {
		errs["OpenImage"] = err
	} else {
		e.close(img)
		errs["OpenImage"] = nil
	}
	_, errs["LiveImages"] = e.Ceph.LiveImages(ctx, p, "")
	errs["Clone"] = e.Ceph.Clone(ctx, p, name, p, name+"-clone")
	errs["Flatten"] = e.Ceph.Flatten(ctx, p, name, nil)
	errs["ReadSealed"] = e.Ceph.ReadSealed(ctx, key, func(int64, []byte) error { return nil })
	_, errs["Used"] = e.Ceph.Used(ctx, key)
	_, errs["ReadGuard"] = e.Ceph.ReadGuard(ctx, p)
	errs["WriteGuard"] = e.Ceph.WriteGuard(ctx, p, quarantine.GuardSetting{On: true, Expire: day})
	_, errs["Usage"] = e.Ceph.Usage(ctx, p)
	_, errs["Canary"] = e.Ceph.Canary(ctx, p)
	_, errs["Inspect"] = e.Remover.Inspect(ctx, key)
	_, errs["OpenForRemoval"] = e.Remover.OpenForRemoval(ctx, key)
	_, errs["HasImage"] = e.Ceph.HasImage(ctx, key)
	errs["Unseal"] = e.Remover.Unseal(ctx, key)
	errs["Strip"] = e.Remover.Strip(ctx, key)
	errs["Remove"] = e.Remover.Remove(ctx, key, nil)
	return errs
}

// A pool that does not exist is ErrNotFound: an empty listing would be a lie, and a
// purge of nothing a false success. A cluster that is not configured is ErrUnavailable:
// it may well have the image that was asked for.
func unknownPool(e *env) {
	nowhere := e.Pool
	nowhere.Pool += "-not"
	stranger := e.Pool
	stranger.FSID = "00000000-0000-4000-8000-000000000000"
	for p, want := range map[quarantine.PoolRef]error{nowhere: quarantine.ErrNotFound, stranger: quarantine.ErrUnavailable} {
		for verb, err := range e.verbs(e.ctx, p, "0123456789ab", "disk") {
			if err == nil {
				e.Errorf("%s of a pool that does not exist succeeds", verb)
				continue
			}
			e.is(err, want)
			if errors.Is(err, quarantine.ErrNotFound) != (p == nowhere) {
				e.Errorf("%s: %v", verb, err)
			}
		}
	}
	// As the destination of a clone.
	src := e.create(e.Pool, "disk")
	e.seal(src)
	e.is(e.Ceph.Clone(e.ctx, e.Pool, "disk", nowhere, "clone"), quarantine.ErrNotFound)
}

// With a context that has ended, nothing is done, and the error says both that
// and that nothing may be concluded.
func endedContext(e *env) {
	key := e.create(e.Pool, "disk")
	e.seal(key)
	trashed := e.trashed(e.Pool, "trashed", 0)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	for _, k := range []quarantine.Key{key, trashed} {
		for verb, err := range e.verbs(ctx, e.Pool, k.ImageID, "disk") {
			if err == nil {
				e.Errorf("%s succeeds", verb)
				continue
			}
			e.is(err, context.Canceled)
			e.is(err, quarantine.ErrUnavailable)
		}
	}
	img, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	e.is(img.WriteRecord(ctx, []byte("{}")), context.Canceled)
	e.close(img)
	if got := e.info(key); got.Record != nil || !got.Sealed {
		e.Errorf("the image is %+v", got)
	}
	if got := e.list(e.Pool); len(got) != 1 || got[trashed.ImageID].Key != trashed {
		e.Errorf("the trash has %v", got)
	}
	if got := e.live(e.Pool); len(got) != 1 {
		e.Errorf("the pool has %v", got)
	}
	if got := e.guard(e.Pool); got.On {
		e.Error("the guard is on")
	}
}

// Health is that of the cluster asked for.
func healthPerCluster(e *env) {
	h, err := e.Ceph.Health(e.ctx, e.Pool.FSID)
	e.ok(err)
	if !slices.Contains([]string{"HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR"}, h.Status) {
		e.Errorf("health is %+v", h)
	}
	_, err = e.Ceph.Health(e.ctx, "00000000-0000-4000-8000-000000000000")
	e.is(err, quarantine.ErrUnavailable)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = e.Ceph.Health(ctx, e.Pool.FSID)
	e.is(err, context.Canceled)
	e.is(err, quarantine.ErrUnavailable)
}

// Load is that of the cluster asked for, and says what its latency is of.
func loadPerCluster(e *env) {
	l, err := e.Ceph.Load(e.ctx, e.Pool.FSID)
	e.ok(err)
	if l.Latency < 0 || l.Of == "" || l.Recovering != "" {
		e.Errorf("the load of a cluster at rest is %+v", l)
	}
	_, err = e.Ceph.Load(e.ctx, "00000000-0000-4000-8000-000000000000")
	e.is(err, quarantine.ErrUnavailable)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = e.Ceph.Load(ctx, e.Pool.FSID)
	e.is(err, quarantine.ErrUnavailable)
}

// A call goes to the cluster that the key or the pool names, even where both
// have a pool of the same name.
func clustersAreRouted(e *env) {
	places := []quarantine.PoolRef{e.Pool, e.Far}
	if e.Pool.FSID == e.Far.FSID {
		e.Fatal("there is one cluster only")
	}
	for i, p := range places {
		if !slices.ContainsFunc(e.Ceph.Pools(), func(q quarantine.Pool) bool { return q.PoolRef == p }) {
			e.Errorf("%s is not among the pools %v", p, e.Ceph.Pools())
		}
		e.ok(e.Ceph.WriteGuard(e.ctx, p, quarantine.GuardSetting{On: i == 0, Expire: day}))
		_, err := e.Ceph.Health(e.ctx, p.FSID)
		e.ok(err)
	}
	near, far := e.trashed(e.Pool, "disk", day), e.trashed(e.Far, "disk", day)
	for i, p := range places {
		if got := e.guard(p); got.On != (i == 0) {
			e.Errorf("the guard of %s in cluster %s is %+v", p, p.FSID, got)
		}
		want := []quarantine.Key{near, far}[i]
		if got := e.list(p); len(got) != 1 || got[want.ImageID].Key != want {
			e.Errorf("the trash of cluster %s has %v, want %s", p.FSID, got, want)
		}
	}
	wrong := e.Far
	wrong.FSID = e.Pool.FSID
	if wrong != e.Pool {
		e.is(e.Ceph.RestoreFromTrash(e.ctx, wrong.Key(far.ImageID), "new"), quarantine.ErrNotFound)
	}
	// Clones do not cross clusters.
	e.seal(near)
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, near, "disk"))
	if err := e.Ceph.Clone(e.ctx, e.Pool, "disk", e.Far, "clone"); err == nil {
		e.Error("a clone crossed clusters")
	}
}
