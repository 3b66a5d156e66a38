package openstack

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// glance is a Glance with one image, whose id the client chose.
type glance struct {
	f      *fakeCloud
	order  map[string]any
	id     string
	status string
	size   int64
	hash   string
	patch  http.HandlerFunc
	refuse http.HandlerFunc // answers an upload, if it is set
}

func newGlance(t *testing.T, f *fakeCloud) *glance {
	g := &glance{f: f}
	f.on("POST /image/v2/images", keep(t, &g.order, func(w http.ResponseWriter, r *http.Request) {
		g.id, _ = g.order["id"].(string)
		g.status = "queued"
		path := "/image/v2/images/" + g.id
		f.on("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if g.status == "" {
				reply(404, `{}`)(w, r)
				return
			}
			reply(200, fmt.Sprintf(`{"id": %q, "name": "n", "status": %q, "size": %d, "os_hash_algo": "sha512", "os_hash_value": %q}`, g.id, g.status, g.size, g.hash))(w, r)
		})
		f.on("DELETE "+path, func(w http.ResponseWriter, r *http.Request) { g.status = ""; reply(204, ``)(w, r) })
		f.on("PATCH "+path, func(w http.ResponseWriter, r *http.Request) { g.patch(w, r) })
		f.on("PUT "+path+"/file", func(w http.ResponseWriter, r *http.Request) {
			if g.refuse != nil {
				g.refuse(w, r)
				return
			}
			sum := sha512.New()
			n, err := io.Copy(sum, r.Body)
			if err != nil || n != r.ContentLength {
				reply(400, `{}`)(w, r)
				return
			}
			g.size, g.status = n, "active"
			if g.hash == "" {
				g.hash = hex.EncodeToString(sum.Sum(nil))
			}
			reply(204, ``)(w, r)
		})
		reply(201, fmt.Sprintf(`{"id": %q, "status": "queued"}`, g.id))(w, r)
	}))
	return g
}

// TestAdoptImage proves what Glance is asked for, and that an image is left
// only if it has, or may have, the location: to delete that would delete the
// RBD image.
func TestAdoptImage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		after  string // the image's status
		err    error
		left   bool
	}{
		"made":        {200, "active", nil, true},
		"not allowed": {403, "queued", quarantine.ErrRefused, false},
		"lost answer": {500, "active", nil, true},
		"not made":    {500, "queued", quarantine.ErrUnavailable, false},
		"unknown":     {500, "importing", quarantine.ErrUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			a := newTestAPI(t, f)
			g := newGlance(t, f)
			var location string
			g.patch = func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Header.Get("Content-Type") != "application/openstack-images-v2.1-json-patch" {
					t.Errorf("%v, %v", r.Header, err)
				}
				location, g.status = string(body), c.after
				reply(c.status, `{"id": "`+g.id+`"}`)(w, r)
			}
			m, err := a.AdoptImage(t.Context(), quarantine.ImageOrder{
				Source: "q/1", FSID: "f", Name: "n", Project: recordedDemoProject, Properties: map[string]string{"hw_disk_bus": "scsi", "min_disk": "3"},
			})
			f.settle()
			if !errors.Is(err, c.err) || (g.status != "") != c.left {
				t.Errorf("image %+v is %q: %v", m, g.status, err)
			}
			if err == nil && (m.ID != g.id || m.Project.Name != "demo") {
				t.Errorf("%+v", m)
			}
			if !strings.Contains(location, `"rbd://f/images/q%2F1/snap"`) || g.order["owner"] != recordedDemoProject || g.order["hw_disk_bus"] != "scsi" || g.order["min_disk"] != 3.0 || g.order["visibility"] != "private" {
				t.Errorf("%s, %v", location, g.order)
			}
		})
	}
	a := newTestAPI(t, newFakeCloud(t))
	_, err := a.AdoptImage(t.Context(), quarantine.ImageOrder{Source: "q", FSID: "f", Properties: map[string]string{"visibility": "public"}})
	if !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("Glance's own property: %v", err)
	}
}

// TestUploadImage proves that the data arrives with its length, and that no
// image is left if it is short, long, broken, changed on the way, not taken,
// or interrupted.
func TestUploadImage(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	write := func(n int) func(quarantine.Writer) error {
		return func(w quarantine.Writer) error {
			for chunk := make([]byte, 1<<16); n > 0; n -= len(chunk) {
				if _, err := w.Write(chunk[:min(n, len(chunk))]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	broken := errors.New("broken disk")
	for name, c := range map[string]struct {
		read    func(quarantine.Writer) error
		prepare func(*glance)
		err     error
	}{
		"all":   {write(size), nil, nil},
		"short": {write(size - 1), nil, quarantine.ErrInvalid},
		"long":  {write(size + 1), nil, quarantine.ErrInvalid},
		"broken": {func(w quarantine.Writer) error {
			if err := write(size / 2)(w); err != nil {
				return err
			}
			return broken
		}, nil, broken},
		"changed": {write(size), func(g *glance) { g.hash = "00" }, quarantine.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			g := newGlance(t, f)
			if c.prepare != nil {
				c.prepare(g)
			}
			m, err := newTestAPI(t, f).UploadImage(t.Context(), quarantine.ImageOrder{Name: "n", SizeBytes: size}, c.read)
			f.settle()
			if !errors.Is(err, c.err) || (g.status == "active") != (c.err == nil) || err == nil && m.ID != g.id {
				t.Errorf("%+v is %q: %v", m, g.status, err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		f := newFakeCloud(t)
		g := newGlance(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := newTestAPI(t, f).UploadImage(ctx, quarantine.ImageOrder{Name: "n", SizeBytes: size}, func(w quarantine.Writer) error {
			if err := write(size / 2)(w); err != nil {
				return err
			}
			cancel()
			return write(size / 2)(w)
		})
		f.settle()
		if err == nil || g.status != "" {
			t.Errorf("the image is %q: %v", g.status, err)
		}
	})
	t.Run("not taken", func(t *testing.T) {
		t.Parallel()
		f := newFakeCloud(t)
		g := newGlance(t, f)
		g.refuse = reply(413, `{"error": {"message": "over quota"}}`)
		_, err := newTestAPI(t, f).UploadImage(t.Context(), quarantine.ImageOrder{Name: "n", SizeBytes: size}, write(size))
		f.settle()
		if err == nil || g.status != "" {
			t.Errorf("the image is %q: %v", g.status, err)
		}
	})
}
