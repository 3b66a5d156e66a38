package cloudtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// Backend is one cloud with its pools.
type Backend struct {
	Cloud quarantine.CloudWriter
	// Volumes and Images are the pools that the cloud must name.
	Volumes, Images quarantine.PoolRef
	// Make puts a live image of the content, which is whole MiB, into a pool.
	Make func(t *testing.T, p quarantine.PoolRef, name string, content []byte) quarantine.Key
	// Protect takes the protected snapshot of an image that is to be adopted.
	Protect quarantine.Snapshotter
	// Live finds the live names of a pool.
	Live quarantine.Images
	// Content reads an image in a pool; Image what the cloud gives for an image
	// of it, by its id.
	Content func(t *testing.T, key quarantine.Key) []byte
	Image   func(t *testing.T, id string) []byte
	// Exists reports whether the cloud has the resource, asked otherwise than
	// through Cloud.
	Exists func(t *testing.T, m quarantine.Made) bool
	// Project is one that the cloud's key may act in, Network one of its
	// networks. Bootable is the content of a disk that boots; random bytes where
	// it is nil.
	Project, Network string
	Bootable         []byte
	// NoLocations: the image service takes no locations.
	NoLocations bool
	// VolumeKind is what the cloud calls a volume; ResourceVolume if empty.
	VolumeKind quarantine.ResourceKind
	// NoVolume is the well-formed id of a volume that the cloud has not; a UUID
	// if empty.
	NoVolume string
}

// Size is that of the images, where the content does not matter.
const Size = 4 << 20

// env is one test.
type env struct {
	*testing.T
	Backend
	ctx context.Context
}

// Run checks a cloud. open is called once for each test; the tests run one
// after the other, because a small cloud cannot do more.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for _, c := range []struct {
		name  string
		check func(*env)
	}{
		{"Pools", pools},
		{"AdoptVolume", adoptVolume},
		{"AdoptVolumeRefused", adoptVolumeRefused},
		{"AdoptImage", adoptImage},
		{"UploadImage", uploadImage},
		{"UploadImageFails", uploadImageFails},
		{"BootServer", bootServer},
		{"BootServerFails", bootServerFails},
		{"EndedContext", endedContext},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{T: t, Backend: open(t), ctx: t.Context()}
			e.VolumeKind = cmp.Or(e.VolumeKind, quarantine.ResourceVolume)
			e.NoVolume = cmp.Or(e.NoVolume, "00000000-0000-4000-8000-000000000001")
			c.check(e)
		})
	}
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("got error %v, want one that is %q", err, want)
	}
}

// random is content that no two tests share.
func (e *env) random() []byte {
	b := make([]byte, Size)
	seed := [32]byte{}
	copy(seed[:], e.Name())
	rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

// source is the name of an image as a restore makes it.
func (e *env) source() string {
	return fmt.Sprintf("%s%x", quarantine.RestorePrefix, rand.Uint64())
}

// volume makes a volume of the content.
func (e *env) volume(content []byte, bootable bool) (quarantine.Made, quarantine.Key) {
	e.Helper()
	name := e.source()
	key := e.Make(e.T, e.Volumes, name, content)
	m, err := e.Cloud.AdoptVolume(e.ctx, quarantine.VolumeOrder{Source: name, SizeBytes: int64(len(content)), Name: "restored", Project: e.Project, Bootable: bootable, Metadata: map[string]string{"quarantine_disk": "x"}})
	e.ok(err)
	e.Cleanup(func() {
		if err := e.Cloud.Discard(context.WithoutCancel(e.ctx), m); err != nil {
			e.Errorf("discard the volume: %v", err)
		}
	})
	return m, key
}

// named returns the image id under the live name, or "".
func (e *env) named(p quarantine.PoolRef, name string) string {
	e.Helper()
	live, err := e.Live.LiveImages(e.ctx, p, name)
	e.ok(err)
	return live[name]
}

func (e *env) same(got, want []byte) {
	e.Helper()
	if !bytes.Equal(got, want) {
		e.Errorf("%d bytes, not the %d that it was made of", len(got), len(want))
	}
}

// The cloud names its pools, and refuses a volume type that it does not have.
func pools(e *env) {
	got, err := e.Cloud.VolumePool(e.ctx, "")
	e.ok(err)
	if got != e.Volumes {
		e.Errorf("volumes are in %v, want %v", got, e.Volumes)
	}
	got, err = e.Cloud.ImagePool(e.ctx)
	e.ok(err)
	if got != e.Images {
		e.Errorf("images are in %v, want %v", got, e.Images)
	}
	_, err = e.Cloud.VolumePool(e.ctx, "no such type")
	e.is(err, quarantine.ErrNotFound)
}

// A volume is the image itself, under another name; Discard deletes it.
func adoptVolume(e *env) {
	content, name := e.random(), e.source()
	key := e.Make(e.T, e.Volumes, name, content)
	m, err := e.Cloud.AdoptVolume(e.ctx, quarantine.VolumeOrder{Source: name, SizeBytes: Size, Name: "restored \"volume\"", Project: e.Project})
	e.ok(err)
	if m.Kind != e.VolumeKind || m.ID == "" || m.Transfer != nil || !e.Exists(e.T, m) {
		e.Errorf("made %+v", m)
	}
	if e.named(e.Volumes, name) != "" {
		e.Error("the image is still under its old name")
	}
	if prefix := e.Cloud.Traits().VolumePrefix; prefix != "" && e.named(e.Volumes, prefix+strings.TrimPrefix(name, quarantine.RestorePrefix)) != key.ImageID {
		e.Error("the image has not the name that it was to have")
	}
	e.same(e.Content(e.T, key), content)
	e.ok(e.Cloud.Discard(e.ctx, m))
	if e.Exists(e.T, m) {
		e.Error("the discarded volume is there")
	}
	e.ok(e.Cloud.Discard(e.ctx, m))
}

// What the cloud does not adopt leaves no volume, and the image as it was.
func adoptVolumeRefused(e *env) {
	_, err := e.Cloud.AdoptVolume(e.ctx, quarantine.VolumeOrder{Source: e.source(), SizeBytes: Size, Name: "restored", Project: e.Project})
	if err == nil {
		e.Fatal("a volume was made of an image that is not there")
	}
	name := e.source()
	key := e.Make(e.T, e.Volumes, name, e.random())
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	if _, err := e.Cloud.AdoptVolume(ctx, quarantine.VolumeOrder{Source: name, SizeBytes: Size, Name: "restored", Project: e.Project}); err == nil {
		e.Fatal("a volume was made for a caller that had gone")
	}
	if got := e.named(e.Volumes, name); got != key.ImageID {
		e.Errorf("the image %s is %q now", key, got)
	}
}

// An image by location is the RBD image with its snapshot; where locations are
// not allowed, the error says so and nothing is made.
func adoptImage(e *env) {
	content, name := e.random(), e.source()
	key := e.Make(e.T, e.Images, name, content)
	e.ok(e.Protect.ProtectSnapshot(e.ctx, key, "snap"))
	m, err := e.Cloud.AdoptImage(e.ctx, quarantine.ImageOrder{Source: name, FSID: e.Images.FSID, Name: "restored", Project: e.Project, SizeBytes: Size})
	if e.NoLocations {
		e.is(err, quarantine.ErrRefused)
		if got := e.named(e.Images, name); got != key.ImageID {
			e.Errorf("the image %s is %q now", key, got)
		}
		return
	}
	e.ok(err)
	if m.Kind != quarantine.ResourceImage || !e.Exists(e.T, m) {
		e.Errorf("made %+v", m)
	}
	e.same(e.Image(e.T, m.ID), content)
	e.ok(e.Cloud.Discard(e.ctx, m))
	if e.Exists(e.T, m) {
		e.Error("the discarded image is there")
	}
}

// An image that is sent has the bytes. A cloud that takes none says so, and
// reads none.
func uploadImage(e *env) {
	content := e.random()
	if e.Cloud.Traits().NoUpload {
		_, err := e.Cloud.UploadImage(e.ctx, quarantine.ImageOrder{Name: "restored", Project: e.Project, SizeBytes: Size}, func(quarantine.Writer) error {
			e.Error("the bytes are read")
			return nil
		})
		e.is(err, quarantine.ErrRefused)
		return
	}
	m, err := e.Cloud.UploadImage(e.ctx, quarantine.ImageOrder{Name: "restored", Project: e.Project, SizeBytes: Size}, func(w quarantine.Writer) error {
		for at := 0; at < Size; at += Size / 4 {
			if _, err := w.Write(content[at : at+Size/4]); err != nil {
				return err
			}
		}
		return nil
	})
	e.ok(err)
	e.same(e.Image(e.T, m.ID), content)
	e.ok(e.Cloud.Discard(e.ctx, m))
	if e.Exists(e.T, m) {
		e.Error("the discarded image is there")
	}
}

// An image whose bytes end too early, or with an error, is not made.
func uploadImageFails(e *env) {
	if e.Cloud.Traits().NoUpload {
		return // as uploadImage says
	}
	broken := errors.New("the disk cannot be read")
	o := quarantine.ImageOrder{Name: "restored", Project: e.Project, SizeBytes: Size}
	_, err := e.Cloud.UploadImage(e.ctx, o, func(w quarantine.Writer) error {
		if _, err := w.Write(make([]byte, Size/2)); err != nil {
			return err
		}
		return broken
	})
	e.is(err, broken)
	_, err = e.Cloud.UploadImage(e.ctx, o, func(w quarantine.Writer) error {
		_, err := w.Write(make([]byte, Size/2))
		return err
	})
	if err == nil {
		e.Error("an image was made of half of its bytes")
	}
}

// A server runs from the volume, with the data volume attached; it goes first,
// and its volumes are there still.
func bootServer(e *env) {
	content := e.Bootable
	if content == nil {
		content = e.random()
	}
	root, _ := e.volume(content, true)
	data, key := e.volume(e.random(), false)
	m, err := e.Cloud.BootServer(e.ctx, quarantine.ServerOrder{Name: "restored", Project: e.Project, Root: root.ID, Data: []string{data.ID}, Defanged: true})
	e.ok(err)
	if m.Kind != quarantine.ResourceVM || !e.Exists(e.T, m) {
		e.Errorf("made %+v", m)
	}
	e.ok(e.Cloud.Discard(e.ctx, m))
	if e.Exists(e.T, m) || !e.Exists(e.T, root) || !e.Exists(e.T, data) {
		e.Error("after the discard of the server only its volumes must be there")
	}
	e.same(e.Content(e.T, key), e.random())
}

// A server that cannot be made leaves its volumes as they were.
func bootServerFails(e *env) {
	root, _ := e.volume(e.random(), true)
	_, err := e.Cloud.BootServer(e.ctx, quarantine.ServerOrder{Name: "restored", Project: e.Project, Root: root.ID, Network: "no such network"})
	e.is(err, quarantine.ErrNotFound)
	if !e.Exists(e.T, root) {
		e.Error("the volume is gone")
	}
}

// A call whose context has ended says nothing of the cloud.
func endedContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := e.Cloud.BootServer(ctx, quarantine.ServerOrder{Name: "restored", Root: e.NoVolume, Defanged: true})
	e.is(err, quarantine.ErrUnavailable)
	if e.Cloud.Traits().NoUpload {
		return
	}
	_, err = e.Cloud.UploadImage(ctx, quarantine.ImageOrder{Name: "restored", SizeBytes: Size}, func(quarantine.Writer) error { return ctx.Err() })
	e.is(err, quarantine.ErrUnavailable)
}
