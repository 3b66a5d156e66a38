package opennebula_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cloudtest"
)

var _ quarantine.CloudWriter = (*opennebula.API)(nil)

// The writer does what every cloud's must, against a front-end of which the
// forms are recorded.
func TestWriterConformance(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloudtest.Backend {
		f := newFakeOne(t)
		return cloudtest.Backend{
			Cloud: f.api(t, nil), Volumes: f.place, Images: f.place, Protect: f.ceph, Live: f.ceph,
			Make: func(t *testing.T, p quarantine.PoolRef, name string, content []byte) quarantine.Key {
				return f.disk(t, name, content)
			},
			Content: f.content,
			Image: func(t *testing.T, id string) []byte {
				i, _ := f.lookImage(id)
				key, ok := f.ceph.LookLive(f.place, strings.TrimPrefix(i.source, onePool+"/"))
				if !ok {
					t.Fatalf("image %s has no RBD image %s", id, i.source)
				}
				return f.content(t, key)
			},
			Exists: func(_ *testing.T, m quarantine.Made) bool {
				_, image := f.lookImage(m.ID)
				_, vm := f.lookVM(m.ID)
				return m.Kind == quarantine.ResourceImage && image || m.Kind == quarantine.ResourceVM && vm
			},
			Project: "experiment", Network: "public", VolumeKind: quarantine.ResourceImage, NoVolume: "4711",
		}
	})
}

// disk puts a live image into the pool.
func (f *fakeOne) disk(t testing.TB, name string, content []byte) quarantine.Key {
	t.Helper()
	key, err := f.ceph.CloudCreate(f.place, name, int64(len(content)))
	if err == nil {
		err = f.ceph.CloudWrite(key, 0, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f *fakeOne) content(t *testing.T, key quarantine.Key) []byte {
	t.Helper()
	st, ok := f.ceph.Look(key)
	if !ok {
		t.Fatalf("RBD image %s is gone", key)
	}
	return st.Content
}

// The names of the tests' RBD image, before a cloud has it and after.
const (
	sourceName = quarantine.RestorePrefix + "0123456789abcdef.5d1e"
	finalName  = "restored-0123456789abcdef.5d1e"
)

// trial is one order against one front-end.
type trial struct {
	*testing.T
	f       *fakeOne
	key     quarantine.Key
	content []byte
	images  quarantine.Renamer
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	f := newFakeOne(t)
	f.images[3], f.next["image"] = foreignImage(), 20
	content := bytes.Repeat([]byte("evidence"), 1<<10)
	return &trial{T: t, f: f, content: content, key: f.disk(t, sourceName, content), images: renamer{f.ceph, nil}}
}

func (tr *trial) api() *opennebula.API {
	return tr.f.api(tr, func(c *opennebula.APIConfig) { c.Images = tr.images })
}

// foreignImage is somebody's, which the service must not touch.
func foreignImage() *oneImage {
	return &oneImage{id: 3, uid: 3, gid: 1, name: "theirs", kind: 2, state: 1, before: 1, persistent: true, source: "one/one-3", attrs: []attr{{name: "A", value: "B"}}}
}

// left are the images that the cloud has beside the foreign one.
func (tr *trial) left() []int {
	tr.Helper()
	if i, _ := tr.f.lookImage("3"); !reflect.DeepEqual(&i, foreignImage()) {
		tr.Errorf("somebody's image is %+v now", i)
	}
	return slices.DeleteFunc(tr.f.imageIDs(), func(id int) bool { return id == 3 })
}

// order is an order for the disk itself.
func (tr *trial) order() quarantine.VolumeOrder {
	return quarantine.VolumeOrder{
		Source: sourceName, Evidence: true, SizeBytes: int64(len(tr.content)), Name: "web", Owner: "alice", Bootable: true,
		Metadata: map[string]string{"quarantine_disk": "d1"},
	}
}

// rbd is the live name of the disk. It fails if the disk is not live, or not as
// it was.
func (tr *trial) rbd() string {
	tr.Helper()
	st, ok := tr.f.ceph.Look(tr.key)
	if !ok || st.InTrash || !bytes.Equal(st.Content, tr.content) {
		tr.Fatalf("the disk is %+v, there: %v", st.Name, ok)
	}
	return st.Name
}

// untouched fails if anything is left of the attempt.
func (tr *trial) untouched() {
	tr.Helper()
	if ids := tr.left(); len(ids) > 0 {
		tr.Errorf("images %v are left", ids)
	}
	if name := tr.rbd(); name != sourceName {
		tr.Errorf("the disk is called %s", name)
	}
}

// given fails unless the cloud has the disk.
func (tr *trial) given(m quarantine.Made) {
	tr.Helper()
	i, ok := tr.f.lookImage(m.ID)
	if !ok || i.source != onePool+"/"+finalName || i.state != 1 || !i.persistent || i.name != m.Name || len(tr.left()) != 1 {
		tr.Errorf("made %+v, which is %+v", m, i)
	}
	if name := tr.rbd(); name != finalName {
		tr.Errorf("the disk is called %s", name)
	}
}

// clean fails if the session is in an error.
func clean(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the session is in the error: %v", err)
	}
}

// walk runs the attempt once for each call that it makes, with the fault at
// that call.
func walk(t *testing.T, fault func(cancel func()) oneFault, attempt func(tr *trial, ctx context.Context, at int)) {
	t.Helper()
	for at := 1; ; at++ {
		tr := newTrial(t)
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		tr.f.fault = func(oneCall) oneFault {
			if count++; count != at {
				return oneFault{}
			}
			return fault(cancel)
		}
		attempt(tr, ctx, at)
		cancel()
		tr.f.mu.Lock()
		reached := count >= at
		tr.f.mu.Unlock()
		if t.Failed() {
			t.Fatalf("at call %d: %s", at, strings.Join(tr.f.called(""), "\n"))
		}
		if !reached {
			if at < 5 {
				t.Fatalf("there were %d calls only", count)
			}
			return
		}
	}
}

// faults are single faults of a call: the caller goes, an answer is lost, the
// front-end refuses.
var faults = map[string]func(cancel func()) oneFault{
	"the caller goes before":  func(cancel func()) oneFault { cancel(); return oneFault{cut: true} },
	"the caller goes after":   func(cancel func()) oneFault { return oneFault{then: cancel} },
	"the call is lost":        func(func()) oneFault { return oneFault{cut: true} },
	"the answer is lost":      func(func()) oneFault { return oneFault{lose: true} },
	"not allowed":             func(func()) oneFault { return oneFault{code: 512, text: "Not authorized"} },
	"an error of oned's":      func(func()) oneFault { return oneFault{code: 8192, text: "Internal error"} },
	"an answer that is none":  func(func()) oneFault { return oneFault{body: "<html>busy</html>"} },
	"an answer of nothing":    func(func()) oneFault { return oneFault{body: success("<string></string>")} },
	"an answer of another id": func(func()) oneFault { return oneFault{body: goodID(3)} },
}

// Whatever one call does, the disk is live and whole: given to the cloud on
// success, and as it was, with nothing left in the cloud, after an error.
func TestAdoptVolumeFaultWalk(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, fault, func(tr *trial, ctx context.Context, at int) {
				m, err := tr.api().AdoptVolume(ctx, tr.order())
				clean(t, err)
				if err != nil {
					tr.untouched()
					return
				}
				tr.given(m)
				if i, _ := tr.f.lookImage(m.ID); i.uid != 2 {
					t.Errorf("it belongs to %d", i.uid)
				}
			})
		})
	}
}

// A front-end that goes away at any call, and stays away, costs nobody the disk;
// nothing may be concluded, and the error says so.
func TestAdoptVolumeFrontEndGoes(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		tr := newTrial(t)
		count := 0
		tr.f.fault = func(oneCall) oneFault {
			count++
			return oneFault{cut: count >= at}
		}
		m, err := tr.api().AdoptVolume(t.Context(), tr.order())
		if err == nil {
			tr.given(m)
			if at < 5 {
				t.Errorf("%d calls are too few", at)
			}
			return
		}
		if !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("at call %d: %v", at, err)
		}
		if name, ids := tr.rbd(), tr.left(); name != sourceName || len(ids) > 0 && !strings.Contains(err.Error(), fmt.Sprintf("image %d", ids[0])) && !strings.Contains(err.Error(), onePool+"/"+finalName) {
			t.Errorf("at call %d: the disk is called %s, images %v are left: %v", at, name, ids, err)
		}
	}
}

// The same for an image: after an error the cloud has none, unless the error is
// that nothing is known.
func TestAdoptImageFaultWalk(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, fault, func(tr *trial, ctx context.Context, at int) {
				if err := tr.f.ceph.ProtectSnapshot(t.Context(), tr.key, "snap"); err != nil {
					t.Fatal(err)
				}
				m, err := tr.api().AdoptImage(ctx, quarantine.ImageOrder{Source: sourceName, FSID: tr.f.place.FSID, Name: "web", Owner: "alice", SizeBytes: int64(len(tr.content))})
				clean(t, err)
				ids := tr.left()
				switch {
				case err == nil:
					if i, ok := tr.f.lookImage(m.ID); !ok || i.persistent || i.source != onePool+"/"+sourceName || i.uid != 2 || tr.rbd() != sourceName {
						t.Errorf("made %+v: %+v", m, i)
					}
				case !errors.Is(err, quarantine.ErrUnavailable) && len(ids) > 0:
					t.Errorf("images %v are left: %v", ids, err)
				case len(ids) == 0:
					if st, ok := tr.f.ceph.Look(tr.key); !ok {
						t.Errorf("the RBD image is gone past the guard: %+v", st)
					}
				}
			})
		})
	}
}

// slow is a client that gives up early.
func (tr *trial) slow(wait time.Duration) *opennebula.API {
	return tr.f.api(tr, func(c *opennebula.APIConfig) { c.Images, c.Wait = tr.images, wait })
}

// methods are the calls without what follows them, each once in a row.
func (f *fakeOne) methods() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.calls {
		name, _, _ := strings.Cut(c, "(")
		out = append(out, strings.TrimPrefix(name, "one."))
	}
	return slices.Compact(out)
}
