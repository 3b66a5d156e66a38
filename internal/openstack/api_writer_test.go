package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

const (
	volumesPath = "/volume/v3/" + recordedProject + "/"
	ghostVolume = volumesPath + "volumes/" + ghost
	managePath  = volumesPath + "manageable_volumes"
)

// keep is a handler that keeps the request's body as JSON in into.
func keep(t *testing.T, into *map[string]any, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		then(w, r)
	}
}

func volumeIs(status string) http.HandlerFunc {
	return reply(200, fmt.Sprintf(`{"volume": {"id": %q, "name": "n", "status": %q}}`, ghost, status))
}

// onlyOwnProject refuses logins to any other project, as Keystone does for a
// user without a role there.
func onlyOwnProject(f *fakeCloud) {
	f.on("POST /identity/v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(body), `"project":{"id"`) {
			reply(401, `{"error": {"message": "The request you have made requires authentication."}}`)(w, r)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		f.logIn(w, r)
	})
}

// TestAdoptVolume proves what Cinder is asked for, and that it is waited until
// the volume can be used.
func TestAdoptVolume(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	var asked map[string]any
	f.on("POST "+managePath, keep(t, &asked, reply(202, fmt.Sprintf(`{"volume": {"id": %q, "status": "creating"}}`, ghost))))
	f.on("GET "+ghostVolume, inTurn(volumeIs("creating"), reply(503, ``), volumeIs("creating"), volumeIs("available")))
	m, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n", Bootable: true, Metadata: map[string]string{"case": "7"}})
	if err != nil || m.ID != ghost || m.Kind != quarantine.ResourceVolume || m.Project != (quarantine.Principal{ID: recordedProject, Name: "admin", Domain: "Default"}) || m.Transfer != nil {
		t.Errorf("%+v, %v", m, err)
	}
	f.settle()
	order, _ := asked["volume"].(map[string]any)
	metadata, _ := order["metadata"].(map[string]any)
	if order["host"] != "node1@ceph#ceph" || fmt.Sprint(order["ref"]) != "map[source-name:q.1]" || order["bootable"] != true || order["name"] != "n" || metadata["case"] != "7" || metadata[markKey] == "" {
		t.Errorf("asked for %v", asked)
	}
}

// TestAdoptVolumeOfferedToAProject proves that a volume for a project in which
// the credential has no role is offered for transfer; if that fails a copy is
// deleted, and the disk itself taken out of Cinder and never deleted.
func TestAdoptVolumeOfferedToAProject(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	onlyOwnProject(f)
	a := newTestAPI(t, f)
	f.on("POST "+managePath, reply(202, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost)))
	f.on("GET "+ghostVolume, volumeIs("available"))
	f.on("POST "+volumesPath+"volume-transfers", reply(202, `{"transfer": {"id": "t1", "auth_key": "k1"}}`))
	o := quarantine.VolumeOrder{Source: "q.1", Name: "n", Project: "demo", Domain: "Default"}
	m, err := a.AdoptVolume(t.Context(), o)
	if err != nil || m.Project.Name != "admin" || m.Transfer == nil || *m.Transfer != (quarantine.Transfer{ID: "t1", AuthKey: "k1"}) {
		t.Errorf("%+v, %v", m, err)
	}
	f.on("POST "+volumesPath+"volume-transfers", reply(400, `{"badRequest": {"message": "no"}}`))
	f.on("POST "+ghostVolume+"/action", reply(202, ``))
	f.on("GET "+ghostVolume, inTurn(volumeIs("available"), volumeIs("unmanaging"), reply(404, `{}`)))
	o.Evidence = true
	_, err = a.AdoptVolume(t.Context(), o)
	if !errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), "volume-"+ghost) || len(f.requests("POST "+ghostVolume+"/action")) != 1 || len(f.requests("DELETE ")) != 0 {
		t.Errorf("%v, %v", err, f.requests("DELETE "))
	}
	f.on("GET "+ghostVolume, inTurn(volumeIs("available"), volumeIs("deleting"), reply(404, `{}`)))
	f.on("DELETE "+ghostVolume, reply(202, ``))
	o.Evidence = false
	_, err = a.AdoptVolume(t.Context(), o)
	if !errors.Is(err, quarantine.ErrInvalid) || len(f.requests("POST "+ghostVolume+"/action")) != 1 || len(f.requests("DELETE "+ghostVolume)) != 1 {
		t.Errorf("%v, %v", err, f.requests("DELETE "))
	}
	for name, want := range map[string]error{"nosuch": quarantine.ErrNotFound} {
		if _, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Project: name}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAdoptVolumeFails proves that no volume is left when Cinder cannot manage
// the image, or when its answer is lost after it has begun.
func TestAdoptVolumeFails(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	f.on("POST "+managePath, reply(202, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost)))
	f.on("GET "+ghostVolume, inTurn(volumeIs("creating"), volumeIs("error_managing"), volumeIs("error_managing"), reply(404, `{}`)))
	f.on("DELETE "+ghostVolume, reply(202, ``))
	_, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n"})
	if !errors.Is(err, quarantine.ErrInvalid) || len(f.requests("DELETE "+ghostVolume)) != 1 {
		t.Errorf("not managed: %v", err)
	}
	var asked map[string]any
	f.on("POST "+managePath, keep(t, &asked, reply(504, ``)))
	f.on("GET "+volumesPath+"volumes/detail", func(w http.ResponseWriter, r *http.Request) {
		order, _ := asked["volume"].(map[string]any)
		metadata, err := json.Marshal(order["metadata"])
		if err != nil {
			t.Error(err)
		}
		reply(200, fmt.Sprintf(`{"volumes": [{"id": %q, "name": "n"}, {"id": %q, "name": "n", "metadata": %s}]}`, recordedIDs(t)["vol"], ghost, metadata))(w, r)
	})
	f.on("GET "+ghostVolume, reply(404, `{}`))
	_, err = a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n"})
	if !errors.Is(err, quarantine.ErrUnavailable) || len(f.requests("DELETE "+ghostVolume)) != 2 || len(f.requests("DELETE ")) != 2 {
		t.Errorf("lost answer: %v, deleted %v", err, f.requests("DELETE "))
	}
}

// TestAdoptVolumeLooksAgain proves that a volume which Cinder has managed is a
// success and is not deleted, though Cinder was silent for a while or its
// answer was lost.
func TestAdoptVolumeLooksAgain(t *testing.T) {
	t.Parallel()
	silent := inTurn(append(slices.Repeat([]http.HandlerFunc{reply(500, ``)}, patience+1), volumeIs("available"))...)
	for name, c := range map[string]struct {
		post   int
		volume http.HandlerFunc
	}{
		"silent":      {202, silent},
		"lost answer": {504, inTurn(volumeIs("creating"), volumeIs("available"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			a := newTestAPI(t, f)
			var asked map[string]any
			f.on("POST "+managePath, keep(t, &asked, reply(c.post, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost))))
			f.on("GET "+volumesPath+"volumes/detail", func(w http.ResponseWriter, r *http.Request) {
				order, _ := asked["volume"].(map[string]any)
				metadata, err := json.Marshal(order["metadata"])
				if err != nil {
					t.Error(err)
				}
				reply(200, fmt.Sprintf(`{"volumes": [{"id": %q, "name": "n", "metadata": %s}]}`, ghost, metadata))(w, r)
			})
			f.on("GET "+ghostVolume, c.volume)
			m, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n", Evidence: true})
			if err != nil || m.ID != ghost || len(f.requests("DELETE ")) != 0 || len(f.requests("POST "+ghostVolume+"/action")) != 0 {
				t.Errorf("%+v, %v, %v", m, err, f.requests("DELETE "))
			}
		})
	}
}

// TestWaitEnds proves that a volume which Cinder never finishes is given up, and
// what is left then is told.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f, func(cfg *APIConfig) { cfg.Wait = 50 * time.Millisecond })
	f.on("POST "+managePath, reply(202, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost)))
	f.on("GET "+ghostVolume, volumeIs("creating"))
	f.on("POST "+ghostVolume+"/action", reply(400, `{"badRequest": {"message": "it is creating"}}`))
	_, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n", Evidence: true})
	if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, errWaitOver) || !strings.Contains(err.Error(), "is left in project") || len(f.requests("DELETE ")) != 0 {
		t.Errorf("%v", err)
	}
}

// TestAdoptVolumeNeverDeletesEvidence proves that the disk itself is taken out
// of Cinder, and not deleted, when Cinder cannot manage it.
func TestAdoptVolumeNeverDeletesEvidence(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	f.on("POST "+managePath, reply(202, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost)))
	f.on("GET "+ghostVolume, inTurn(volumeIs("error_managing"), volumeIs("error_managing"), reply(404, `{}`)))
	f.on("POST "+ghostVolume+"/action", reply(202, ``))
	_, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q.1", Name: "n", Evidence: true})
	if !errors.Is(err, quarantine.ErrInvalid) || len(f.requests("DELETE ")) != 0 || len(f.requests("POST "+ghostVolume+"/action")) != 1 {
		t.Errorf("%v, %v", err, f.requests("DELETE "))
	}
}

// TestAdoptVolumeOutlivesItsContext proves that a volume which Cinder makes
// although the caller has gone is a success, and not left behind unknown.
func TestAdoptVolumeOutlivesItsContext(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	f.on("POST "+managePath, reply(202, fmt.Sprintf(`{"volume": {"id": %q}}`, ghost)))
	f.on("GET "+ghostVolume, inTurn(func(w http.ResponseWriter, r *http.Request) { cancel(); volumeIs("creating")(w, r) }, volumeIs("creating"), volumeIs("available")))
	if m, err := a.AdoptVolume(ctx, quarantine.VolumeOrder{Source: "q.1", Name: "n"}); err != nil || m.ID != ghost {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestVolumePool proves from where the pool of volumes is known, and when it is
// not.
func TestVolumePool(t *testing.T) {
	t.Parallel()
	configured := quarantine.PoolRef{FSID: "f", Pool: "p"}
	said := quarantine.PoolRef{FSID: "086b1557-44c7-45e2-a947-77e690bd5f6b", Pool: "volumes"}
	pool := func(name, backend, protocol, state, location string) string {
		return fmt.Sprintf(`{"name": %q, "capabilities": {"volume_backend_name": %q, "storage_protocol": %q, "backend_state": %q, "location_info": %q}}`, name, backend, protocol, state, location)
	}
	ceph := func(pool string) string { return "ceph:/etc/ce:ph.conf:" + said.FSID + ":cinder:" + pool }
	for name, c := range map[string]struct {
		pools  []string
		config map[string]quarantine.PoolRef
		want   quarantine.PoolRef
		err    error
	}{
		"Cinder tells":      {[]string{pool("h@a#a", "a", "ceph", "up", ceph("volumes"))}, nil, said, nil},
		"by host":           {[]string{pool("h@a#a", "a", "ceph", "up", "")}, map[string]quarantine.PoolRef{"h@a": configured}, configured, nil},
		"by pool":           {[]string{pool("h@a#a", "a", "ceph", "up", ceph("x"))}, map[string]quarantine.PoolRef{"h@a#a": configured}, configured, nil},
		"by type":           {[]string{pool("h@a#a", "a", "ceph", "up", "")}, map[string]quarantine.PoolRef{"__DEFAULT__": configured}, configured, nil},
		"two hosts":         {[]string{pool("h@a#a", "a", "ceph", "up", ceph("volumes")), pool("i@a#a", "a", "ceph", "up", ceph("volumes"))}, nil, said, nil},
		"two pools":         {[]string{pool("h@a#a", "a", "ceph", "up", ceph("volumes")), pool("i@a#a", "a", "ceph", "up", ceph("other"))}, nil, quarantine.PoolRef{}, quarantine.ErrInvalid},
		"one is down":       {[]string{pool("h@a#a", "a", "ceph", "down", ceph("other")), pool("i@a#a", "a", "ceph", "up", ceph("volumes"))}, nil, said, nil},
		"all are down":      {[]string{pool("h@a#a", "a", "ceph", "down", ceph("volumes"))}, nil, quarantine.PoolRef{}, quarantine.ErrUnavailable},
		"not told":          {[]string{pool("h@a#a", "a", "ceph", "up", "")}, nil, quarantine.PoolRef{}, quarantine.ErrInvalid},
		"iSCSI":             {[]string{pool("h@a#a", "a", "iSCSI", "up", "")}, nil, quarantine.PoolRef{}, quarantine.ErrNotFound},
		"no backend at all": {nil, nil, quarantine.PoolRef{}, quarantine.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			f.on(pools, reply(200, `{"pools": [`+strings.Join(c.pools, ",")+`]}`))
			got, err := newTestAPI(t, f, func(cfg *APIConfig) { cfg.VolumePools = c.config }).VolumePool(t.Context(), "")
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	a := newTestAPI(t, newFakeCloud(t))
	if got, err := a.ImagePool(t.Context()); err != nil || got.Pool != "images" {
		t.Errorf("images: %+v, %v", got, err)
	}
	if _, err := a.VolumePool(t.Context(), "nosuch"); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("no such type: %v", err)
	}
}

const (
	serversPath = "/compute/v2.1/servers"
	ghostServer = serversPath + "/" + ghost
)

func serverIs(status, more string) http.HandlerFunc {
	return reply(200, fmt.Sprintf(`{"server": {"id": %q, "name": "n", "status": %q %s}}`, ghost, status, more))
}

// TestBootServer proves what Nova is asked for: nothing of the outside for a
// defanged server, and volumes that outlive it.
func TestBootServer(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	var asked map[string]any
	f.on("POST "+serversPath, keep(t, &asked, reply(202, fmt.Sprintf(`{"server": {"id": %q}}`, ghost))))
	f.on("GET "+ghostServer, inTurn(serverIs("BUILD", ""), serverIs("ACTIVE", `, "config_drive": ""`)))
	m, err := a.BootServer(t.Context(), quarantine.ServerOrder{Name: "n", Root: ids["root"], Data: []string{ids["vol"]}, Defanged: true, Metadata: map[string]string{"case": "7"}})
	if err != nil || m.ID != ghost || m.Kind != quarantine.ResourceVM || m.Project.Name != "admin" {
		t.Errorf("%+v, %v", m, err)
	}
	f.settle()
	order, _ := asked["server"].(map[string]any)
	devices, err := json.Marshal(order["block_device_mapping_v2"])
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`[{"boot_index":0,"delete_on_termination":false,"destination_type":"volume","source_type":"volume","uuid":%q},{"boot_index":-1,"delete_on_termination":false,"destination_type":"volume","source_type":"volume","uuid":%q}]`, ids["root"], ids["vol"])
	if order["networks"] != "none" || order["config_drive"] != false || order["key_name"] != nil || order["user_data"] != nil || string(devices) != want || order["flavorRef"] == "" {
		t.Errorf("asked for %v", asked)
	}
	for name, o := range map[string]quarantine.ServerOrder{
		"no name":      {Root: ids["root"]},
		"no volume":    {Name: "n"},
		"volume twice": {Name: "n", Root: ids["root"], Data: []string{ids["root"]}},
		"network":      {Name: "n", Root: ids["root"], Network: "x", Defanged: true},
		"not a volume": {Name: "n", Root: "../x"},
	} {
		if _, err := a.BootServer(t.Context(), o); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.BootServer(t.Context(), quarantine.ServerOrder{Name: "n", Root: ids["root"], Flavor: "nosuch"}); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("no such flavor: %v", err)
	}
}

// TestBootServerFails proves that a server that cannot run, or that is not
// defanged, is deleted, and that its volumes are waited for.
func TestBootServerFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server http.HandlerFunc
		err    error
		said   string
	}{
		"error":        {serverIs("ERROR", `, "fault": {"message": "No valid host was found."}`), quarantine.ErrInvalid, "No valid host"},
		"config drive": {serverIs("ACTIVE", `, "config_drive": "True"`), quarantine.ErrRefused, "force_config_drive"},
		"Nova fails":   {reply(500, `{}`), quarantine.ErrUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			onlyOwnProject(f)
			a := newTestAPI(t, f)
			f.on("POST "+serversPath, reply(202, fmt.Sprintf(`{"server": {"id": %q}}`, ghost)))
			f.on("GET "+ghostServer, c.server)
			f.on("DELETE "+ghostServer, func(w http.ResponseWriter, r *http.Request) {
				f.on("GET "+ghostServer, inTurn(c.server, reply(404, `{}`)))
				reply(204, ``)(w, r)
			})
			f.on("GET "+ghostVolume, inTurn(volumeIs("in-use"), volumeIs("detaching"), volumeIs("available")))
			_, err := a.BootServer(t.Context(), quarantine.ServerOrder{Name: "n", Root: ghost, Defanged: true})
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.said) {
				t.Errorf("%v", err)
			}
			if len(f.requests("DELETE "+ghostServer)) != 1 || len(f.requests("GET "+ghostVolume)) != 3 {
				t.Errorf("%v", f.requests(""))
			}
			if _, err := a.BootServer(t.Context(), quarantine.ServerOrder{Name: "n", Root: ghost, Project: "demo"}); !errors.Is(err, quarantine.ErrRefused) {
				t.Errorf("a project without a role: %v", err)
			}
		})
	}
}

// TestDiscard proves that what was made is deleted until it is gone, the offer
// of a transfer first; that what is gone is no error; and that nothing of
// another name is deleted.
func TestDiscard(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ok := reply(202, ``)
	f.on("GET "+ghostServer, inTurn(serverIs("ACTIVE", ""), serverIs("ACTIVE", ""), reply(404, `{}`)))
	f.on("DELETE "+ghostServer, ok)
	f.on("GET "+ghostVolume, inTurn(volumeIs("awaiting-transfer"), volumeIs("deleting"), reply(404, `{}`)))
	f.on("DELETE "+ghostVolume, ok)
	f.on("DELETE "+volumesPath+"os-volume-transfer/t1", ok)
	f.on("GET /image/v2/images/"+ghost, inTurn(reply(200, `{"id": "`+ghost+`", "name": "n", "status": "active"}`), reply(404, `{}`)))
	f.on("DELETE /image/v2/images/"+ghost, reply(204, ``))
	for _, m := range []quarantine.Made{
		{Kind: quarantine.ResourceVM, ID: ghost, Name: "n"},
		{Kind: quarantine.ResourceVolume, ID: ghost, Name: "n", Transfer: &quarantine.Transfer{ID: "t1"}},
		{Kind: quarantine.ResourceImage, ID: ghost, Name: "n"},
	} {
		for range 2 { // the second time it is gone
			if err := a.Discard(t.Context(), m); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
		}
	}
	if deleted := f.requests("DELETE "); len(deleted) != 4 {
		t.Errorf("%v", deleted)
	}
	for _, m := range []quarantine.Made{
		{Kind: quarantine.ResourceVM, ID: recordedIDs(t)["web"], Name: "another"}, {Kind: "disk", ID: ghost}, {Kind: quarantine.ResourceImage, ID: "../x"},
	} {
		if err := a.Discard(t.Context(), m); !errors.Is(err, quarantine.ErrRefused) && !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if deleted := f.requests("DELETE "); len(deleted) != 4 {
		t.Errorf("%v", deleted)
	}
}

// TestDiscardSoftDeleted proves that a server which the site would keep for a
// while after its delete (reclaim_instance_interval) is deleted by force, once,
// as soon as Nova lets; and that another one is not.
func TestDiscardSoftDeleted(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]http.HandlerFunc{
		"seen by its state":  serverIs("SOFT_DELETED", `, "OS-EXT-STS:vm_state": "soft-delete"`),
		"seen by its status": serverIs("SOFT_DELETED", ""), // others than administrators are not shown the state
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			a := newTestAPI(t, f, func(cfg *APIConfig) { cfg.Wait = 5 * time.Second })
			f.on("GET "+ghostServer, inTurn(serverIs("ACTIVE", ""), serverIs("ACTIVE", `, "OS-EXT-STS:task_state": "soft-deleting"`), kept))
			f.on("DELETE "+ghostServer, reply(204, ``))
			var asked map[string]any
			attempts := 0
			f.on("POST "+ghostServer+"/action", func(w http.ResponseWriter, r *http.Request) {
				if attempts++; attempts == 1 {
					reply(409, `{"conflictingRequest": {"message": "task_state soft-deleting"}}`)(w, r)
					return
				}
				f.on("GET "+ghostServer, inTurn(kept, kept, reply(404, `{}`)))
				keep(t, &asked, reply(202, ``))(w, r)
			})
			if err := a.Discard(t.Context(), quarantine.Made{Kind: quarantine.ResourceVM, ID: ghost, Name: "n"}); err != nil {
				t.Error(err)
			}
			f.settle()
			if _, ok := asked["forceDelete"]; !ok || len(asked) != 1 || attempts != 2 || len(f.requests("DELETE ")) != 1 {
				t.Errorf("asked for %v, in %d attempts; %v", asked, attempts, f.requests("DELETE "))
			}
		})
	}
}

// TestFacts proves what an operator is told of the cloud.
func TestFacts(t *testing.T) {
	t.Parallel()
	got, err := newTestAPI(t, newFakeCloud(t)).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.ComputeVersion != "2.90" || got.VolumeVersion != "3.70" || !got.Names || got.Project.Name != "admin" || got.Images == nil || got.Images.Pool != "images" ||
		len(got.Services) != 5 || !got.Services[0].Up || !got.Services[0].Enabled || len(got.Volumes) != 1 || got.Volumes[0].Pool == nil || got.Volumes[0].Pool.Pool != "volumes" {
		t.Errorf("%+v", got)
	}
}
