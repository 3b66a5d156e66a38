package openstack

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

const serverID = "4f4d0436-ae4c-4033-a285-d2bf905cf3bc"

// event returns a recorded message's inner message, to be changed.
func event(t *testing.T, scenario, file string) map[string]any {
	t.Helper()
	for _, r := range recording(t, scenario) {
		if strings.HasPrefix(r.File, file) {
			inner, err := unwrap(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(inner, &m); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatalf("%s has no message %s", scenario, file)
	return nil
}

// payload is the part with the server's or volume's fields.
func payload(m map[string]any) map[string]any {
	p := m["payload"].(map[string]any)
	if data, ok := p["nova_object.data"].(map[string]any); ok {
		return data
	}
	return p
}

// decode sends the bare inner message, as a hook may.
func decode(t *testing.T, m map[string]any) []quarantine.Deletion {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := Decode(cloudName, body)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// one decodes a message of one Deletion.
func one(t *testing.T, m map[string]any) quarantine.Deletion {
	t.Helper()
	ds := decode(t, m)
	if len(ds) != 1 {
		t.Fatalf("%d deletions, want one", len(ds))
	}
	return ds[0]
}

func required(d quarantine.Deletion) bool {
	for _, r := range d.Disks {
		if r.Required {
			return true
		}
	}
	return false
}

// TestBareMessage proves that the message without its envelope, and one whose
// envelope holds an object, are read like the one from the broker.
func TestBareMessage(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "027")
	want := one(t, m)
	if got := one(t, map[string]any{"oslo.version": "2.0", "oslo.message": m}); !got.Equal(want) {
		t.Errorf("in an envelope:\n got %+v\nwant %+v", got, want)
	}
}

// TestDeleterIsNotOwner proves that an administrator who deletes another's
// server is the deleter, and lends the owner neither name nor project.
func TestDeleterIsNotOwner(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"027", "028"} {
		m := event(t, "normal-delete", file)
		m["_context_user_id"], m["_context_user"], m["_context_user_name"] = "0a", "0a", "root"
		m["_context_project_id"], m["_context_project"], m["_context_project_name"] = "0b", "0b", "ops"
		d := one(t, m)
		if want := (quarantine.Principal{ID: "0a", Name: "root"}); d.Deleter != want {
			t.Errorf("deleter %+v, want %+v", d.Deleter, want)
		}
		if want := (quarantine.Principal{ID: userID}); d.User != want {
			t.Errorf("user %+v, want %+v", d.User, want)
		}
		if want := (quarantine.Principal{ID: projectID}); d.Project != want {
			t.Errorf("project %+v, want %+v", d.Project, want)
		}
	}
}

// TestUpdateDoesNotNameTheDeleter proves that the context of an update is not
// taken for the deleter's: recorded is a build that saves "deleting".
func TestUpdateDoesNotNameTheDeleter(t *testing.T) {
	t.Parallel()
	d := one(t, event(t, "delete-while-building", "021"))
	if d.Kind != quarantine.KindDelete || d.Deleter != (quarantine.Principal{}) || d.RequestID != "" {
		t.Errorf("got %s", describe(d))
	}
}

// TestRequired says when the root disk's absence is an alarm.
func TestRequired(t *testing.T) {
	t.Parallel()
	change := func(keys ...any) func(map[string]any) {
		return func(p map[string]any) {
			for i := 0; i < len(keys); i += 2 {
				p[keys[i].(string)] = keys[i+1]
			}
		}
	}
	bootVolume := []any{map[string]any{"nova_object.data": map[string]any{
		"boot_index": 0, "volume_id": serverID, "delete_on_termination": false,
	}}}
	for name, c := range map[string]struct {
		scenario, file string
		change         func(map[string]any)
		want           bool
	}{
		"begun, running":                 {"normal-delete", "027", nil, true},
		"begun, running (versioned)":     {"normal-delete", "028", nil, true},
		"shutdown":                       {"normal-delete", "029", nil, true},
		"stopped":                        {"stop-then-delete", "035", nil, true},
		"reclaimed":                      {"soft-delete-reclaim", "033", nil, true},
		"by nova-api, compute down":      {"local-delete-compute-down", "028", nil, true},
		"update only":                    {"normal-delete", "025", nil, false},
		"end only":                       {"normal-delete", "037", nil, false},
		"soft delete":                    {"soft-delete-reclaim", "027", nil, false},
		"rebuild":                        {"rebuild", "033", nil, false},
		"shelve offload":                 {"shelve-offload-delete", "042", nil, false},
		"shelved and offloaded":          {"shelve-offload-delete", "055", nil, false},
		"still building":                 {"delete-while-building", "027", nil, false},
		"failed to build":                {"error-server-delete", "008", nil, false},
		"boots from a volume":            {"boot-from-volume", "055", nil, false},
		"failed while it ran":            {"normal-delete", "027", change("state", "error"), false},
		"shelved":                        {"normal-delete", "027", change("state", "shelved"), false},
		"no host":                        {"normal-delete", "028", change("host", nil), false},
		"never launched":                 {"normal-delete", "028", change("launched_at", nil), false},
		"image, but the root a volume":   {"normal-delete", "028", change("block_devices", bootVolume), false},
		"volume":                         {"volume-create-delete", "004", nil, true},
		"volume, begun":                  {"volume-create-delete", "003", nil, false},
		"volume, never scheduled":        {"volume-create-delete", "004", change("host", nil), false},
		"volume, its creation failed":    {"volume-create-delete", "004", change("launched_at", "2026-11-22T22:43:23.929801"), false},
		"volume, of an older Cinder":     {"volume-create-delete", "004", change("launched_at", "2026-11-20T10:00:00"), true},
		"image":                          {"shelve-offload-delete", "052", nil, false},
		"resize":                         {"resize-confirm-delete", "055", nil, false},
		"volume, with a launch in words": {"volume-create-delete", "004", change("launched_at", "yesterday"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := event(t, c.scenario, c.file)
			if c.change != nil {
				c.change(payload(m))
			}
			if got := required(one(t, m)); got != c.want {
				t.Errorf("required: %v, want %v", got, c.want)
			}
		})
	}
}

// TestFailedBuildIsNoDeletion proves that the shutdown of a build that failed
// is not taken for a delete: the server may be built on another host.
func TestFailedBuildIsNoDeletion(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "029")
	payload(m)["state"], payload(m)["state_description"] = "building", "spawning"
	if ds := decode(t, m); ds != nil {
		t.Errorf("got %s", describe(ds[0]))
	}
}

// TestActsThatRepeat proves that two rebuilds of one server are two Deletions,
// and that a delete that was tried twice is one.
func TestActsThatRepeat(t *testing.T) {
	t.Parallel()
	for file, same := range map[string]bool{"033": false, "053": true} {
		m := event(t, "rebuild", file)
		a := one(t, m)
		m["_context_request_id"] = "req-00000000-0000-0000-0000-000000000000"
		if b := one(t, m); (a.ID == b.ID) != same {
			t.Errorf("%s: the same id for two requests: %v, want %v", a.Kind, a.ID == b.ID, same)
		}
	}
}

// TestUpperCaseID proves that an id in capitals is the same server's, and names
// the disk as Nova does.
func TestUpperCaseID(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "027")
	want := one(t, m)
	payload(m)["instance_id"] = strings.ToUpper(serverID)
	if got := one(t, m); !got.Equal(want) {
		t.Errorf("got %s", describe(got))
	}
}

// TestUnrescue covers an act that was not recorded: the rescue disk goes.
func TestUnrescue(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "028")
	m["event_type"] = "instance.unrescue.start"
	d := one(t, m)
	if d.Kind != quarantine.KindUnrescue || !d.Disks[1].Matches(quarantine.PoolRef{}, serverID+"_disk.rescue") {
		t.Errorf("got %s, disks %+v", describe(d), d.Disks)
	}
	for _, r := range d.Disks {
		if r.Matches(quarantine.PoolRef{}, serverID+"_disk") {
			t.Errorf("%+v claims the root disk", r)
		}
	}
}

// TestAttachedVolume proves that an attachment in Cinder's event says whose
// the volume was, and that its metadata is read in both forms.
func TestAttachedVolume(t *testing.T) {
	t.Parallel()
	m := event(t, "volume-create-delete", "003")
	payload(m)["volume_attachment"] = []any{map[string]any{"instance_uuid": serverID}}
	payload(m)["metadata"] = []any{map[string]any{"key": "k", "value": "v"}}
	d := one(t, m)
	if d.ServerID != serverID || d.Metadata["k"] != "v" {
		t.Errorf("got %s", describe(d))
	}
}

// TestOddFields proves that a deletion is not refused for fields that are good
// to have and came in another type, and that NUL, which a database may not
// take, does not pass.
func TestOddFields(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "028")
	p := payload(m)
	for _, key := range []string{"flavor", "ip_addresses", "block_devices", "metadata", "tags", "availability_zone", "created_at"} {
		p[key] = []any{1, "x", map[string]any{"y": nil}}
	}
	p["display_name"] = "a\x00b"
	m["timestamp"] = 7
	d := one(t, m)
	if d.ResourceID != serverID || d.ResourceName != "ab" || !d.StartedAt.IsZero() {
		t.Errorf("got %s", describe(d))
	}
}

// TestTimes proves that times without a zone are UTC, and that others are
// brought to it.
func TestTimes(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 22, 22, 40, 6, 615273000, time.UTC)
	for _, s := range []text{
		"2026-11-22 22:40:06.615273", "2026-11-22T22:40:06.615273", "2026-11-22T22:40:06.615273Z",
		"2026-11-22 22:40:06.615273+00:00", "2026-11-23T00:40:06.615273+02:00",
	} {
		if got := utc(s); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
	for _, s := range []text{"", "now", "0001-01-01 00:00:00", "9999-12-31T23:59:59-01:00"} {
		if got := utc(s); !got.IsZero() {
			t.Errorf("%q: %s, want none", s, got)
		}
	}
}

// TestUnreadable proves that what cannot be read is said to be invalid, and
// why, and that an event that reports no deletion is not read at all.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, says string }{
		"nothing":          {``, "not JSON"},
		"text":             {`hello`, "not JSON, at byte 1"},
		"cut short":        {`{"oslo.message":"{}`, "not JSON"},
		"list":             {`[1]`, "not an object"},
		"inner cut short":  {`{"oslo.message":"{\"event_type\":\"instance.delete.start\",\"payload\":{"}`, "cut short"},
		"inner list":       {`{"oslo.message":"[]"}`, "not an object"},
		"inner empty":      {`{"oslo.message":""}`, "cut short"},
		"no event type":    {`{"payload":{}}`, "no event_type"},
		"event type null":  {`{"event_type":null}`, "no event_type"},
		"no payload":       {`{"event_type":"instance.delete.start"}`, "the server's id is missing"},
		"payload list":     {`{"event_type":"instance.delete.start","payload":[]}`, "is not an object"},
		"no server":        {`{"event_type":"compute.instance.delete.start","payload":{}}`, "the server's id is missing or no UUID"},
		"server no uuid":   {`{"event_type":"compute.instance.delete.start","payload":{"instance_id":"vms"}}`, "no UUID"},
		"volume no uuid":   {`{"event_type":"volume.delete.end","payload":{"volume_id":"4f4d0436-ae4c-4033-a285-d2bf905cf3b/"}}`, "no UUID"},
		"image no uuid":    {`{"event_type":"image.delete","payload":{"id":7}}`, "no UUID"},
		"versioned is odd": {`{"event_type":"instance.delete.start","payload":{"nova_object.data":[]}}`, "not an object"},
		"odd, no deletion": {`{"event_type":"instance.shutdown.end","payload":{"nova_object.data":null}}`, "not an object"},
	} {
		ds, err := Decode(cloudName, []byte(c.body))
		if !errors.Is(err, quarantine.ErrInvalid) || ds != nil {
			t.Errorf("%s: %v, %v; want an error that wraps ErrInvalid", name, ds, err)
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", name, err, c.says)
		}
	}
	if ds, err := Decode(cloudName, []byte(`{"oslo.message":"{\"event_type\":\"instance.exists\",\"payload\":"}`)); ds != nil || err != nil {
		t.Errorf("an event of no interest was read: %v, %v", ds, err)
	}
}
