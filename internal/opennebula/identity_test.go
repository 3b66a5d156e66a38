package opennebula_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

// The DONE message of a terminated VM gives all that is known of it.
func TestIdentityOfVM(t *testing.T) {
	t.Parallel()
	got := decode(t, body(t, "hooks/0215-st_done.stdin"))
	want := quarantine.Deletion{
		ID:           quarantine.DeletionID(cloud, quarantine.KindDelete, "0", ""),
		Cloud:        cloud,
		CloudType:    quarantine.CloudOpenNebula,
		Kind:         quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM,
		ResourceID:   "0",
		ResourceName: "web1",
		Project:      quarantine.Principal{ID: "100", Name: "experiment"},
		User:         quarantine.Principal{ID: "2", Name: "alice"},
		Image:        quarantine.Principal{ID: "1", Name: "debian12-base"},
		Host:         "node1",
		Metadata:     map[string]string{"DESCRIPTION": "front-end <web> & co", "LABELS": "prod"},
		Tags:         []string{"prod"},
		Addresses: []quarantine.Address{
			{IP: "10.10.0.100", MAC: "02:00:0a:0a:00:64", Network: "public"},
			{IP: "172.16.5.100", MAC: "02:00:ac:10:05:64", Network: "private"},
		},
		RequestID: "6491",
		CreatedAt: at(1795386921),
		StartedAt: at(1795387017),
		EndedAt:   at(1795387022),
		Disks: []quarantine.DiskRef{
			{Pool: "one", Name: "one-1-0-0", Prefix: true, Role: "root", Required: true},
			{Pool: "one", Name: "one-sys-0-2", Prefix: true, Role: "ephemeral", Required: true},
			{Pool: "one", Name: "one-sys-0-3", Prefix: true, Role: "swap", Required: true},
			{Pool: "one", Name: "one-sys-0-checkpoint", Role: "disk"},
		},
	}
	if len(got) != 1 || !got[0].Equal(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// An image brings its own owner, age, datastore and attributes; OpenNebula does
// not say when the deletion began.
func TestIdentityOfImage(t *testing.T) {
	t.Parallel()
	got := decode(t, body(t, "zmq/00596.frame1"))
	want := quarantine.Deletion{
		ID:           quarantine.DeletionID(cloud, quarantine.KindImageDelete, "2", ""),
		Cloud:        cloud,
		CloudType:    quarantine.CloudOpenNebula,
		Kind:         quarantine.KindImageDelete,
		ResourceKind: quarantine.ResourceImage,
		ResourceID:   "2",
		ResourceName: "pers-1",
		Project:      quarantine.Principal{ID: "100", Name: "experiment"},
		User:         quarantine.Principal{ID: "2", Name: "alice"},
		Flavor:       "ceph_images",
		Metadata:     map[string]string{"DEV_PREFIX": "vd", "DRIVER": "raw"},
		CreatedAt:    at(1795386904),
		Disks:        []quarantine.DiskRef{{Pool: "one", Name: "one-2", Role: "image"}},
	}
	if len(got) != 1 || !got[0].Equal(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// No image dies by a call that failed, an image in files is not on RBD, and
// one that was never made has no source.
func TestImageStays(t *testing.T) {
	t.Parallel()
	doc := document(t, body(t, "zmq/00596.frame1"))
	for name, oldnew := range map[string][2]string{
		"a failed call":     {"<RESULT>1<", "<RESULT>0<"},
		"another call":      {"one.image.delete", "one.image.chown"},
		"an image in files": {"<DISK_TYPE>3<", "<DISK_TYPE>0<"},
		"no source":         {"one/one-2", ""},
	} {
		if !strings.Contains(doc, oldnew[0]) {
			t.Fatalf("%s: the recording has no %s", name, oldnew[0])
		}
		if got := decode(t, []byte(strings.ReplaceAll(doc, oldnew[0], oldnew[1]))); got != nil {
			t.Errorf("%s reports %q", name, lines(got))
		}
	}
}

// vmWith is a VM in EPILOG with the given content of its TEMPLATE and
// USER_TEMPLATE.
func vmWith(template, userTemplate string) []byte {
	return []byte(`<VM><ID>7</ID><STATE>3</STATE><LCM_STATE>11</LCM_STATE><TEMPLATE>` + template +
		`</TEMPLATE><USER_TEMPLATE>` + userTemplate + `</USER_TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><ACTION>27</ACTION></HISTORY></HISTORY_RECORDS></VM>`)
}

// Each kind of disk gives the reference of the image that dies, or none.
func TestDisks(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, template, want string }{
		{"clone", `<DISK><DISK_ID>0</DISK_ID><TYPE>RBD</TYPE><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>images/one-5</SOURCE><POOL_NAME>other</POOL_NAME></DISK>`, "images/one-5-7-0*(root)"},
		{"clone of a renamed source in a namespace", `<DISK><DISK_ID>0</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>images/ns/my-image</SOURCE></DISK>`, "images/my-image-7-0*(root)"},
		{"clone whose source names no pool", `<DISK><DISK_ID>0</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one-5</SOURCE><POOL_NAME>one</POOL_NAME></DISK>`, "one/one-5-7-0*(root)"},
		{"an older message without DISK_TYPE", `<DISK><DISK_ID>0</DISK_ID><TYPE>RBD</TYPE><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>`, "one/one-5-7-0*(root)"},
		{"persistent", `<DISK><DISK_ID>0</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>NO</CLONE><SOURCE>one/one-5</SOURCE></DISK>`, ""},
		{"volatile", `<DISK><DISK_ID>4</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE><POOL_NAME>sys</POOL_NAME></DISK>`, "sys/one-sys-7-4*(ephemeral)"},
		{"swap", `<DISK><DISK_ID>4</DISK_ID><TYPE>swap</TYPE><DISK_TYPE>RBD</DISK_TYPE><POOL_NAME>sys</POOL_NAME></DISK>`, "sys/one-sys-7-4*(swap)"},
		{"Ceph image copied to a file on the host", `<DISK><DISK_ID>0</DISK_ID><TYPE>FILE</TYPE><DISK_TYPE>FILE</DISK_TYPE><TM_MAD>ceph</TM_MAD><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>`, ""},
		{"CD-ROM in a file", `<DISK><DISK_ID>0</DISK_ID><TYPE>CDROM</TYPE><DISK_TYPE>CDROM</DISK_TYPE><CLONE>YES</CLONE><SOURCE>/var/lib/one/x.iso</SOURCE></DISK>`, ""},
		{"CD-ROM on RBD", `<DISK><DISK_ID>0</DISK_ID><TYPE>RBD_CDROM</TYPE><DISK_TYPE>RBD_CDROM</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>`, "one/one-5-7-0*(disk)"},
		{"gaps; the boot order makes the root", `<OS><BOOT>nic0,disk3,disk1</BOOT></OS>` +
			`<DISK><DISK_ID>1</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>` +
			`<DISK><DISK_ID>3</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-6</SOURCE></DISK>`, "one/one-5-7-1*(disk) one/one-6-7-3*(root)"},
		{"without a boot order the lowest number", `<DISK><DISK_ID>10</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>` +
			`<DISK><DISK_ID>2</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-6</SOURCE></DISK>`, "one/one-5-7-10*(disk) one/one-6-7-2*(root)"},
		{"no number", `<DISK><DISK_ID>x</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/one-5</SOURCE></DISK>`, ""},
		{"no source image", `<DISK><DISK_ID>0</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>one/</SOURCE></DISK>`, ""},
	}
	for _, tt := range tests {
		got := decode(t, vmWith(tt.template, ""))
		if len(got) != 1 {
			t.Fatalf("%s: got %q", tt.name, lines(got))
		}
		if _, disks, _ := strings.Cut(line(got[0]), ": "); disks != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, disks, tt.want)
		}
		if strings.Contains(tt.template, "/ns/") && got[0].Disks[0].Namespace != "ns" {
			t.Errorf("%s: the namespace is %q", tt.name, got[0].Disks[0].Namespace)
		}
	}
}

// A revert to a disk snapshot renames the old image; the reference still
// means it, and no disk with a longer number.
func TestDiskAfterRevert(t *testing.T) {
	t.Parallel()
	ref := decode(t, body(t, "zmq/00191.frame1"))[0].Disks[0]
	pool := quarantine.PoolRef{Pool: "one"}
	for name, want := range map[string]bool{"one-1-1-0": true, "one-1-1-0-1": true, "one-1-1-0-0-1": true, "one-1-1-01": false, "one-1-1": false, "one-1-10-0": false} {
		if ref.Matches(pool, name) != want {
			t.Errorf("%s means %s: want %t", ref.Name, name, want)
		}
	}
}

// Interfaces and their aliases give every address they had, in its usual form.
func TestAddresses(t *testing.T) {
	t.Parallel()
	got := decode(t, vmWith(`
<NIC><IP>192.0.2.7</IP><IP6_GLOBAL>2001:DB8::7</IP6_GLOBAL><IP6_LINK>fe80::7</IP6_LINK><IP6_ULA></IP6_ULA><MAC>02:00:C0:00:02:07</MAC><NETWORK>public</NETWORK></NIC>
<NIC><MAC>02:00:00:00:00:08</MAC><NETWORK>layer2</NETWORK></NIC>
<NIC><IP>no address</IP></NIC>
<NIC_ALIAS><IP6>2001:db8::8</IP6><MAC>02:00:c0:00:02:07</MAC><NETWORK>alias</NETWORK></NIC_ALIAS>`, ""))
	want := []quarantine.Address{
		{IP: "192.0.2.7", MAC: "02:00:c0:00:02:07", Network: "public"},
		{IP: "2001:db8::7", MAC: "02:00:c0:00:02:07", Network: "public"},
		{IP: "2001:db8::8", MAC: "02:00:c0:00:02:07", Network: "alias"},
		{IP: "fe80::7", MAC: "02:00:c0:00:02:07", Network: "public"},
		{MAC: "02:00:00:00:00:08", Network: "layer2"},
	}
	if len(got) != 1 || fmt.Sprint(sorted(got[0].Addresses)) != fmt.Sprint(sorted(want)) {
		t.Errorf("got %v, want %v", got[0].Addresses, want)
	}
}

func sorted(as []quarantine.Address) []quarantine.Address {
	return quarantine.Deletion{Addresses: as}.Normalize().Addresses
}

// Of USER_TEMPLATE the plain attributes are kept, within bounds, and nothing
// that is called a secret.
func TestMetadata(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 1000)
	many := ""
	for i := range 100 {
		many += fmt.Sprintf("<A%d>x</A%d>", i, i)
	}
	got := decode(t, vmWith("", `<VO>atlas</VO><EMPTY/><LABELS>prod, web ,,</LABELS><NESTED><X>1</X></NESTED><ROOT_PASSWORD>hunter2</ROOT_PASSWORD><Api_Token>t</Api_Token><LONG>`+long+`</LONG>`+many))
	if len(got) != 1 {
		t.Fatalf("got %q", lines(got))
	}
	m := got[0].Metadata
	if len(m) != 64 || m["VO"] != "atlas" || m["LONG"] != long[:1024] {
		t.Errorf("got %d attributes, VO %q, LONG of %d bytes", len(m), m["VO"], len(m["LONG"]))
	}
	if _, ok := m["EMPTY"]; !ok {
		t.Error("an empty attribute is lost")
	}
	for _, name := range []string{"NESTED", "ROOT_PASSWORD", "Api_Token"} {
		if v, ok := m[name]; ok {
			t.Errorf("%s is kept as %q", name, v)
		}
	}
	if fmt.Sprint(got[0].Tags) != "[prod web]" {
		t.Errorf("tags are %q", got[0].Tags)
	}
}

// Nobody but the history's caller of recover and detach is named as the
// deleter: for terminate the history has the owner, and -1 is nobody.
func TestDeleter(t *testing.T) {
	t.Parallel()
	const cleanup = "zmq/00194.frame1"
	for name, tt := range map[string]struct {
		body []byte
		want quarantine.Principal
	}{
		"terminate":           {body(t, "zmq/00182.frame1"), quarantine.Principal{}},
		"recover by oneadmin": {body(t, cleanup), quarantine.Principal{ID: "0", Name: "oneadmin"}},
		"recover by another":  {edit(t, cleanup, "<UID>0</UID>", "<UID>31</UID>"), quarantine.Principal{ID: "31"}},
		"recover by nobody":   {edit(t, cleanup, "<UID>0</UID>", "<UID>-1</UID>"), quarantine.Principal{}},
	} {
		if got := decode(t, tt.body); len(got) != 1 || got[0].Deleter != tt.want {
			t.Errorf("%s: got %v, want %v", name, got[0].Deleter, tt.want)
		}
	}
}
