package main

import (
	"strings"
	"testing"

	"quarantine/internal/api/wire"
)

// The disks of a VM stand together, in the order in which a VM has them; the VMs
// stay in the order of their first disks.
func TestByRole(t *testing.T) {
	t.Parallel()
	vm := func(id, role, name string) wire.Disk {
		return wire.Disk{Cloud: "prod", ResourceKind: "vm", ResourceID: id, Role: role, OriginalName: name}
	}
	disks := []wire.Disk{
		{Cloud: "prod", ResourceKind: "volume", ResourceID: "v", ServerID: "b", Role: "volume", OriginalName: "b-volume-2"},
		vm("a", "swap", "a-swap"), vm("b", "rescue", "b-rescue"), vm("b", "config", "b-config"), vm("a", "root", "a-root"),
		{Cloud: "prod", ResourceKind: "volume", ResourceID: "w", ServerID: "b", Role: "volume", OriginalName: "b-volume-1"},
		vm("b", "swap", "b-swap"), vm("b", "ephemeral", "b-ephemeral"), vm("b", "root", "b-root"), vm("b", "disk", "b-disk"),
	}
	byRole(disks)
	var got []string
	for _, d := range disks {
		got = append(got, d.OriginalName)
	}
	want := "b-root b-ephemeral b-swap b-config b-rescue b-disk b-volume-1 b-volume-2 a-root a-swap"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
