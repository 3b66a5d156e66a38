package cephtest

import (
	"slices"

	"quarantine/internal/quarantine"
)

// A look shows what opening shows, and the snapshots in the order of their ids,
// of an image in the trash too. It makes nobody a watcher.
func lookLeavesNoTrace(e *env) {
	key := e.create(e.Pool, "disk")
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "disk", "before"))
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	e.with(key, func(img quarantine.Image) error { return img.WriteRecord(e.ctx, []byte("who I was")) })
	e.seal(key)
	got, err := e.Ceph.LookAt(e.ctx, key)
	e.ok(err)
	opened := e.info(key)
	if got.SizeBytes != size || string(got.Record) != "who I was" || !got.Sealed || !got.SealedAt.Equal(opened.SealedAt) || !slices.Equal(got.SealIDs, opened.SealIDs) {
		e.Errorf("a look shows %+v, opening %+v", got, opened)
	}
	if n := got.Snapshots; len(n) != 2 || n[0].Name != "before" || n[1].Name != quarantine.SealSnapshot || n[0].ID >= n[1].ID || n[1].ID != got.SealIDs[0] {
		e.Errorf("it shows the snapshots %+v", n)
	}
	in, err := e.Remover.Inspect(e.ctx, key)
	e.ok(err)
	if len(in.Dependents) != 0 {
		e.Errorf("after a look %v depend on the image", in.Dependents)
	}
	_, err = e.Ceph.LookAt(e.ctx, e.Pool.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
}
