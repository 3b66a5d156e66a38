package opennebula_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// people answers for the recorded users and a group; others are not there.
func people(t testing.TB, c asked) string {
	t.Helper()
	switch {
	case c.method == "one.user.info" && c.args[1] != "0", c.method == "one.group.info" && c.args[1] != "0":
		t.Errorf("%s asks to decrypt", c)
	case c.String() == "one.user.info(2,0)":
		return recorded(t, "user_info_alice")
	case c.String() == "one.user.info(3,0)":
		return recorded(t, "user_info_bob_x509")
	case c.String() == "one.user.info(0,0)":
		return answer("<USER><ID>0</ID><NAME>oneadmin</NAME><PASSWORD>5e88</PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER></USER>")
	case c.String() == "one.group.info(100,0)":
		return answer("<GROUP><ID>100</ID><NAME>experiment</NAME></GROUP>")
	case c.method == "one.user.info", c.method == "one.group.info":
		return refusal(1024, "["+c.method+"] Error getting it ["+c.args[0]+"].")
	}
	return ""
}

// vmInfo answers about one VM, and about people.
func vmInfo(t testing.TB, doc string) *replay {
	t.Helper()
	return newReplay(t, func(c asked) string {
		switch {
		case c.String() == "one.vm.info("+idOf(t, doc)+",0)":
			return answer(doc)
		case c.method == "one.vm.info":
			return recorded(t, "vm_info_nonexistent")
		case c.method == "one.vmpool.accounting":
			return accounting(t, c)
		}
		return people(t, c)
	})
}

// bare is a Deletion that says nothing but which one it is.
func bare(kind quarantine.Kind, resource quarantine.ResourceKind, id, request string) quarantine.Deletion {
	return quarantine.Deletion{ID: quarantine.DeletionID(cloud, kind, id, request), Cloud: cloud, CloudType: quarantine.CloudOpenNebula, Kind: kind, ResourceKind: resource, ResourceID: id}
}

// Of a dead VM all is known: who, where, when, and what a report would have
// said.
func TestComplete(t *testing.T) {
	t.Parallel()
	want := decode(t, body(t, "hooks/0215-st_done.stdin"))[0]
	want.Disks = nil // they are the report's
	api := newAPI(t, vmInfo(t, recordedDoc(t, "vm_info_done")).url, nil)
	d := bare(quarantine.KindDelete, quarantine.ResourceVM, "0", "")
	got, err := api.Complete(t.Context(), d)
	if err != nil || !got.Equal(want) {
		t.Fatalf("got\n%+v, %v\nwant\n%+v", got, err, want)
	}
	// What the report said of the moment of the act stands.
	d.ResourceName, d.Host, d.RequestID = "before", "elsewhere", "9"
	d.User = quarantine.Principal{ID: "3"}
	d.Deleter = quarantine.Principal{ID: "77"}
	d.Project = quarantine.Principal{ID: "100", Name: "was"}
	d.Addresses = []quarantine.Address{{IP: "192.0.2.7"}}
	d.Metadata, d.Tags = map[string]string{"VO": "atlas"}, []string{"a"}
	d.CreatedAt, d.StartedAt, d.EndedAt = at(1), at(2), at(3)
	got, err = api.Complete(t.Context(), d)
	if err != nil || got.ID != d.ID {
		t.Fatalf("got %+v, %v", got, err)
	}
	m := quarantine.Merge(d, got)
	if m.ResourceName != "before" || m.Host != "elsewhere" || m.RequestID != "9" || len(m.Addresses) != 1 || len(m.Metadata) != 1 || len(m.Tags) != 1 ||
		!m.CreatedAt.Equal(at(1)) || !m.StartedAt.Equal(at(2)) || !m.EndedAt.Equal(at(3)) || m.Project.Name != "was" || m.Image.ID != "1" {
		t.Errorf("got %+v", m)
	}
	if want := (quarantine.Principal{ID: "3", Name: "bob", Subject: "/C=IT/O=Example/CN=Bob Bianchi"}); m.User != want {
		t.Errorf("the owner is %+v, want %+v", m.User, want)
	}
	if want := (quarantine.Principal{ID: "77"}); m.Deleter != want {
		t.Errorf("the deleter is %+v, want %+v", m.Deleter, want)
	}
}

// The VM lives on after a recreate or a detach, and goes through other acts; the
// Deletion that is asked about gets what its own history record says.
func TestCompleteLivesOn(t *testing.T) {
	t.Parallel()
	vm := object(t, body(t, "zmq/00482.frame1")) // VM 14, which was recreated once
	api := newAPI(t, vmInfo(t, vm).url, nil)
	got, err := api.Complete(t.Context(), bare(quarantine.KindRecreate, quarantine.ResourceVM, "14", "seq 0"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "recreate of vm 14 rec1 (experiment/alice) by oneadmin on node2 from 22:42:23:"; line(got) != want || got.RequestID != "4983" {
		t.Errorf("got %q, request %s, want %q", line(got), got.RequestID, want)
	}
	// An act that the history does not have gets who and what, and no time; a
	// delete of a VM that lives gets none either.
	for _, d := range []quarantine.Deletion{
		bare(quarantine.KindRecreate, quarantine.ResourceVM, "14", "seq 7"),
		bare(quarantine.KindDelete, quarantine.ResourceVM, "14", ""),
	} {
		got, err := api.Complete(t.Context(), d)
		if err != nil || got.ID != d.ID || !got.StartedAt.IsZero() || !got.EndedAt.IsZero() || got.User.Name != "alice" || got.Deleter.ID != "" {
			t.Errorf("%s: got %+v, %v", d.Kind, got, err)
		}
	}
	// While the VM dies, the beginning of its death is known.
	dying := newAPI(t, vmInfo(t, object(t, body(t, "zmq/00178.frame1"))).url, nil)
	got, err = dying.Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "0", ""))
	if err != nil || got.StartedAt.IsZero() || !got.EndedAt.IsZero() {
		t.Errorf("got %q, %v", line(got), err)
	}
}

// A VM that died of a recover-delete tells of its end where a delete is asked
// about (what its disks' names suggest), and one that was taken out of the
// database too, since when its disks may be removed.
func TestCompleteOtherDeath(t *testing.T) {
	t.Parallel()
	d := bare(quarantine.KindDelete, quarantine.ResourceVM, "2", "")
	got, err := newAPI(t, vmInfo(t, recordedDoc(t, "vm_info_done_recover_delete")).url, nil).Complete(t.Context(), d)
	if want := "delete of vm 2 web3 (experiment/alice) by oneadmin on node2 from 22:37:14 to 22:37:15:"; err != nil || line(got) != want || got.ID != d.ID {
		t.Errorf("got %q, %v, want %q", line(got), err, want)
	}
	gone := strings.Replace(recordedDoc(t, "vm_info_done"), "<ACTION>27<", "<ACTION>0<", 1)
	got, err = newAPI(t, vmInfo(t, gone).url, nil).Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "0", ""))
	if want := "delete of vm 0 web1 (experiment/alice) on node1 from 22:37:02 to 22:37:02:"; err != nil || line(got) != want {
		t.Errorf("got %q, %v, want %q", line(got), err, want)
	}
}

// An image is known while it is there, then no more.
func TestCompleteImage(t *testing.T) {
	t.Parallel()
	api := newAPI(t, newReplay(t, func(c asked) string {
		switch c.String() {
		case "one.image.info(2,0)":
			return recorded(t, "image_info_pers_used")
		case "one.image.info(9,0)":
			return refusal(1024, "[one.image.info] Error getting image [9].")
		}
		return people(t, c)
	}).url, nil)
	d := bare(quarantine.KindImageDelete, quarantine.ResourceImage, "2", "")
	got, err := api.Complete(t.Context(), d)
	if err != nil || got.ID != d.ID || got.ResourceName != "pers-1" || got.Flavor != "ceph_images" || got.User.Name != "alice" || got.Project.Name != "experiment" || !got.CreatedAt.Equal(at(1795386904)) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := api.Complete(t.Context(), bare(quarantine.KindImageDelete, quarantine.ResourceImage, "9", "")); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Nothing is known of another cloud's resources, of what is no number, or of
// another kind; and the front-end is not asked.
func TestCompleteForeign(t *testing.T) {
	t.Parallel()
	f := newReplay(t, func(asked) string { return "" })
	api := newAPI(t, f.url, nil)
	other := bare(quarantine.KindDelete, quarantine.ResourceVM, "0", "")
	other.Cloud = "prod"
	for _, d := range []quarantine.Deletion{
		other,
		bare(quarantine.KindDelete, quarantine.ResourceVM, "3fa1c09b-e2d4-7a55-0000-000000000000", ""),
		bare(quarantine.KindDelete, quarantine.ResourceVM, "07", ""),
		bare(quarantine.KindVolumeDelete, quarantine.ResourceVolume, "7", ""),
	} {
		if _, err := api.Complete(t.Context(), d); !errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("%s %s of %s: %v", d.ResourceKind, d.ResourceID, d.Cloud, err)
		}
	}
	if len(f.made()) != 0 {
		t.Errorf("asked %q", f.made())
	}
	if _, err := newAPI(t, vmInfo(t, vmOf(1, "")).url, nil).Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "99999", "")); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a VM that is not there: %v", err)
	}
	stranger := newAPI(t, newReplay(t, func(c asked) string {
		if c.method == "one.vm.info" {
			return answer(vmOf(7, ""))
		}
		return strings.Replace(people(t, c), "&lt;ID&gt;2&lt;", "&lt;ID&gt;3&lt;", 1)
	}).url, nil)
	if _, err := stranger.Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "7", "")); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("an answer about another user: %v", err)
	}
	wrong := newAPI(t, newReplay(t, func(c asked) string {
		if c.method == "one.vm.info" {
			return answer(vmOf(8, ""))
		}
		return people(t, c)
	}).url, nil)
	if _, err := wrong.Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "7", "")); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("an answer about another VM: %v", err)
	}
}

// The subject is what the x509 driver keeps as the password, and never the
// password of another driver, nor what users write into their own templates.
func TestSubject(t *testing.T) {
	t.Parallel()
	const head = "<USER><ID>2</ID><NAME>alice</NAME>"
	for name, tt := range map[string]struct{ user, want string }{
		"x509":             {head + `<PASSWORD>/C=IT/CN=A\20B\20C</PASSWORD><AUTH_DRIVER>x509</AUTH_DRIVER></USER>`, "/C=IT/CN=A B C"},
		"several":          {head + `<PASSWORD>/CN=A\20B|/CN=C</PASSWORD><AUTH_DRIVER>x509</AUTH_DRIVER></USER>`, "/CN=A B|/CN=C"},
		"other escapes":    {head + `<PASSWORD>/CN=J\xC3\xA9\2F</PASSWORD><AUTH_DRIVER>x509</AUTH_DRIVER></USER>`, `/CN=J\xC3\xA9\2F`},
		"a line end in it": {head + "<PASSWORD>/CN=A\nB</PASSWORD><AUTH_DRIVER>x509</AUTH_DRIVER></USER>", "/CN=A B"},
		"long":             {head + "<PASSWORD>" + strings.Repeat("a", 5000) + "</PASSWORD><AUTH_DRIVER>x509</AUTH_DRIVER></USER>", strings.Repeat("a", 1024)},
		"core":             {head + "<PASSWORD>250ad37a</PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER></USER>", ""},
		"ldap":             {head + "<PASSWORD>cn=alice,dc=example</PASSWORD><AUTH_DRIVER>ldap</AUTH_DRIVER></USER>", ""},
		"public key":       {head + "<PASSWORD>AAAA</PASSWORD><AUTH_DRIVER>ssh</AUTH_DRIVER></USER>", ""},
		"no driver":        {head + "<PASSWORD>AAAA</PASSWORD></USER>", ""},
		"in the template":  {head + "<PASSWORD>250ad37a</PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER><TEMPLATE><X509_DN>/CN=Admin</X509_DN></TEMPLATE></USER>", ""},
		"forged":           {head + "<PASSWORD>250ad37a</PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER><TEMPLATE><A><![CDATA[]]></A></TEMPLATE><AUTH_DRIVER>x509</AUTH_DRIVER><PASSWORD>/CN=Admin</PASSWORD><TEMPLATE><A><![CDATA[]]></A></TEMPLATE></USER>", ""},
	} {
		api := newAPI(t, newReplay(t, func(c asked) string {
			switch c.method {
			case "one.vm.info":
				return answer(vmOf(7, ""))
			case "one.user.info":
				return answer(tt.user)
			}
			return people(t, c)
		}).url, nil)
		got, err := api.Complete(t.Context(), bare(quarantine.KindDelete, quarantine.ResourceVM, "7", ""))
		if err != nil || got.User != (quarantine.Principal{ID: "2", Name: "alice", Subject: tt.want}) {
			t.Errorf("%s: got %+v, %v", name, got.User, err)
		}
	}
}

// Names are asked for once an hour, also those that are not there; a front-end
// that does not answer is not remembered.
func TestNamesAreRemembered(t *testing.T) {
	t.Parallel()
	clock := now
	down := true
	f := newReplay(t, func(c asked) string {
		switch {
		case c.method == "one.vm.info":
			return answer(strings.Replace(vmOf(7, ""), "<UID>2<", "<UID>9<", 1))
		case down && c.method == "one.group.info":
			return refusal(8192, "the database is locked")
		}
		return people(t, c)
	})
	api := newAPI(t, f.url, func(c *opennebula.APIConfig) { c.Clock = func() time.Time { return clock } })
	d := bare(quarantine.KindDelete, quarantine.ResourceVM, "7", "")
	if _, err := api.Complete(t.Context(), d); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	down = false
	for range 3 {
		got, err := api.Complete(t.Context(), d)
		if err != nil || got.User != (quarantine.Principal{ID: "9", Name: "alice"}) {
			t.Fatalf("got %+v, %v", got.User, err)
		}
	}
	asks := func() int {
		return len(slices.DeleteFunc(f.made(), func(c string) bool { return strings.HasPrefix(c, "one.vm.info") }))
	}
	if asks() != 3 { // the group twice, the user once
		t.Errorf("asked %q", f.made())
	}
	clock = clock.Add(time.Hour)
	if _, err := api.Complete(t.Context(), d); err != nil || asks() != 5 {
		t.Errorf("asked %q, %v", f.made(), err)
	}
}

// The acts of a VM are those that its messages told, under the same ids and with
// the same disks, whether the VM lives on or is dead.
func TestActs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		doc      string
		messages []string
	}{
		{object(t, body(t, "zmq/00549.frame1")), []string{"zmq/00533.frame1", "zmq/00538.frame1"}},
		{recordedDoc(t, "vm_info_done"), []string{"hooks/0215-st_done.stdin"}},
		{recordedDoc(t, "vm_info_done_recover_delete"), []string{"hooks/0251-st_done.stdin"}},
		{recordedDoc(t, "vm_info_running"), nil},
		{object(t, body(t, "zmq/00178.frame1")), []string{"zmq/00178.frame1"}}, // in EPILOG
		{object(t, body(t, "zmq/00538.frame1")), []string{"zmq/00533.frame1", "zmq/00538.frame1"}},
	} {
		api := newAPI(t, vmInfo(t, tt.doc).url, nil)
		got, err := api.Acts(t.Context(), quarantine.ResourceVM, idOf(t, tt.doc))
		if err != nil || len(got) != len(tt.messages) {
			t.Fatalf("VM %s: got %q, %v", idOf(t, tt.doc), lines(got), err)
		}
		for i, m := range tt.messages {
			want := decode(t, body(t, m))[0]
			for j := range want.Disks {
				got[i].Disks[j].Required, want.Disks[j].Required = false, false
			}
			if line(got[i]) != line(want) || got[i].ID != want.ID || got[i].RequestID != want.RequestID || got[i].Deleter != want.Deleter {
				t.Errorf("got  %q %s\nwant %q %s", line(got[i]), got[i].ID, line(want), want.ID)
			}
		}
	}
}

// A recreate is told with the disks that the VM has now, which have the names of
// the old ones.
func TestActsRecreate(t *testing.T) {
	t.Parallel()
	vm := object(t, body(t, "zmq/00482.frame1"))
	got, err := newAPI(t, vmInfo(t, vm).url, nil).Acts(t.Context(), quarantine.ResourceVM, "14")
	want := "recreate of vm 14 rec1 (experiment/alice) by oneadmin on node2 from 22:42:23: one/one-1-14-0*(root) one/one-sys-14-2*(ephemeral) one/one-sys-14-3*(swap) one/one-sys-14-checkpoint(disk)"
	if err != nil || len(got) != 1 || line(got[0]) != want || got[0].ID != quarantine.DeletionID(cloud, quarantine.KindRecreate, "14", "seq 0") {
		t.Fatalf("got %q, %v\nwant %q", lines(got), err, want)
	}
}

// Which disk a detach took is in the accounting of the owner, around the time;
// where it is not, or is too much, the detach is left out, and the rest stays.
func TestActsDetach(t *testing.T) {
	t.Parallel()
	vm := object(t, body(t, "zmq/00549.frame1"))
	f := vmInfo(t, vm)
	if _, err := newAPI(t, f.url, nil).Acts(t.Context(), quarantine.ResourceVM, "16"); err != nil {
		t.Fatal(err)
	}
	if want := "one.vmpool.accounting(2,1795387525,1795387536)"; !slices.Contains(f.made(), want) {
		t.Errorf("asked %q, want %s", f.made(), want)
	}
	record := func(disk string) string {
		return "<HISTORY_RECORDS><HISTORY><OID>16</OID><SEQ>0</SEQ><VM><ID>16</ID><TEMPLATE>" + disk + "</TEMPLATE></VM></HISTORY></HISTORY_RECORDS>"
	}
	for name, tt := range map[string]struct {
		accounts string
		max      int64
		acts     int
		err      error
	}{
		"a persistent disk":   {record("<DISK><DISK_ID>1</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>NO</CLONE><SOURCE>one/one-2</SOURCE><ATTACH>YES</ATTACH></DISK>"), 0, 0, nil},
		"no disk that goes":   {record("<DISK><DISK_ID>2</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE></DISK>"), 0, 0, nil},
		"a disk that goes":    {record("<DISK><DISK_ID>2</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE><ATTACH>YES</ATTACH></DISK>"), 0, 1, nil},
		"of another VM":       {strings.Replace(record("<DISK><DISK_ID>2</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><ATTACH>YES</ATTACH></DISK>"), "<OID>16<", "<OID>17<", 1), 0, 0, nil},
		"too much":            {record("<A>" + strings.Repeat("a", 100_000) + "</A>"), 60_000, 0, nil},
		"accounting is wrong": {"<HISTORY_RECORDS><HISTORY>", 0, 0, quarantine.ErrUnavailable},
	} {
		api := newAPI(t, newReplay(t, func(c asked) string {
			if c.method == "one.vmpool.accounting" {
				return answer(tt.accounts)
			}
			return answer(vm)
		}).url, func(c *opennebula.APIConfig) { c.MaxAnswer = tt.max })
		got, err := api.Acts(t.Context(), quarantine.ResourceVM, "16")
		if len(got) != tt.acts || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %q, %v", name, lines(got), err)
		}
	}
}

// There are no acts of what is no VM of OpenNebula.
func TestActsOfNothing(t *testing.T) {
	t.Parallel()
	f := vmInfo(t, vmOf(1, ""))
	api := newAPI(t, f.url, nil)
	for _, q := range []struct {
		kind quarantine.ResourceKind
		id   string
	}{{quarantine.ResourceImage, "1"}, {quarantine.ResourceVolume, "1"}, {quarantine.ResourceVM, "x"}, {quarantine.ResourceVM, ""}, {quarantine.ResourceVM, "-1"}, {quarantine.ResourceVM, "99999"}} {
		if got, err := api.Acts(t.Context(), q.kind, q.id); got != nil || err != nil {
			t.Errorf("%s %q: got %q, %v", q.kind, q.id, lines(got), err)
		}
	}
	if want := []string{"one.vm.info(99999,0)"}; !slices.Equal(f.made(), want) {
		t.Errorf("asked %q, want %q", f.made(), want)
	}
}

// A name alone tells whose disk it is, if OpenNebula gives such names.
func TestSuspect(t *testing.T) {
	t.Parallel()
	api := newAPI(t, "http://127.0.0.1:1", nil)
	vm := func(id, name, role string) string {
		return fmt.Sprintf("delete of vm %s  (/): /%s(%s)", id, name, role)
	}
	for name, want := range map[string]string{
		"one-5":                "image-delete of image 5  (/): /one-5(image)",
		"one-0":                "image-delete of image 0  (/): /one-0(image)",
		"one-1-7-0":            vm("7", "one-1-7-0", "disk"),
		"one-12-345-10":        vm("345", "one-12-345-10", "disk"),
		"one-1-7-0-3":          vm("7", "one-1-7-0-3", "disk"),
		"one-1-7-0-3:4:12":     vm("7", "one-1-7-0-3:4:12", "disk"),
		"one-1-7-0-0-1":        vm("7", "one-1-7-0-0-1", "disk"),
		"one-sys-7-2":          vm("7", "one-sys-7-2", "ephemeral"),
		"one-sys-7-2-1":        vm("7", "one-sys-7-2-1", "ephemeral"),
		"one-sys-7-checkpoint": vm("7", "one-sys-7-checkpoint", "disk"),

		"": "", "one": "", "one-": "", "one-x": "", "one-07": "", "one-1-2": "", "one-1-7-": "", "one-1-7-x": "", "one-1-x-0": "", "one-x-7-0": "", "one-01-7-0": "", "one-1-07-0": "",
		"one-1-7-0-": "", "one-1-7-0-x": "", "one-1-7-0-3:": "", "one-1-7-0-:": "", "one--7-0": "", "one-1--0": "", "one--1-7-0": "", "one-sys": "", "one-sys-7": "", "one-sys-x-2": "",
		"one-sys-checkpoint": "", "one-sys-7-checkpoint-1": "", "one-sys-7-checkpoints": "", "one-sys-7-": "", "One-5": "", "xone-5": "", "one-5 ": "", "one-5\n": "", "one-99999999999": "",
		"one-1-99999999999-0": "", "quarantined-15-0": "", "restored-5": "", "volume-3fa1c09b-e2d4-4a55-9000-000000000000": "", "3fa1c09b-e2d4-4a55-9000-000000000000_disk": "",
		"one-1-7-0" + strings.Repeat("-1", 200): "",
	} {
		got, ok := api.Suspect(name)
		switch {
		case want == "":
			if ok || !got.Equal(quarantine.Deletion{}) {
				t.Errorf("%.60q: got %q", name, line(got))
			}
		case !ok || line(got) != want || got.Validate() != nil || got.Cloud != cloud || got.ID != quarantine.DeletionID(cloud, got.Kind, got.ResourceID, ""):
			t.Errorf("%q: got %q, %t, want %q", name, line(got), ok, want)
		}
	}
}
