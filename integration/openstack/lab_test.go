//go:build openstack

package openstacklab

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// testContext ends before the test binary's deadline would.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trash returns the names in the trash of a pool.
func trash(t *testing.T, ctx context.Context, l *Lab, pool string) []string {
	t.Helper()
	out, err := l.Ceph.RBD(ctx, "admin", "trash", "ls", "--format", "json", pool)
	must(t, err)
	var entries []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatalf("read %q: %v", out, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

// A server of a user boots, runs its boot sector, shows a fixed and a floating
// address, and its disk is in the trash of the guarded pool when the cloud has
// deleted it: the cloud works with the caps that this project gives it.
func TestServerLivesAndDies(t *testing.T) {
	ctx, l := testContext(t), Shared(t)
	s, err := l.As(ctx, Alice())
	must(t, err)
	v, err := s.Boot(ctx, ServerSpec{Name: "lives", Networks: []string{"other"}, ConfigDrive: true, Metadata: map[string]string{"k": "v"}, Tags: []string{"tag"}})
	must(t, err)
	ips := v.IPs()
	if len(ips) != 2 || !slices.ContainsFunc(ips, func(ip string) bool { return strings.HasPrefix(ip, "10.78.") }) || v.ProjectID != s.ProjectID {
		t.Errorf("the server has the addresses %q and is of project %s, want one of each family and %s", ips, v.ProjectID, s.ProjectID)
	}
	floating, address, err := s.FloatingIP(ctx, v.ID)
	must(t, err)
	if !strings.HasPrefix(address, "198.18.") {
		t.Errorf("the floating IP is %s", address)
	}
	must(t, s.DeleteFloatingIP(ctx, floating))
	disk := v.ID + "_disk"
	must(t, poll(ctx, func() (bool, error) {
		out, err := l.Ceph.Rados(ctx, "admin", "-p", l.Pools().VMs, "ls")
		return strings.Contains(out, "rbd_data."), err
	}, func() string { return "the guest has written nothing" }))
	must(t, s.Delete(ctx, v.ID))
	must(t, s.WaitGone(ctx, v.ID))
	if names := trash(t, ctx, l, l.Pools().VMs); !slices.Contains(names, disk) || !slices.Contains(names, disk+".config") {
		t.Errorf("the trash has %q, want %s and its config drive", names, disk)
	}
}

// A volume is made, attached, snapshotted, detached and deleted; it is in the
// trash after that. Where the guard is off, it is gone.
func TestVolumeLivesAndDies(t *testing.T) {
	ctx, l := testContext(t), Shared(t)
	s, err := l.As(ctx, Demo())
	must(t, err)
	v, err := s.CreateVolume(ctx, VolumeSpec{Name: "guarded"})
	must(t, err)
	server, err := s.Boot(ctx, ServerSpec{NoNetwork: true})
	must(t, err)
	must(t, s.Attach(ctx, server.ID, v.ID))
	must(t, s.Stop(ctx, server.ID))
	must(t, s.Detach(ctx, server.ID, v.ID))
	must(t, s.Delete(ctx, server.ID))
	snapshot, err := s.Snapshot(ctx, v.ID, "snap")
	must(t, err)
	must(t, s.DeleteSnapshot(ctx, snapshot))
	must(t, s.DeleteVolume(ctx, v.ID))
	must(t, s.WaitVolumeGone(ctx, v.ID))
	if names := trash(t, ctx, l, l.Pools().Volumes); !slices.Contains(names, "volume-"+v.ID) {
		t.Errorf("the trash has %q, want volume-%s", names, v.ID)
	}
	must(t, l.Guard(ctx, l.Pools().Volumes, false))
	t.Cleanup(func() {
		if err := l.Guard(context.WithoutCancel(ctx), l.Pools().Volumes, true); err != nil {
			t.Error(err)
		}
	})
	v, err = s.CreateVolume(ctx, VolumeSpec{Name: "unguarded"})
	must(t, err)
	must(t, s.DeleteVolume(ctx, v.ID))
	must(t, s.WaitVolumeGone(ctx, v.ID))
	if names := trash(t, ctx, l, l.Pools().Volumes); slices.Contains(names, "volume-"+v.ID) {
		t.Errorf("without the guard the trash has %q", names)
	}
	must(t, s.WaitGone(ctx, server.ID))
}
