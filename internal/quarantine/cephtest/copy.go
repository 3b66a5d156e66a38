package cephtest

import (
	"bytes"

	"quarantine/internal/quarantine"
)

// A new image is empty, of its size, live and without a parent; its name is
// taken from then on.
func createsImages(e *env) {
	const odd = size - 1000
	e.ok(e.Ceph.CreateImage(e.ctx, e.Other, "new", odd))
	e.is(e.Ceph.CreateImage(e.ctx, e.Other, "new", odd), quarantine.ErrExists)
	id, ok := e.live(e.Other)["new"]
	if !ok {
		e.Fatal("it is not live under its name")
	}
	if i := e.info(e.Other.Key(id)); i.SizeBytes != odd || i.Parent != nil || i.Sealed || i.Record != nil {
		e.Errorf("it is %+v", i)
	}
}

// A name that a client took which died before there was an image is listed, opens
// nothing, and is the next create's.
func createsCutShort(e *env) {
	key, err := e.Cloud.CloudCreateCut(e.Other, "cut")
	e.ok(err)
	if got := e.live(e.Other)["cut"]; got != key.ImageID {
		e.Errorf("listed is %q, want %q", got, key.ImageID)
	}
	if there, err := e.Ceph.HasImage(e.ctx, key); err != nil || there {
		e.Errorf("there is such an image: %v, %v", there, err)
	}
	_, err = e.Ceph.OpenImage(e.ctx, key)
	e.is(err, quarantine.ErrNotFound)
	_, err = e.Ceph.LookAt(e.ctx, key)
	e.is(err, quarantine.ErrNotFound)
	if _, err := e.Cloud.CloudCreate(e.Other, "cut", size); err == nil {
		e.Error("another client made an image of that name")
	}
	e.ok(e.Ceph.CreateImage(e.ctx, e.Other, "cut", size))
	id := e.live(e.Other)["cut"]
	if id == "" || id == key.ImageID {
		e.Errorf("then listed is %q, first it was %q", id, key.ImageID)
	}
	e.info(e.Other.Key(id))
	e.is(e.Ceph.CreateImage(e.ctx, e.Other, "cut", size), quarantine.ErrExists)
}

// Such a name can be freed, and only such.
func freesNames(e *env) {
	key, err := e.Cloud.CloudCreateCut(e.Other, "cut")
	e.ok(err)
	whole := e.create(e.Other, "whole")
	e.is(e.Remover.FreeName(e.ctx, whole, "whole"), quarantine.ErrConflict)
	e.is(e.Remover.FreeName(e.ctx, whole, "cut"), quarantine.ErrConflict)
	e.is(e.Remover.FreeName(e.ctx, key, "whole"), quarantine.ErrConflict)
	e.is(e.Remover.FreeName(e.ctx, key, "other"), quarantine.ErrConflict)
	e.ok(e.Remover.FreeName(e.ctx, key, "cut"))
	e.is(e.Remover.FreeName(e.ctx, key, "cut"), quarantine.ErrConflict)
	if got := e.live(e.Other); len(got) != 1 || got["whole"] != whole.ImageID {
		e.Errorf("left is %v", got)
	}
	e.create(e.Other, "cut")
}

// What is written is read back from the head, the mark stays, and where nothing
// was written there is nothing. A seal keeps what it saw.
func copiesAreFilled(e *env) {
	e.ok(e.Ceph.CreateImage(e.ctx, e.Other, "copy", size))
	key := e.Other.Key(e.live(e.Other)["copy"])
	first, last := bytes.Repeat([]byte{7}, 8*kib), bytes.Repeat([]byte{9}, 4*kib)
	t, err := e.Ceph.OpenCopy(e.ctx, key)
	e.ok(err)
	if t.Mark() != nil || t.SizeBytes() != size {
		e.Errorf("new, it has the mark %q and %d bytes", t.Mark(), t.SizeBytes())
	}
	e.ok(t.Write(e.ctx, 4*mib, first))
	e.ok(t.KeepMark(e.ctx, []byte("half")))
	e.ok(t.Close())
	t, err = e.Ceph.OpenCopy(e.ctx, key)
	e.ok(err)
	if string(t.Mark()) != "half" {
		e.Errorf("its mark is %q", t.Mark())
	}
	e.ok(t.Write(e.ctx, size-4*kib, last))
	e.ok(t.Close())
	if err := t.Write(e.ctx, size, last); err == nil {
		e.Error("it was written to beyond its end, and closed")
	}
	want := content(size, map[int64][]byte{4 * mib: first, size - 4*kib: last})
	got, allocated := make([]byte, size), 0
	e.ok(e.Ceph.ReadHead(e.ctx, key, func(offset int64, data []byte) error {
		allocated += len(data)
		copy(got[offset:], data)
		return nil
	}))
	e.same(got, want)
	if allocated > 8*mib {
		e.Errorf("%d bytes are allocated", allocated)
	}
	e.seal(key)
	e.write(key, 0, 4*kib)
	sealed, _ := e.sealed(key, size)
	e.same(sealed, want)

	_, err = e.Ceph.OpenCopy(e.ctx, e.Other.Key("0123456789ab"))
	e.is(err, quarantine.ErrNotFound)
	e.is(e.Ceph.ReadHead(e.ctx, e.Other.Key("0123456789ab"), func(int64, []byte) error { return nil }), quarantine.ErrNotFound)
}

// Reading from an offset on gives every byte that is behind it.
func readsFromAnOffset(e *env) {
	key := e.create(e.Pool, "disk")
	e.write(key, 0, 3*mib)
	tail := e.write(key, 9*mib, mib)
	e.seal(key)
	want := content(size, map[int64][]byte{9 * mib: tail})[5*mib:]
	got := make([]byte, size)
	e.ok(e.Ceph.ReadSealedFrom(e.ctx, key, 5*mib, func(offset int64, data []byte) error {
		if offset+int64(len(data)) <= 5*mib {
			e.Errorf("%d bytes at %d were read", len(data), offset)
		}
		copy(got[offset:], data)
		return nil
	}))
	e.same(got[5*mib:], want)
}
