package cephcaps

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The cloud's caps are those that were tried with a real OpenStack, pool by
// pool, and never name the object with the settings.
func TestCloudCaps(t *testing.T) {
	got := CloudCaps([]string{"vms"}, "scratch")
	want := "allow class-read object_prefix rbd_children, allow class-read object_prefix rbd_mirroring, " +
		"allow r class-read pool=vms, allow rwx pool=vms object_prefix rbd_lock, " +
		"allow rwx pool=vms object_prefix rbd_data., allow rwx pool=vms object_prefix rbd_header., " +
		"allow rwx pool=vms object_prefix rbd_id., allow rwx pool=vms object_prefix rbd_object_map., " +
		"allow rwx pool=vms object_prefix rbd_directory, allow rwx pool=vms object_prefix rbd_children, " +
		"allow rwx pool=vms object_prefix rbd_trash, allow rwx pool=vms object_prefix rbd_mirroring, " +
		"profile rbd pool=scratch"
	if got.OSD != want || got.Mon != "profile rbd" || got.Mgr != "profile rbd" {
		t.Errorf("got %+v\nwant osd %s", got, want)
	}
}

// Two namespaces of a pool are one pool for the service.
func TestQuarantineCapsNameAPoolOnce(t *testing.T) {
	if got, want := QuarantineCaps("p/a", "p/b", "p"), QuarantineCaps("p"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What Command prints gives a shell the very same words.
func TestCommandIsSafeForAShell(t *testing.T) {
	c := Caps{Mon: `allow command "auth ls"`, Mgr: "it's $HOME `x` \\", OSD: "allow *"}
	line := Command("client.a b", c)
	out, err := exec.Command("/bin/sh", "-c", "ceph() { printf '%s\\n' \"$@\"; }; "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	want := append([]string{"auth", "caps", "client.a b"}, c.Args()...)
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngives %q\nwant  %q", line, got, want)
	}
}

const authList = `{"auth_dump":[
 {"entity":"osd.0","key":"AQsecret0==","caps":{"mgr":"allow profile osd","mon":"allow profile osd","osd":"allow *"}},
 {"entity":"client.openstack","key":"AQsecret1==","caps":{"mon":"profile rbd","osd":"profile rbd pool=vms","mds":"allow *"},"new_field":1}]}`

// Entities and caps are read, secrets are not.
func TestParse(t *testing.T) {
	keys, err := Parse(strings.NewReader(authList))
	if err != nil {
		t.Fatal(err)
	}
	want := []Key{
		{"osd.0", Caps{Mon: "allow profile osd", Mgr: "allow profile osd", OSD: "allow *"}},
		{"client.openstack", Caps{Mon: "profile rbd", OSD: "profile rbd pool=vms"}},
	}
	if !slices.Equal(keys, want) {
		t.Errorf("got %+v, want %+v", keys, want)
	}
	if keys[0].IsClient() || !keys[1].IsClient() {
		t.Error("client and daemon are mixed up")
	}
}

// Input that is something else is refused, without a word of it in the error:
// it may hold secrets all the same.
func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":      "",
		"cut short":  authList[:120],
		"plain form": "client.admin\n\tkey: AQsecret1==\n",
		"a list":     `["AQsecret1=="]`,
		"wrong kind": `{"auth_dump":"AQsecret1=="}`,
		"no dump":    `{"key":"AQsecret1=="}`,
		"no entity":  `{"auth_dump":[{"key":"AQsecret1=="}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(in))
			if !errors.Is(err, ErrNotAuthList) {
				t.Fatalf("got %v, want %v", err, ErrNotAuthList)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// Data pools get their data and no settings to write, journals their pool's
// prefix; a namespace has its profile. Nothing of it can switch a guard off.
func TestCapsOfDataPoolsAndJournals(t *testing.T) {
	c := CloudCaps([]string{"vms", "one/ns"}).WithDataPools("vms-data").WithJournaling("vms", "one/ns")
	want := CloudCaps([]string{"vms", "one/ns"}).OSD +
		", allow r pool=vms-data object_prefix rbd_info, allow rwx pool=vms-data object_prefix rbd_data., allow rwx pool=vms object_prefix journal"
	if c.OSD != want {
		t.Errorf("got  %s\nwant %s", c.OSD, want)
	}
	for _, pool := range []string{"vms", "vms-data", "one"} {
		if off, why := CanSwitchOff(c, pool); off {
			t.Errorf("%s: %s", pool, why)
		}
	}
}
