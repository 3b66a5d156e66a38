package openstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

var (
	admin = quarantine.Principal{ID: recordedAdmin, Name: "admin", Domain: "Default"}
	demo  = quarantine.Principal{ID: recordedDemo, Name: "demo", Domain: "Default"}
)

// TestLiving proves that all pages of all three services are listed, with the
// soft-deleted server, another project's private image and the hidden one; and
// that what is told of each is complete.
func TestLiving(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	found := living(t, a)
	for _, what := range []string{"web", "bfv", "soft", "vol", "root", "quiet"} {
		if _, ok := found[ids[what]]; !ok {
			t.Errorf("%s is not listed", what)
		}
	}
	if _, ok := found[ids["dead"]]; ok {
		t.Error("the dead server is listed")
	}
	web := found[ids["web"]]
	if web.ID != quarantine.DeletionID(cloudName, quarantine.KindDelete, ids["web"], "") || web.ResourceName != `web "1" <b>&` ||
		web.Project.Name != "demo" || web.Project.Domain != "Default" || web.User != demo || web.Flavor != "te" || web.Image.Name != "quiet" ||
		web.Host != "node1" || web.AvailabilityZone != "nova" || web.KeyPair != "demo-key" || web.CreatedAt.IsZero() ||
		web.Metadata["purpose"] != "web" || !slices.Equal(web.Tags, []string{"prod"}) || !web.StartedAt.IsZero() || !web.EndedAt.IsZero() {
		t.Errorf("web: %+v", web)
	}
	if len(web.Addresses) != 1 || web.Addresses[0].Type != "fixed" || web.Addresses[0].MAC == "" || web.Addresses[0].Network != "private" || web.Addresses[0].IP == "" {
		t.Errorf("web's addresses: %+v", web.Addresses)
	}
	if want := []quarantine.VolumeRef{{ID: ids["vol"], Device: web.Volumes[0].Device, DeleteOnTermination: true}}; !slices.Equal(web.Volumes, want) || web.Volumes[0].Device == "" {
		t.Errorf("web's volumes: %+v", web.Volumes)
	}
	if v := found[ids["bfv"]].Volumes; !slices.Equal(v, []quarantine.VolumeRef{{ID: ids["root"], Device: "/dev/vda", Boot: true}}) {
		t.Errorf("the volumes of the server that boots from one: %+v", v)
	}
	root := found[ids["root"]]
	if root.ServerID != ids["bfv"] || root.Image.Name != "quiet" || root.Flavor != "__DEFAULT__" || root.User != demo || root.Host != "node1@ceph#ceph" ||
		root.Disks[0] != (quarantine.DiskRef{Name: "volume-" + ids["root"], Prefix: true, Role: "volume"}) {
		t.Errorf("root: %+v", root)
	}
	names := map[string]bool{}
	for _, d := range found {
		names[d.ResourceName] = true
	}
	if !names["demo-private"] || !names["hid"] {
		t.Errorf("images: %v", names)
	}
	if n := len(f.requests("GET /identity/v3/users/" + recordedDemo)); n != 1 {
		t.Errorf("a user's name was asked for %d times", n)
	}
}

// TestLivingAgreesWithTheDecoder proves that the Deletion that a sighting
// promises is the one that the notifications report: same id, same disks.
func TestLivingAgreesWithTheDecoder(t *testing.T) {
	t.Parallel()
	for _, d := range living(t, newTestAPI(t, newFakeCloud(t))) {
		var event string
		switch d.ResourceKind {
		case quarantine.ResourceVM:
			event = fmt.Sprintf(`{"event_type": "instance.delete.start", "payload": {"nova_object.data": {"uuid": %q}}}`, d.ResourceID)
		case quarantine.ResourceVolume:
			event = fmt.Sprintf(`{"event_type": "volume.delete.start", "payload": {"volume_id": %q}}`, d.ResourceID)
		case quarantine.ResourceImage:
			event = fmt.Sprintf(`{"event_type": "image.delete", "payload": {"id": %q}}`, d.ResourceID)
		}
		reported, err := Decode(cloudName, []byte(event))
		if err != nil || len(reported) != 1 {
			t.Fatalf("%v %v", reported, err)
		}
		if r := reported[0]; r.ID != d.ID || r.Kind != d.Kind || !slices.Equal(r.Disks, d.Disks) {
			t.Errorf("%s: %+v, the decoder says %+v", d.ResourceID, d, r)
		}
	}
}

// TestLivingIsWholeOrFails proves that a cell that does not answer, a listing
// that repeats itself, an error of a later page and one of the callee end the
// listing with an error.
func TestLivingIsWholeOrFails(t *testing.T) {
	t.Parallel()
	const servers, images = "GET /compute/v2.1/servers/detail", "GET /image/v2/images"
	page := fmt.Sprintf(`{"servers": [{"id": %q, "tenant_id": %q}], "servers_links": [{"rel": "next"}]}`, ghost, recordedDemo)
	for name, h := range map[string]struct {
		request string
		answer  http.HandlerFunc
	}{
		"cell down":   {"GET /compute/v2.1/os-services", reply(200, `{"services": [{"binary": "nova-compute", "host": "n2", "status": "UNKNOWN"}]}`)},
		"not allowed": {"GET /compute/v2.1/os-services", reply(403, `{}`)},
		"repeats":     {servers, reply(200, page)},
		"no id":       {servers, reply(200, `{"servers": [{"id": "../../x"}]}`)},
		"breaks off":  {servers, inTurn(reply(200, page), reply(404, `{}`))},
		"no list":     {images, reply(200, `{}`)},
		"keystone":    {"GET /identity/v3/users/" + recordedDemo, reply(500, `{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			f.on(h.request, h.answer)
			err := newTestAPI(t, f).Living(t.Context(), func(quarantine.Deletion) error { return nil })
			want := quarantine.ErrUnavailable
			if name == "not allowed" {
				want = quarantine.ErrRefused
			}
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
	broken := errors.New("broken")
	n := 0
	err := newTestAPI(t, newFakeCloud(t)).Living(t.Context(), func(quarantine.Deletion) error { n++; return broken })
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("after an error it was called %d times: %v", n, err)
	}
}

// TestCellGoesDown proves that a server whose cell stops to answer between the
// looks at the cells is never told of with next to nothing: neither as living
// nor as dead, nor as one without a name. One of a state that Nova does not know
// is told of as ever.
func TestCellGoesDown(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	const shown = `{"id": "` + ghost + `", "status": "UNKNOWN", "tenant_id": "` + recordedDemoProject + `", "created": "2026-11-24T00:00:00Z", "links": []}`
	f.on("GET /compute/v2.1/servers/detail", reply(200, `{"servers": [`+shown+`]}`))
	f.on("GET /compute/v2.1/servers/"+ghost, reply(404, `{}`))
	unlessServer := func(d quarantine.Deletion) error {
		if d.ResourceKind == quarantine.ResourceVM {
			t.Errorf("told of: %+v", d)
		}
		return nil
	}
	death := quarantine.Deletion{ID: "x", Cloud: cloudName, Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: ghost}
	for name, ask := range map[string]func() error{
		"living":   func() error { return a.Living(t.Context(), unlessServer) },
		"dead":     func() error { return a.Dead(t.Context(), time.Time{}, unlessServer) },
		"count":    func() error { _, err := a.CountDead(t.Context(), time.Time{}); return err },
		"complete": func() error { _, err := a.Complete(t.Context(), death); return err },
		"acts":     func() error { _, err := a.Acts(t.Context(), quarantine.ResourceVM, ghost); return err },
		"marked": func() error {
			s, err := a.session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.markedServer(t.Context(), "m")
			return err
		},
	} {
		if err := ask(); !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.on("GET /compute/v2.1/servers/detail", reply(200, `{"servers": [{"id": "`+ghost+`", "status": "UNKNOWN", "name": "n", "updated": "2026-11-24T00:00:00Z"}]}`))
	if d := living(t, a)[ghost]; d.ResourceName != "n" {
		t.Errorf("in an unknown state: %+v", d)
	}
}

// ghost is an id that no resource has.
const ghost = "00000000-0000-4000-8000-000000000000"

// TestListSurvivesADeletedMarker proves that a listing goes on, and skips and
// repeats nothing, if the last resource of a page is deleted before the next
// page is asked for.
func TestListSurvivesADeletedMarker(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	s, err := newTestAPI(t, f).session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	const size = 7
	alive := []int{0, 1, 2, 3, 4, 5, 6}
	f.on("GET /image/v2/images", func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if marker := r.URL.Query().Get("marker"); marker != "" {
			i := slices.IndexFunc(alive, func(n int) bool { return id(n) == marker })
			if i < 0 {
				reply(http.StatusBadRequest, `{}`)(w, r)
				return
			}
			from = i + 1
		}
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil {
			reply(http.StatusBadRequest, `{}`)(w, r)
			return
		}
		answer := map[string]any{}
		images := []any{}
		for _, n := range alive[from:min(from+limit, len(alive))] {
			images = append(images, map[string]string{"id": id(n)})
		}
		if from+limit < len(alive) {
			answer["next"] = "/v2/images?marker=x"
		}
		answer["images"] = images
		// One image at a time dies just after it was listed: 1, then 3 …
		if i := from + limit - 1; i < len(alive) && alive[i]%2 == 1 {
			alive = slices.Delete(slices.Clone(alive), i, i+1)
		}
		data, err := json.Marshal(answer)
		if err != nil {
			t.Error(err)
		}
		reply(200, string(data))(w, r)
	})
	var got []string
	err = list(t.Context(), s, imageService, "images", "images", url.Values{}, func(v apiImage) error { got = append(got, v.ident()); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for n := range size {
		if count := len(slices.DeleteFunc(slices.Clone(got), func(g string) bool { return g != id(n) })); count != 1 {
			t.Errorf("image %d was listed %d times: %v", n, count, got)
		}
	}
}

// TestDead proves what is told of the deleted and the soft-deleted server, and
// that those who died earlier than asked are left out although their records
// changed later.
func TestDead(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	since := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	found := map[string]quarantine.Deletion{}
	err := a.Dead(t.Context(), since, func(d quarantine.Deletion) error { found[d.ResourceID] = d; return d.Validate() })
	if err != nil {
		t.Fatal(err)
	}
	dead := found[ids["dead"]]
	if dead.ID != quarantine.DeletionID(cloudName, quarantine.KindDelete, ids["dead"], "") || dead.Deleter != admin || dead.User != demo ||
		dead.Project.Name != "demo" || !strings.HasPrefix(dead.RequestID, "req-") || dead.StartedAt.IsZero() || dead.EndedAt.Before(dead.StartedAt) ||
		dead.Flavor != "t1" || dead.Image.Name != "quiet" || dead.Host != "node1" || len(dead.Addresses)+len(dead.Tags)+len(dead.Metadata) != 0 {
		t.Errorf("dead: %+v", dead)
	}
	soft := found[ids["soft"]]
	if soft.Kind != quarantine.KindSoftDelete || soft.Deleter != demo || soft.ID != quarantine.DeletionID(cloudName, quarantine.KindSoftDelete, ids["soft"], soft.RequestID) {
		t.Errorf("soft-deleted: %+v", soft)
	}
	n, err := a.CountDead(t.Context(), since)
	if err != nil || n != len(found) {
		t.Errorf("%d are counted, %d listed: %v", n, len(found), err)
	}
	for _, answer := range []string{`"OS-SRV-USG:terminated_at": "2026-11-20T00:00:00.000000"`, `"OS-SRV-USG:terminated_at": null, "updated": "2026-11-20T00:00:00Z"`} {
		f.on("GET /compute/v2.1/servers/detail", reply(200, fmt.Sprintf(`{"servers": [{"id": %q, "updated": "2026-11-24T12:00:00Z", %s}]}`, ghost, answer)))
		if n, err := a.CountDead(t.Context(), since); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", answer, n, err)
		}
	}
}

// TestReclaimUnderWay proves that while Nova reclaims a soft-deleted server, who
// asked for the soft delete is the deleter; and that of a request of somebody's
// own only its user is.
func TestReclaimUnderWay(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	f.on("GET /compute/v2.1/servers/"+ghost, reply(200, fmt.Sprintf(`{"server": {"id": %q, "OS-EXT-STS:vm_state": "soft-delete"}}`, ghost)))
	f.on("GET /compute/v2.1/servers/"+ghost+"/os-volume_attachments", reply(200, `{"volumeAttachments": []}`))
	f.on("GET /compute/v2.1/servers/"+ghost+"/os-instance-actions", reply(200, fmt.Sprintf(
		`{"instanceActions": [{"action": "delete", "request_id": "req-soft", "user_id": %q, "start_time": "2026-11-20T00:00:00"}]}`, recordedAdmin)))
	for request, kind := range map[string]quarantine.Kind{"req-of-novas-own": quarantine.KindDelete, "req-soft": quarantine.KindDelete, "": quarantine.KindDelete, "req-other": quarantine.KindSoftDelete} {
		c, err := a.Complete(t.Context(), quarantine.Deletion{
			ID: quarantine.DeletionID(cloudName, kind, ghost, ""), Cloud: cloudName, Kind: kind,
			ResourceKind: quarantine.ResourceVM, ResourceID: ghost, RequestID: request,
		})
		want := admin
		if kind == quarantine.KindSoftDelete {
			want = quarantine.Principal{}
		}
		if err != nil && !errors.Is(err, quarantine.ErrNotFound) || c.Deleter != want || c.StartedAt.IsZero() == (request == "" || request == "req-soft") {
			t.Errorf("request %q: %+v, %v", request, c, err)
		}
	}
}

// TestDeadReclaimed proves that a server which was reclaimed long after its
// soft delete has the deleter, but not the times of a request that did not
// destroy it; and that one without actions has none.
func TestDeadReclaimed(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ended := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.on("GET /compute/v2.1/servers/detail", reply(200, fmt.Sprintf(`{"servers": [{"id": %q, "OS-SRV-USG:terminated_at": "2026-11-24T12:00:00.000000", "OS-EXT-STS:vm_state": "deleted"}]}`, ghost)))
	actions := func(start, updated string) string {
		return fmt.Sprintf(`{"instanceActions": [{"action": "delete", "request_id": "req-1", "user_id": %q, "start_time": %q, "updated_at": %q}]}`, recordedAdmin, start, updated)
	}
	for name, c := range map[string]struct {
		body string
		want quarantine.Deletion
	}{
		"reclaimed": {actions("2026-11-20T00:00:00", "2026-11-20T00:00:03"), quarantine.Deletion{Deleter: admin}},
		"asked for": {actions("2026-11-24T11:59:57", "2026-11-24T12:00:01"), quarantine.Deletion{Deleter: admin, RequestID: "req-1", StartedAt: ended.Add(-3 * time.Second)}},
		"later":     {actions("2026-11-24T13:00:00", "2026-11-24T13:00:01"), quarantine.Deletion{}},
		"none":      {`{"instanceActions": []}`, quarantine.Deletion{}},
	} {
		f.on("GET /compute/v2.1/servers/"+ghost+"/os-instance-actions", reply(200, c.body))
		var got quarantine.Deletion
		if err := a.Dead(t.Context(), ended, func(d quarantine.Deletion) error { got = d; return nil }); err != nil {
			t.Fatal(err)
		}
		if got.Deleter != c.want.Deleter || got.RequestID != c.want.RequestID || !got.StartedAt.Equal(c.want.StartedAt) || !got.EndedAt.Equal(ended) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestActs proves that the acts are those that the events would have reported,
// with the same ids.
func TestActs(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	ds, err := a.Acts(t.Context(), quarantine.ResourceVM, ids["dead"])
	if err != nil || len(ds) != 2 {
		t.Fatalf("%+v %v", ds, err)
	}
	rebuild, death := ds[0], ds[1]
	if rebuild.Kind != quarantine.KindRebuild || rebuild.ID != quarantine.DeletionID(cloudName, quarantine.KindRebuild, ids["dead"], rebuild.RequestID) ||
		rebuild.Deleter != admin || rebuild.StartedAt.IsZero() || rebuild.EndedAt.IsZero() || rebuild.Image.ID != "" || len(rebuild.Disks) == 0 {
		t.Errorf("rebuild: %+v", rebuild)
	}
	if death.Kind != quarantine.KindDelete || death.Deleter != admin || death.EndedAt.IsZero() {
		t.Errorf("delete: %+v", death)
	}
	for what, kind := range map[string]quarantine.ResourceKind{"soft": quarantine.ResourceVM, "vol": quarantine.ResourceVolume, "quiet": quarantine.ResourceImage} {
		if ds, err := a.Acts(t.Context(), kind, ids[what]); err != nil || len(ds) != 0 {
			t.Errorf("%s: %+v %v", what, ds, err)
		}
	}
	f.on("GET /compute/v2.1/servers/"+ghost, reply(404, `{}`))
	f.on("GET /compute/v2.1/servers/detail", reply(200, `{"servers": []}`))
	if ds, err := a.Acts(t.Context(), quarantine.ResourceVM, ghost); err != nil || len(ds) != 0 {
		t.Errorf("unknown: %+v %v", ds, err)
	}
}

// TestComplete proves that what a report lacks is added, for what lives and
// what is gone, and that nothing it says is contradicted.
func TestComplete(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	death := func(kind quarantine.Kind, resource quarantine.ResourceKind, id string) quarantine.Deletion {
		return quarantine.Deletion{ID: quarantine.DeletionID(cloudName, kind, id, ""), Cloud: cloudName, Kind: kind, ResourceKind: resource, ResourceID: id}
	}

	d := death(quarantine.KindDelete, quarantine.ResourceVM, ids["dead"])
	d.ResourceName = "as it was called then"
	d.Deleter = quarantine.Principal{ID: recordedDemo}
	d.Project = quarantine.Principal{ID: recordedDemoProject, Name: "as it was called then"}
	c, err := a.Complete(t.Context(), d)
	if err != nil || c.ID != d.ID || c.ResourceName != "" || c.Deleter != demo || c.Project.Name != d.Project.Name || c.Project.Domain != "Default" ||
		c.User != demo || c.Flavor != "t1" || c.EndedAt.IsZero() {
		t.Errorf("gone server: %+v, %v", c, err)
	}
	if m := quarantine.Merge(d, c); m.ResourceName != d.ResourceName || m.Project.Name != d.Project.Name {
		t.Errorf("merged: %+v", m)
	}

	c, err = a.Complete(t.Context(), death(quarantine.KindDelete, quarantine.ResourceVM, ids["web"]))
	if err != nil || len(c.Addresses) != 1 || len(c.Volumes) != 1 || c.Volumes[0].Device == "" || c.KeyPair != "demo-key" || c.Deleter != (quarantine.Principal{}) || !c.StartedAt.IsZero() {
		t.Errorf("living server: %+v, %v", c, err)
	}

	d = death(quarantine.KindVolumeDelete, quarantine.ResourceVolume, ghost)
	if _, err = a.Complete(t.Context(), d); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a volume that is gone: %v", err)
	}
	d.Project.ID, d.User.ID = recordedDemoProject, "deadbeef"
	c, err = a.Complete(t.Context(), d)
	if err != nil || c.Project.Name != "demo" || c.User.Name != "" || c.Deleter.ID != "" {
		t.Errorf("a volume that is gone, of a known project: %+v, %v", c, err)
	}

	kind := "0c3e5466-4883-4102-b427-72cba4088ada"
	f.on("GET /volume/v3/01d34de3d09e4011aadc3ad51fcf0b82/types/"+kind, reply(200, `{"volume_type": {"id": "`+kind+`", "name": "ssd"}}`))
	d.Flavor = kind
	if c, err = a.Complete(t.Context(), d); err != nil || c.Flavor != "ssd" {
		t.Errorf("a volume that is gone, of a type known by its id: %+v, %v", c, err)
	}
	d = death(quarantine.KindVolumeDelete, quarantine.ResourceVolume, ids["root"])
	d.Flavor = kind
	if c, err = a.Complete(t.Context(), d); err != nil || c.Flavor != "__DEFAULT__" {
		t.Errorf("a living volume, of a type known by its id: %+v, %v", c, err)
	}

	c, err = a.Complete(t.Context(), death(quarantine.KindImageDelete, quarantine.ResourceImage, ids["quiet"]))
	if err != nil || c.ResourceName != "quiet" || c.Project.Name != "admin" {
		t.Errorf("image: %+v, %v", c, err)
	}

	rebuild, err := a.Acts(t.Context(), quarantine.ResourceVM, ids["dead"])
	if err != nil {
		t.Fatal(err)
	}
	d = death(quarantine.KindRebuild, quarantine.ResourceVM, ids["dead"])
	d.RequestID = rebuild[0].RequestID
	c, err = a.Complete(t.Context(), d)
	if err != nil || c.Deleter != admin || c.Image.ID != "" || !c.EndedAt.IsZero() {
		t.Errorf("rebuild: %+v, %v", c, err)
	}
	f.on("GET /compute/v2.1/servers/"+ghost, reply(500, `{}`))
	if _, err = a.Complete(t.Context(), death(quarantine.KindDelete, quarantine.ResourceVM, ghost)); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("Nova is down: %v", err)
	}
}

// TestHostileNames proves that names come through as they are, whatever is in
// them, but for NUL, which PostgreSQL cannot store.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`"'; DROP TABLE disks; --`, "two\nlines\r\n\tand \x1b[31m", strings.Repeat("😀", 255), "<script>alert(1)</script>", "\u202eright-to-left", "../../etc/passwd"} {
		f := newFakeCloud(t)
		a := newTestAPI(t, f)
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		f.on("GET /compute/v2.1/servers/detail", reply(200, fmt.Sprintf(
			`{"servers": [{"id": %q, "name": %s, "metadata": {%s: %s}, "tags": [%s], "key_name": %s, "addresses": {%s: [{"addr": "192.0.2.7"}]}, "flavor": {"original_name": %s}, "tenant_id": %s}]}`,
			ghost, quoted, quoted, quoted, quoted, quoted, quoted, quoted, quoted)))
		// An id of a project is part of an address, and must not lead elsewhere.
		d := living(t, a)[ghost]
		if d.ResourceName != name || d.Metadata[name] != name || !reflect.DeepEqual(d.Tags, []string{name}) || d.KeyPair != name || d.Addresses[0].Network != name || d.Flavor != name || d.Project.ID != name {
			t.Errorf("%q: %+v", name, d)
		}
		for _, r := range f.requests("GET ") {
			if strings.Contains(r, "/../") {
				t.Errorf("%s", r)
			}
		}
	}
}

// TestKeystoneForbids proves that without the right to read names the listing
// still works, with ids, and the credential's own names from its token.
func TestKeystoneForbids(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	for _, id := range []string{"users/" + recordedDemo, "users/" + recordedAdmin, "projects/" + recordedDemoProject} {
		f.on("GET /identity/v3/"+id, reply(403, `{}`))
	}
	a := newTestAPI(t, f)
	ids := recordedIDs(t)
	if d := living(t, a)[ids["web"]]; d.User != (quarantine.Principal{ID: recordedDemo}) || d.Project != (quarantine.Principal{ID: recordedDemoProject}) {
		t.Errorf("%+v", d)
	}
	s, err := a.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.userName(t.Context(), recordedAdmin); err != nil || p != admin {
		t.Errorf("own name: %+v, %v", p, err)
	}
}

// TestSuspect proves which names of RBD images are the cloud's, and whose.
func TestSuspect(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t, newFakeCloud(t))
	const id = "0a7a0c6b-1d31-4a66-b4f5-669de838ae34"
	for name, want := range map[string]quarantine.DiskRef{
		id + "_disk": {Role: "root"}, id + "_disk.config": {Role: "config"}, id + "_disk.eph0": {Role: "ephemeral"}, id + "_disk.eph11": {Role: "ephemeral"},
		id + "_disk.swap": {Role: "swap"}, id + "_disk.rescue": {Role: "rescue"}, id + "_disk.config.rescue": {Role: "rescue"}, id + "_disk.local": {},
		"volume-" + id: {Role: "volume"}, "volume-" + id + ".deleted": {Role: "volume"}, id: {Role: "image"},
	} {
		d, ok := a.Suspect(name)
		want.Name = name
		if !ok || d.ResourceID != id || len(d.Disks) != 1 || d.Disks[0] != want || d.Validate() != nil || d.ID != quarantine.DeletionID(cloudName, d.Kind, id, "") {
			t.Errorf("%s: %+v %v", name, d, ok)
		}
	}
	for _, name := range []string{
		"", "disk", id + "_diskette", id + "_other", id + ".disk", strings.ToUpper(id) + "_disk", "volume-", "volume-" + id + ".backup.base",
		"volume-" + id + "x", "x" + id, "quarantine.12345", "one-5-1-0", id + "é", strings.Repeat("a", 36), "volume-" + strings.Repeat("-", 36),
	} {
		if d, ok := a.Suspect(name); ok {
			t.Errorf("%q: %+v", name, d)
		}
	}
}
