//go:build openstack

package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/ceph"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cloudtest"
)

// The real OpenStack does what the fake of the product's own tests does.
func TestConformance(t *testing.T) {
	s := running(t)
	for _, v := range s.lab.Env() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	b := s.backend(t)
	cloudtest.Run(t, func(*testing.T) cloudtest.Backend { return b })
}

// backend is the lab's cloud with its pools, seen from three sides: through the
// product's client, through another one, and with the rbd command.
func (s *site) backend(t *testing.T) cloudtest.Backend {
	t.Helper()
	pools := s.lab.Pools()
	volumes := quarantine.PoolRef{FSID: s.lab.Ceph.FSID, Pool: pools.Volumes}
	images := quarantine.PoolRef{FSID: s.lab.Ceph.FSID, Pool: pools.Images}
	api, err := openstack.NewAPI(openstack.APIConfig{Cloud: "os", ImagePool: images, Version: "acceptance", Clock: time.Now})
	must(t, err)
	cluster, err := ceph.Connect(t.Context(), ceph.ClusterConfig{
		Name: "lab", Conf: s.lab.Ceph.Conf, User: cephlab.Quarantine, OpTimeout: time.Minute, Workers: 8,
		Pools: []quarantine.Pool{{PoolRef: volumes, Cloud: "os", Guarded: true, Protect: time.Hour}, {PoolRef: images, Cloud: "os", Guarded: true, Protect: time.Hour}},
	})
	must(t, err)
	registry, err := ceph.NewRegistry(cluster)
	must(t, err)
	t.Cleanup(func() { must(t, registry.Close()) })
	admin := s.session(t, openstacklab.Admin())
	return cloudtest.Backend{
		Cloud: api, Volumes: volumes, Images: images, Protect: registry, Live: registry,
		Make: s.makeImage, Content: s.content,
		Image: func(t *testing.T, id string) []byte {
			data, err := admin.DownloadImage(t.Context(), id)
			must(t, err)
			return data
		},
		Exists: func(t *testing.T, m quarantine.Made) bool {
			var err error
			switch m.Kind {
			case quarantine.ResourceVM:
				_, err = admin.Server(t.Context(), m.ID)
			case quarantine.ResourceVolume:
				_, err = admin.Volume(t.Context(), m.ID)
			case quarantine.ResourceImage:
				_, err = admin.Image(t.Context(), m.ID)
			}
			if err != nil && !openstacklab.NotFound(err) {
				t.Fatal(err)
			}
			return err == nil
		},
		Project: admin.ProjectID, Network: "private",
	}
}

// makeImage makes a live image; if it is under its name still when the test
// ends, it is taken away.
func (s *site) makeImage(t *testing.T, p quarantine.PoolRef, name string, content []byte) quarantine.Key {
	t.Helper()
	path := s.path("content")
	write(t, path, string(content))
	defer os.Remove(path)
	_, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "import", "--no-progress", path, p.Pool+"/"+name)
	must(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := s.lab.Ceph.RBD(ctx, cephlab.Admin, "info", p.Pool+"/"+name); err != nil {
			return // renamed, or gone
		}
		if _, err := s.lab.Ceph.RBD(ctx, cephlab.Admin, "trash", "move", p.Pool+"/"+name); err != nil {
			t.Error(err)
		}
	})
	return quarantine.Key{FSID: p.FSID, Pool: p.Pool, ImageID: s.info(t, p.Pool+"/"+name).ID}
}

// content returns the bytes of a live image, whatever its name is now.
func (s *site) content(t *testing.T, key quarantine.Key) []byte {
	t.Helper()
	path := s.path("content")
	defer os.Remove(path)
	name := s.info(t, "--pool", key.Pool, "--image-id", key.ImageID).Name
	_, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "export", "--no-progress", key.Pool+"/"+name, path)
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

// info is what `rbd info` tells of an image.
func (s *site) info(t *testing.T, image ...string) (i struct{ ID, Name string }) {
	t.Helper()
	out, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, append([]string{"info", "--format", "json"}, image...)...)
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &i))
	return i
}
