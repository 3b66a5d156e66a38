package cephtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// An image is opened by its id, live or in the trash; an id that no image has
// is ErrNotFound.
func imagesOpenByID(e *env) {
	live := e.create(e.Pool, "live")
	trashed := e.trashed(e.Pool, "trashed", day)
	for _, key := range []quarantine.Key{live, trashed} {
		info := e.info(key)
		if info.SizeBytes != size || info.Sealed || !info.SealedAt.IsZero() || info.Record != nil {
			e.Errorf("a new image of %d bytes is opened as %+v", size, info)
		}
	}
	for _, id := range []string{"0123456789ab", "live"} {
		_, err := e.Ceph.OpenImage(e.ctx, e.Pool.Key(id))
		e.is(err, quarantine.ErrNotFound)
	}
	// One that was removed is not found any more, by nothing.
	e.ok(e.Cloud.CloudTrash(e.Pool, "live", 0))
	e.ok(e.Cloud.CloudForceRemove(live))
	_, err := e.Ceph.OpenImage(e.ctx, live)
	e.is(err, quarantine.ErrNotFound)
	_, err = e.Ceph.Used(e.ctx, live)
	e.is(err, quarantine.ErrNotFound)
	e.is(e.Ceph.ReadSealed(e.ctx, live, func(int64, []byte) error { return nil }), quarantine.ErrNotFound)
}

// A record is kept byte for byte, replaced, and goes with the image through
// the trash. Info is what was read at the opening.
func imagesKeepRecords(e *env) {
	key := e.create(e.Pool, "disk")
	for _, n := range []int{1, 3000, 4095, 4096, 4097, 16 * kib} {
		record := []byte(fmt.Sprintf(`{"n":%d,"pad":"%s ü"}`, n, strings.Repeat("x", n)))
		e.with(key, func(img quarantine.Image) error {
			before := img.Info().Record
			if err := img.WriteRecord(e.ctx, record); err != nil {
				return err
			}
			if after := img.Info().Record; !bytes.Equal(after, before) {
				e.Errorf("Info changed with the writing of a record")
			}
			return nil
		})
		if got := e.info(key).Record; !bytes.Equal(got, record) {
			e.Errorf("a record of %d bytes comes back with %d", len(record), len(got))
		}
	}
	last := e.info(key).Record
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "disk", day))
	if got := e.info(key).Record; !bytes.Equal(got, last) {
		e.Errorf("in the trash the record has %d bytes, want %d", len(got), len(last))
	}
	e.with(key, func(img quarantine.Image) error { return img.WriteRecord(e.ctx, []byte(`{"in":"trash"}`)) })
	e.seal(key)
	e.ok(e.Ceph.RestoreFromTrash(e.ctx, key, "disk"))
	if got := e.info(key).Record; string(got) != `{"in":"trash"}` {
		e.Errorf("after the trash the record is %q", got)
	}
}

// The seal is taken once: a second one, by the same handle, by another that
// was opened before or by a later one, is success and leaves the first.
func imagesAreSealedOnce(e *env) {
	key := e.trashed(e.Pool, "disk", day)
	data := e.write(key, mib, 8*kib)
	first, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	second, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	since := e.since()
	e.ok(first.Seal(e.ctx))
	e.ok(first.Seal(e.ctx))
	sealedAt := e.info(key).SealedAt
	e.between("the seal", sealedAt, since, 0)
	if first.Info().SizeBytes != size {
		e.Errorf("size is %d", first.Info().SizeBytes)
	}
	e.write(key, mib, 4*kib+1) // a writer that goes on
	e.ok(e.Cloud.CloudWrite(key, 9*mib, []byte("later")))
	e.ok(second.Seal(e.ctx))
	e.close(first)
	e.close(second)
	e.seal(key)
	if info := e.info(key); !info.Sealed || !info.SealedAt.Equal(sealedAt) {
		e.Errorf("an image sealed at %s says %v, %s", sealedAt, info.Sealed, info.SealedAt)
	}
	got, _ := e.sealed(key, size)
	e.same(got, content(size, map[int64][]byte{mib: data}))
	// A snapshot of another name is no seal.
	e.create(e.Pool, "other")
	e.ok(e.Cloud.CloudSnapshot(e.Pool, "other", quarantine.SealSnapshot+"-not"))
	if e.info(e.Pool.Key(e.live(e.Pool)["other"])).Sealed {
		e.Error("an image with a snapshot of another name counts as sealed")
	}
}

// The live images with a prefix are found, with their ids, and no others.
func liveImagesByPrefix(e *env) {
	if got := e.live(e.Pool); len(got) != 0 {
		e.Errorf("a new pool has %v", got)
	}
	ids := map[string]string{}
	for _, name := range []string{"u_disk", "u_disk.eph0", "u", "v_disk", "quarantine.1", "zz"} {
		ids[name] = e.create(e.Pool, name).ImageID
	}
	e.ok(e.Ceph.MoveToTrash(e.ctx, e.Pool, "zz", day))
	delete(ids, "zz")
	for prefix, names := range map[string][]string{
		"":            {"quarantine.1", "u", "u_disk", "u_disk.eph0", "v_disk"},
		"u":           {"u", "u_disk", "u_disk.eph0"},
		"u_disk":      {"u_disk", "u_disk.eph0"},
		"quarantine.": {"quarantine.1"},
		"zz":          {},
		"disk":        {},
	} {
		got, err := e.Ceph.LiveImages(e.ctx, e.Pool, prefix)
		e.ok(err)
		if g := slices.Sorted(maps.Keys(got)); !slices.Equal(g, names) {
			e.Errorf("prefix %q finds %q, want %q", prefix, g, names)
		}
		for name, id := range got {
			if id != ids[name] {
				e.Errorf("%s has id %s, want %s", name, id, ids[name])
			}
		}
	}
}
