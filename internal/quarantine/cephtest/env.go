package cephtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	// size is that of most images: three of RBD's objects.
	size = 12 * mib
	// day is a protection time that does not end during a test.
	day = 24 * time.Hour
)

// env is one test.
type env struct {
	*testing.T
	Backend
	ctx context.Context
}

// ok fails the test on an error.
func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// is fails the test unless err wraps want.
func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("got error %v, want one that is %q", err, want)
	}
}

// create makes a live image of the usual size.
func (e *env) create(p quarantine.PoolRef, name string) quarantine.Key {
	e.Helper()
	key, err := e.Cloud.CloudCreate(p, name, size)
	e.ok(err)
	return key
}

// trashed makes an image and moves it to the trash.
func (e *env) trashed(p quarantine.PoolRef, name string, protect time.Duration) quarantine.Key {
	e.Helper()
	key := e.create(p, name)
	e.ok(e.Ceph.MoveToTrash(e.ctx, p, name, protect))
	return key
}

// write lets the cloud write n random bytes, and returns them.
func (e *env) write(key quarantine.Key, offset int64, n int) []byte {
	e.Helper()
	r := rand.NewChaCha8([32]byte(slices.Concat([]byte(e.Name()), make([]byte, 32))[:32]))
	data := make([]byte, n)
	r.Read(data) // never fails
	e.ok(e.Cloud.CloudWrite(key, offset, data))
	return data
}

// info opens an image and closes it again.
func (e *env) info(key quarantine.Key) quarantine.ImageInfo {
	e.Helper()
	img, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	defer e.close(img)
	return img.Info()
}

func (e *env) close(img quarantine.Image) {
	e.Helper()
	if err := img.Close(); err != nil {
		e.Error(err)
	}
}

// with opens an image for act.
func (e *env) with(key quarantine.Key, act func(img quarantine.Image) error) {
	e.Helper()
	img, err := e.Ceph.OpenImage(e.ctx, key)
	e.ok(err)
	defer e.close(img)
	e.ok(act(img))
}

func (e *env) seal(key quarantine.Key) {
	e.Helper()
	e.with(key, func(img quarantine.Image) error { return img.Seal(e.ctx) })
}

// list returns the pool's trash by image id.
func (e *env) list(p quarantine.PoolRef) map[string]quarantine.TrashEntry {
	e.Helper()
	entries, err := quarantine.ListTrash(e.ctx, e.Ceph, p)
	e.ok(err)
	byID := map[string]quarantine.TrashEntry{}
	for _, entry := range entries {
		if entry.Key.PoolRef() != p {
			e.Errorf("entry %s is not of pool %s", entry.Key, p)
		}
		if _, twice := byID[entry.Key.ImageID]; twice {
			e.Errorf("image %s is listed twice", entry.Key.ImageID)
		}
		byID[entry.Key.ImageID] = entry
	}
	return byID
}

// entry returns the trash entry of an image.
func (e *env) entry(key quarantine.Key) quarantine.TrashEntry {
	e.Helper()
	entry, ok := e.list(key.PoolRef())[key.ImageID]
	if !ok {
		e.Fatalf("image %s is not in the trash", key)
	}
	return entry
}

func (e *env) inTrash(key quarantine.Key) bool {
	e.Helper()
	_, ok := e.list(key.PoolRef())[key.ImageID]
	return ok
}

// live returns all live images of the pool.
func (e *env) live(p quarantine.PoolRef) map[string]string {
	e.Helper()
	all, err := e.Ceph.LiveImages(e.ctx, p, "")
	e.ok(err)
	return all
}

// sealed reads the seal as a whole of n bytes, and checks its extents.
func (e *env) sealed(key quarantine.Key, n int64) (content []byte, allocated int64) {
	e.Helper()
	content = make([]byte, n)
	var end int64
	err := e.Ceph.ReadSealed(e.ctx, key, func(offset int64, data []byte) error {
		if offset < end || len(data) == 0 || offset+int64(len(data)) > n {
			e.Errorf("extent of %d bytes at %d after %d, in an image of %d", len(data), offset, end, n)
			return errExtent
		}
		copy(content[offset:], data)
		end = offset + int64(len(data))
		allocated += int64(len(data))
		return nil
	})
	e.ok(err)
	return content, allocated
}

var errExtent = errors.New("extents are not ascending ranges of the image")

// content puts data at its offsets into n zeros.
func content(n int64, data map[int64][]byte) []byte {
	all := make([]byte, n)
	for offset, d := range data {
		copy(all[offset:], d)
	}
	return all
}

// same fails the test unless two contents are the same.
func (e *env) same(got, want []byte) {
	e.Helper()
	if bytes.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			e.Fatalf("contents of %d and %d bytes differ from byte %d on", len(got), len(want), i)
		}
	}
	e.Fatalf("content has %d bytes, want %d", len(got), len(want))
}

// since is the earliest time in whole seconds that the trash can have stamped
// from now on.
func (e *env) since() time.Time { return e.Clock().Truncate(time.Second) }

// between fails the test unless at is from first to now.
func (e *env) between(what string, at, first time.Time, later time.Duration) {
	e.Helper()
	if at.Before(first.Add(later)) || at.After(e.Clock().Add(later)) {
		e.Errorf("%s is %s, want %s from %s to %s", what, at, later, first, e.Clock())
	}
}
