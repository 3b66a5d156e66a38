package opennebula_test

import (
	"errors"
	"strings"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// datastores answers with the recorded datastores and further ones.
func datastores(t *testing.T, more ...string) *replay {
	pool := "<DATASTORE_POOL>" + recordedDoc(t, "datastore_info_system") + recordedDoc(t, "datastore_info_image") + strings.Join(more, "") + "</DATASTORE_POOL>"
	return newReplay(t, func(c asked) string {
		if c.String() != "one.datastorepool.info()" {
			return ""
		}
		return answer(pool)
	})
}

func inPool(fsid, pool, namespace, cloud string) quarantine.Pool {
	return quarantine.Pool{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: pool, Namespace: namespace}, Cloud: cloud}
}

// imageDatastore is one more image datastore on Ceph.
func imageDatastore(id, name, pool string) string {
	return `<DATASTORE><ID>` + id + `</ID><NAME>` + name + `</NAME><DS_MAD><![CDATA[ceph]]></DS_MAD><TM_MAD><![CDATA[ceph]]></TM_MAD><TYPE>0</TYPE><TEMPLATE><POOL_NAME><![CDATA[` + pool +
		`]]></POOL_NAME><EC_POOL_NAME><![CDATA[data]]></EC_POOL_NAME></TEMPLATE></DATASTORE>`
}

const (
	fileDatastore  = `<DATASTORE><ID>2</ID><NAME>files</NAME><DS_MAD>fs</DS_MAD><TM_MAD>ssh</TM_MAD><TYPE>2</TYPE><TEMPLATE></TEMPLATE></DATASTORE>`
	localDatastore = `<DATASTORE><ID>1</ID><NAME>default</NAME><DS_MAD>fs</DS_MAD><TM_MAD>ssh</TM_MAD><TYPE>0</TYPE><TEMPLATE/></DATASTORE>`
)

// The datastores on Ceph are told with what their drivers work with; the others
// are left out.
func TestDatastores(t *testing.T) {
	t.Parallel()
	api := newAPI(t, datastores(t, fileDatastore, localDatastore, imageDatastore("102", "ec", "one/ns")).url, nil)
	got, err := api.Datastores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []opennebula.Datastore{
		{ID: 100, Name: "ceph_images", Type: "image", Pool: "one", CephUser: "libvirt", CephConf: "/etc/ceph/ceph.conf", BridgeList: []string{"node1", "node2"}, TMMad: "ceph", DSMad: "ceph"},
		{ID: 101, Name: "ceph_system", Type: "system", Pool: "one", CephUser: "libvirt", CephConf: "/etc/ceph/ceph.conf", BridgeList: []string{"node1", "node2"}, TMMad: "ceph", DSMad: "-"},
		{ID: 102, Name: "ec", Type: "image", Pool: "one", Namespace: "ns", DataPool: "data", TMMad: "ceph", DSMad: "ceph"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if !equalJSON(t, got[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", got[i], want[i])
		}
	}
}

// Which pool a datastore is in is told by the configuration, or an error says
// what it does not tell.
func TestVolumePool(t *testing.T) {
	t.Parallel()
	ours := []quarantine.Pool{inPool("f1", "one", "", cloud), inPool("f1", "one", "ns", cloud), inPool("f1", "other", "", "elsewhere")}
	tests := []struct {
		name    string
		more    []string
		pools   []quarantine.Pool
		dflt    string
		wanted  string
		want    string // fsid:pool
		err     error
		message string
	}{
		{name: "the only one", pools: ours, want: "f1:one"},
		{name: "by name", pools: ours, wanted: "ceph_images", want: "f1:one"},
		{name: "by id", pools: ours, wanted: "100", want: "f1:one"},
		{name: "a pool of no cloud in particular", pools: []quarantine.Pool{inPool("f1", "one", "", "")}, want: "f1:one"},
		{name: "in a namespace", more: []string{imageDatastore("102", "ec", "one/ns")}, pools: ours, wanted: "ec", want: "f1:one/ns"},
		{name: "the configured one", more: []string{imageDatastore("102", "ec", "one/ns")}, pools: ours, dflt: "ec", want: "f1:one/ns"},
		{name: "an id goes before a name", more: []string{imageDatastore("102", "100", "one/ns")}, pools: ours, wanted: "100", want: "f1:one"},
		{name: "a name that is a number", more: []string{imageDatastore("102", "7", "one/ns")}, pools: ours, wanted: "7", want: "f1:one/ns"},
		{name: "in two clusters, one of them this cloud's", pools: []quarantine.Pool{inPool("f2", "one", "", ""), inPool("f1", "one", "", cloud)}, want: "f1:one"},
		{name: "configured twice", pools: append(ours, ours...), want: "f1:one"},

		{name: "several", more: []string{imageDatastore("102", "ec", "one/ns")}, pools: ours, err: quarantine.ErrInvalid, message: "100 (ceph_images), 102 (ec)"},
		{name: "two of one name", more: []string{imageDatastore("102", "ec", "one"), imageDatastore("103", "ec", "one")}, pools: ours, wanted: "ec", err: quarantine.ErrInvalid, message: "102 (ec), 103 (ec)"},
		{name: "none of the name", pools: ours, wanted: "nosuch", err: quarantine.ErrNotFound, message: "nosuch"},
		{name: "a system datastore", pools: ours, wanted: "101", err: quarantine.ErrNotFound, message: "no image datastore on Ceph"},
		{name: "not on Ceph", more: []string{localDatastore}, pools: ours, wanted: "default", err: quarantine.ErrNotFound, message: "no image datastore on Ceph"},
		{name: "not in our care", pools: ours[1:], err: quarantine.ErrInvalid, message: "pool one is not among"},
		{name: "the pool of another cloud", more: []string{imageDatastore("102", "x", "other")}, pools: ours, wanted: "x", err: quarantine.ErrInvalid, message: "pool other is not among"},
		{name: "no pool", more: []string{imageDatastore("102", "x", "")}, pools: ours, wanted: "x", err: quarantine.ErrInvalid, message: "POOL_NAME"},
		{name: "in several clusters", pools: []quarantine.Pool{inPool("f1", "one", "", cloud), inPool("f2", "one", "", cloud)}, err: quarantine.ErrInvalid, message: `f1, f2), and CEPH_CONF="/etc/ceph/ceph.conf"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, datastores(t, tt.more...).url, func(c *opennebula.APIConfig) { c.Pools, c.Datastore = tt.pools, tt.dflt })
			got, err := api.VolumePool(t.Context(), tt.wanted)
			if tt.err != nil {
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.message) {
					t.Fatalf("got %v, %v; want %v that says %q", got, err, tt.err, tt.message)
				}
				return
			}
			if err != nil || got.FSID+":"+got.String() != tt.want {
				t.Fatalf("got %+v, %v; want %s", got, err, tt.want)
			}
			if tt.wanted == "" {
				if image, err := api.ImagePool(t.Context()); err != nil || image != got {
					t.Errorf("images are in %v, %v; want %v", image, err, got)
				}
			}
		})
	}
}

// What is no list of datastores is not taken for an empty one.
func TestVolumePoolUnreadable(t *testing.T) {
	t.Parallel()
	for name, pool := range map[string]string{
		"cut short":   "<DATASTORE_POOL><DATASTORE><ID>100</ID>",
		"without ids": "<DATASTORE_POOL><DATASTORE><NAME>x</NAME></DATASTORE></DATASTORE_POOL>",
		"another":     "<IMAGE_POOL></IMAGE_POOL>",
	} {
		api := newAPI(t, newReplay(t, func(asked) string { return answer(pool) }).url, nil)
		if got, err := api.VolumePool(t.Context(), ""); !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
