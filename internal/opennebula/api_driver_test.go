package opennebula_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// refs writes references as line does.
func refs(rs []quarantine.DiskRef) string {
	_, text, _ := strings.Cut(line(quarantine.Deletion{Disks: rs}), ":")
	return strings.TrimSpace(text)
}

// tmDelete is the call of tm/ceph/delete for what lies there in the directory of
// a VM: "/disk.0", or "" for the directory.
func tmDelete(vm, what string) opennebula.DriverCall {
	return opennebula.DriverCall{Action: opennebula.TMDelete, Args: []string{"node1:/var/lib/one//datastores/101/" + vm + what, vm, "101"}}
}

// Each call of the TM driver, in the states in which such calls were recorded,
// gives the Deletion that the VM's messages report, and the images that the
// driver will remove.
func TestDyingDisks(t *testing.T) {
	t.Parallel()
	extended := map[string]string{}
	for _, vm := range elementsOf(t, recordedDoc(t, "vmpool_infoextended_done"), "VM") {
		extended[idOf(t, vm)] = vm
	}
	const cleanup = "zmq/00194.frame1"
	recreate := string(edit(t, cleanup, "<LCM_STATE>23<", "<LCM_STATE>15<", "<ACTION>13<", "<ACTION>14<"))
	tests := []struct {
		name, vm string
		kind     quarantine.Kind
		request  string
		disks    map[string]string
	}{
		{"terminate, ACTIVE/EPILOG", object(t, body(t, "zmq/00178.frame1")), quarantine.KindDelete, "", map[string]string{
			"/disk.0": "one/one-1-0-0*(root)", "/disk.1": "", "/disk.2": "one/one-sys-0-2*(ephemeral)", "/disk.3": "one/one-sys-0-3*(swap)",
			"/disk.4": "", "/disk.9": "", "": "one/one-sys-0-checkpoint(disk)",
		}},
		{"terminate again, EPILOG_FAILURE", object(t, body(t, "zmq/00503.frame1")), quarantine.KindDelete, "", map[string]string{"/disk.0": "one/one-1-15-0*(root)", "/disk.1": ""}},
		{"recover --delete, CLEANUP_DELETE", object(t, body(t, cleanup)), quarantine.KindRecoverDelete, "", map[string]string{"/disk.0": "one/one-1-2-0*(root)"}},
		{"recover --delete, DONE", recordedDoc(t, "vm_info_done_recover_delete"), quarantine.KindRecoverDelete, "", map[string]string{
			"/disk.0": "one/one-1-2-0*(root)", "/disk.1": "", "/disk.2": "one/one-sys-2-2*(ephemeral)", "/disk.3": "one/one-sys-2-3*(swap)", "": "one/one-sys-2-checkpoint(disk)",
		}},
		{"recover --delete of a terminate that failed, DONE", extended["4"], quarantine.KindRecoverDelete, "", map[string]string{"/disk.0": "one/one-1-4-0*(root)", "/disk.1": ""}},
		{"recover --delete from POWEROFF, DONE", extended["9"], quarantine.KindRecoverDelete, "", map[string]string{"/disk.0": "one/one-1-9-0*(root)", "/disk.1": ""}},
		{"terminate, DONE already", recordedDoc(t, "vm_info_done"), quarantine.KindDelete, "", map[string]string{"/disk.0": "one/one-1-0-0*(root)", "": "one/one-sys-0-checkpoint(disk)"}},
		{"recover --delete of a guest that had powered itself off", extended["13"], quarantine.KindRecoverDelete, "", map[string]string{"/disk.0": "one/one-1-13-0*(root)"}},
		{"recover --recreate", recreate, quarantine.KindRecreate, "seq 0", map[string]string{"/disk.0": "one/one-1-2-0*(root)", "/disk.1": "", "": "one/one-sys-2-checkpoint(disk)"}},
		{"disk-detach", object(t, body(t, "zmq/00802.frame1")), quarantine.KindDiskDetach, "seq 0", map[string]string{"/disk.2": "one/one-sys-23-2*(ephemeral)", "/disk.0": "", "": ""}},
		{"running", recordedDoc(t, "vm_info_running"), "", "", map[string]string{"/disk.0": "", "": ""}},
		{"disk-attach", string(edit(t, "zmq/00802.frame1", "<ACTION>22<", "<ACTION>21<")), "", "", map[string]string{"/disk.2": ""}},
		{"undeploy", object(t, body(t, "zmq/00213.frame1")), "", "", map[string]string{"/disk.0": "", "": ""}},
	}
	for _, tt := range tests {
		id := idOf(t, tt.vm)
		api := newAPI(t, vmInfo(t, tt.vm).url, nil)
		for what, want := range tt.disks {
			d, rs, err := api.Dying(t.Context(), tmDelete(id, what))
			if err != nil || refs(rs) != want {
				t.Errorf("%s, %s: got %q, %v; want %q", tt.name, what, refs(rs), err, want)
			}
			switch {
			case tt.kind == "":
				if !d.Equal(quarantine.Deletion{}) {
					t.Errorf("%s, %s: got %q", tt.name, what, line(d))
				}
			case d.Kind != tt.kind || d.ID != quarantine.DeletionID(cloud, tt.kind, id, tt.request) || d.Validate() != nil || d.Cloud != cloud || d.User.Name != "alice" || d.StartedAt.IsZero():
				t.Errorf("%s, %s: got %q", tt.name, what, line(d))
			}
		}
	}
	// It is what the message of the same state reports.
	want := decode(t, body(t, "zmq/00178.frame1"))[0]
	got, _, err := newAPI(t, vmInfo(t, object(t, body(t, "zmq/00178.frame1"))).url, nil).Dying(t.Context(), tmDelete("0", "/disk.0"))
	if err != nil || !got.Equal(want) {
		t.Errorf("got\n%+v, %v\nwant\n%+v", got, err, want)
	}
}

// A disk in a file dies without Ceph, one without a pool's name keeps none, and
// one in a namespace has it.
func TestDyingOtherDisks(t *testing.T) {
	t.Parallel()
	vm := string(vmWith(`<DISK><DISK_ID>0</DISK_ID><DISK_TYPE>FILE</DISK_TYPE><CLONE>YES</CLONE><SOURCE>/var/lib/one/x</SOURCE></DISK>`+
		`<DISK><DISK_ID>1</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE></DISK>`+
		`<DISK><DISK_ID>2</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE><POOL_NAME>one/ns</POOL_NAME></DISK>`, ""))
	api := newAPI(t, vmInfo(t, vm).url, nil)
	for what, want := range map[string]quarantine.DiskRef{
		"/disk.0": {},
		"/disk.1": {Name: "one-sys-7-1", Prefix: true, Role: "ephemeral"},
		"/disk.2": {Name: "one-sys-7-2", Pool: "one", Namespace: "ns", Prefix: true, Role: "ephemeral"},
		"":        {Name: "one-sys-7-checkpoint", Pool: "one", Namespace: "ns", Role: "disk"},
	} {
		_, got, err := api.Dying(t.Context(), tmDelete("7", what))
		if err != nil || want.Name == "" && len(got) > 0 || want.Name != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("%s: got %+v, %v; want %+v", what, got, err, want)
		}
	}
}

// The data of the datastore driver has the image, and the front-end says whether
// it is deleting that.
func TestDyingImage(t *testing.T) {
	t.Parallel()
	image := object(t, body(t, "zmq/00596.frame1")) // as it was before
	deleting := func(image string) string { return strings.Replace(image, "<STATE>1<", "<STATE>7<", 1) }
	known := deleting(image)
	f := newReplay(t, func(c asked) string {
		if known == "" {
			return recorded(t, "vm_info_nonexistent")
		}
		return answer(known)
	})
	api := newAPI(t, f.url, nil)
	data := func(image string) opennebula.DriverCall {
		doc := "<DS_DRIVER_ACTION_DATA>" + image + recordedDoc(t, "datastore_info_image") + "<EXTRA_DATA></EXTRA_DATA></DS_DRIVER_ACTION_DATA>"
		return opennebula.DriverCall{Action: opennebula.DatastoreRM, Data: []byte(base64.StdEncoding.EncodeToString([]byte(doc)) + "\n")}
	}
	got, rs, err := api.Dying(t.Context(), data(image))
	want := decode(t, body(t, "zmq/00596.frame1"))[0]
	if err != nil || !got.Equal(want) || refs(rs) != "one/one-2(image)" {
		t.Errorf("got\n%+v\n%q, %v\nwant\n%+v", got, refs(rs), err, want)
	}
	for name, tt := range map[string]struct{ old, new, want string }{
		"the pool is the datastore's": {"one/one-2", "one-2", "one/one-2(image)"},
		"a namespace":                 {"one/one-2", "one/ns/one-2", "one/one-2(image)"},
		"in a file":                   {"<DISK_TYPE>3<", "<DISK_TYPE>0<", ""},
		"never made":                  {"one/one-2", "", ""},
	} {
		if !strings.Contains(image, tt.old) {
			t.Fatalf("the recording has no %s", tt.old)
		}
		other := strings.ReplaceAll(image, tt.old, tt.new)
		known = deleting(other)
		got, rs, err := api.Dying(t.Context(), data(other))
		if err != nil || refs(rs) != tt.want || tt.want == "" && !got.Equal(quarantine.Deletion{}) {
			t.Errorf("%s: got %q, %q, %v", name, line(got), refs(rs), err)
		}
		if name == "a namespace" && rs[0].Namespace != "ns" {
			t.Errorf("%s: got %+v", name, rs)
		}
	}
	// Of an image that is gone nothing is left to be taken.
	known = ""
	if got, rs, err := api.Dying(t.Context(), data(image)); err != nil || got.ID != want.ID || len(rs) != 0 {
		t.Errorf("of an image that is gone: %+v, %q, %v", got, refs(rs), err)
	}
	// What anybody can write takes no living image away.
	for name, now := range map[string]string{
		"ready":          image,
		"another SOURCE": strings.Replace(deleting(image), "one/one-2", "one/one-3", 1),
	} {
		if known = now; now == deleting(image) {
			t.Fatalf("%s: the recording is otherwise", name)
		}
		if d, rs, err := api.Dying(t.Context(), data(image)); !errors.Is(err, quarantine.ErrInvalid) || len(rs) != 0 || d.ID != "" {
			t.Errorf("%s: got %q, %q, %v", name, line(d), refs(rs), err)
		}
	}
}

// A call that is none of OpenNebula's is refused, before anybody is asked.
func TestDyingRefused(t *testing.T) {
	t.Parallel()
	f := newReplay(t, func(asked) string { return "" })
	api := newAPI(t, f.url, nil)
	tm := func(args ...string) opennebula.DriverCall {
		return opennebula.DriverCall{Action: opennebula.TMDelete, Args: args}
	}
	rm := func(doc string) opennebula.DriverCall {
		return opennebula.DriverCall{Action: opennebula.DatastoreRM, Data: []byte(base64.StdEncoding.EncodeToString([]byte(doc)))}
	}
	long := strings.Repeat("x", 5000)
	for name, call := range map[string]opennebula.DriverCall{
		"no action":             {},
		"another action":        {Action: long},
		"no arguments":          tm(),
		"two arguments":         tm("node1:/var/lib/one/datastores/101/7/disk.0", "7"),
		"four arguments":        tm("node1:/var/lib/one/datastores/101/7/disk.0", "7", "101", "x"),
		"no host":               tm("/var/lib/one/datastores/101/7/disk.0", "7", "101"),
		"no path":               tm("node1:", "7", "101"),
		"a relative path":       tm("node1:datastores/101/7/disk.0", "7", "101"),
		"a long path":           tm(long, "7", "101"),
		"the VM is no number":   tm("node1:/var/lib/one/datastores/101/7/disk.0", "7; rm", "101"),
		"a negative VM":         tm("node1:/var/lib/one/datastores/101/7/disk.0", "-2", "101"),
		"the datastore is none": tm("node1:/var/lib/one/datastores/101/7/disk.0", "7", long),
		"no data":               {Action: opennebula.DatastoreRM},
		"no base64":             {Action: opennebula.DatastoreRM, Data: []byte("%%%" + long)},
		"too much data":         {Action: opennebula.DatastoreRM, Data: make([]byte, opennebula.MaxBody+1)},
		"another root":          rm("<VM></VM>"),
		"no image":              rm("<DS_DRIVER_ACTION_DATA></DS_DRIVER_ACTION_DATA>"),
		"cut short":             rm("<DS_DRIVER_ACTION_DATA><IMAGE><ID>1</ID>"),
		"no id":                 rm("<DS_DRIVER_ACTION_DATA><IMAGE><SOURCE>one/one-1</SOURCE><DISK_TYPE>3</DISK_TYPE></IMAGE></DS_DRIVER_ACTION_DATA>"),
		"no image in SOURCE":    rm("<DS_DRIVER_ACTION_DATA><IMAGE><ID>1</ID><SOURCE>one/</SOURCE><DISK_TYPE>3</DISK_TYPE></IMAGE></DS_DRIVER_ACTION_DATA>"),
		"an entity bomb":        rm(bomb()),
	} {
		d, rs, err := api.Dying(t.Context(), call)
		if !errors.Is(err, quarantine.ErrInvalid) || rs != nil || !d.Equal(quarantine.Deletion{}) || len(err.Error()) > 600 {
			t.Errorf("%s: got %q, %q, %v", name, line(d), refs(rs), err)
		}
	}
	if len(f.made()) != 0 {
		t.Errorf("asked %q", f.made())
	}
	other := newAPI(t, vmInfo(t, vmOf(1, "")).url, nil)
	if _, _, err := other.Dying(t.Context(), tmDelete("99999", "/disk.0")); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a VM that is not there: %v", err)
	}
	strange := newAPI(t, vmInfo(t, "<VM><ID>7</ID><STATE>x</STATE></VM>").url, nil)
	if _, _, err := strange.Dying(t.Context(), tmDelete("7", "/disk.0")); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("a VM in no state: %v", err)
	}
}

// A path may have in it what it likes; what is called disk.<number> is a disk.
func TestDyingPaths(t *testing.T) {
	t.Parallel()
	api := newAPI(t, vmInfo(t, object(t, body(t, "zmq/00178.frame1"))).url, nil)
	for where, want := range map[string]string{
		"node1:/var/lib/one/datastores/101/0/disk.2": "one/one-sys-0-2*(ephemeral)",
		"node1:/a b/'$(x)'\n/disk.2":                 "one/one-sys-0-2*(ephemeral)",
		"node1:/disk.0/disk.2":                       "one/one-sys-0-2*(ephemeral)",
		"node1:/var/lib/one/datastores/101/0/":       "one/one-sys-0-checkpoint(disk)",
		"node1:/var/lib/one/datastores/101/0":        "one/one-sys-0-checkpoint(disk)",
	} {
		_, got, err := api.Dying(t.Context(), opennebula.DriverCall{Action: opennebula.TMDelete, Args: []string{where, "0", "101"}})
		if err != nil || refs(got) != want {
			t.Errorf("%q: got %q, %v, want %q", where, refs(got), err, want)
		}
	}
}
