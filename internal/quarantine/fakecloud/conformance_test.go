package fakecloud_test

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cloudtest"
	"quarantine/internal/quarantine/fakeceph"
	"quarantine/internal/quarantine/fakecloud"
)

// The fake does what every cloud must, with locations and without, and where it
// takes no bytes.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*fakecloud.Cloud){
		"locations":    func(*fakecloud.Cloud) {},
		"no locations": func(c *fakecloud.Cloud) { c.NoLocations = true },
		"no upload":    func(c *fakecloud.Cloud) { c.Can.NoUpload = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloudtest.Run(t, func(*testing.T) cloudtest.Backend { return backend(set) })
		})
	}
}

func backend(set func(*fakecloud.Cloud)) cloudtest.Backend {
	volumes := quarantine.PoolRef{FSID: "fsid", Pool: "volumes"}
	images := quarantine.PoolRef{FSID: "fsid", Pool: "images"}
	clock := func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	ceph := fakeceph.New(clock, quarantine.Pool{PoolRef: volumes, Guarded: true, Protect: time.Hour}, quarantine.Pool{PoolRef: images, Guarded: true, Protect: time.Hour})
	cloud := fakecloud.New("os", ceph, volumes, images)
	set(cloud)
	content := func(t *testing.T, key quarantine.Key) []byte {
		t.Helper()
		st, ok := ceph.Look(key)
		if !ok {
			t.Fatalf("image %s is gone", key)
		}
		return st.Content
	}
	return cloudtest.Backend{
		Cloud: cloud, Volumes: volumes, Images: images, Protect: ceph, Live: ceph, Content: content,
		Make: func(t *testing.T, p quarantine.PoolRef, name string, data []byte) quarantine.Key {
			t.Helper()
			key, err := ceph.CloudCreate(p, name, int64(len(data)))
			if err == nil {
				err = ceph.CloudWrite(key, 0, data)
			}
			if err != nil {
				t.Fatal(err)
			}
			return key
		},
		Image: func(t *testing.T, id string) []byte {
			r := cloud.All()[id]
			if r.Content != nil {
				return r.Content
			}
			return content(t, r.Key)
		},
		Exists:  func(_ *testing.T, m quarantine.Made) bool { _, ok := cloud.All()[m.ID]; return ok },
		Project: "blue", Network: fakecloud.Network, NoLocations: cloud.NoLocations,
	}
}
