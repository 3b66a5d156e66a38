//go:build openstack

package acceptance

import (
	"errors"
	"strings"
	"testing"

	openstacklab "quarantine/integration/openstack"
)

// An evacuation reports itself as a rebuild and destroys no disk, for the disks
// are in Ceph: not when it rebuilds the server elsewhere, not when the host
// that failed comes back and clears what it had. It is gone through both ways;
// the second host is one to Nova alone, and the way back ends on the real one,
// which builds the server on the disk that it had. Then the server dies, with
// that disk.
func TestPathsOfEvacuation(t *testing.T) {
	s := running(t)
	ctx := t.Context()
	demo, admin := s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Admin())
	v, err := demo.Boot(ctx, openstacklab.ServerSpec{Name: "fugitive", ConfigDrive: true})
	must(t, err)
	s.beats(t, s.lab.Pools().VMs, v.ID+"_disk")
	must(t, s.lab.StartSecondHost(ctx))
	t.Cleanup(func() {
		err := errors.Join(s.lab.StartService(cleanly(t), "nova-compute"), s.lab.EndSecondHost(cleanly(t)), s.lab.WaitHost(cleanly(t), s.lab.Node(), "up"))
		if err != nil {
			t.Error(err)
		}
	})
	must(t, s.lab.WaitHost(ctx, openstacklab.SecondHost, "up"))

	must(t, s.lab.KillService(ctx, "nova-compute"))
	must(t, s.lab.WaitHost(ctx, s.lab.Node(), "down"))
	evacuate(t, s, admin, demo, v.ID, openstacklab.SecondHost)
	undisturbed(t, s, v.ID)
	must(t, s.lab.StartService(ctx, "nova-compute"))
	must(t, s.lab.WaitHost(ctx, s.lab.Node(), "up"))
	until(t, func() string {
		out, err := s.lab.Virsh(ctx, "list", "--all", "--uuid")
		must(t, err)
		if strings.Contains(out, v.ID) {
			return "the host is back, and has kept the guest of server " + v.ID
		}
		return ""
	})
	undisturbed(t, s, v.ID)

	must(t, s.lab.KillSecondHost(ctx))
	must(t, s.lab.WaitHost(ctx, openstacklab.SecondHost, "down"))
	evacuate(t, s, admin, demo, v.ID, s.lab.Node())
	undisturbed(t, s, v.ID)

	must(t, demo.Delete(ctx, v.ID))
	must(t, demo.WaitGone(ctx, v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"}, fate{v.ID + "_disk.config", "delete", "config"})
	s.owned(t, disks[0], demo, demo, "fugitive", v.IPs())
	s.holds(t, disks[0])
	s.together(t, v.ID, disks...)
}

// evacuate moves a server from its host, which is down, to another.
func evacuate(t *testing.T, s *site, admin, owner person, server, host string) {
	t.Helper()
	must(t, admin.Action(t.Context(), server, object{"evacuate": object{}}))
	_, err := owner.WaitServer(t.Context(), server, "ACTIVE")
	must(t, err)
	v, err := admin.Server(t.Context(), server)
	must(t, err)
	if v.Host != host {
		t.Fatalf("the server was evacuated to %q, want %s", v.Host, host)
	}
}

// undisturbed expects all disks of the server alive, and the daemon to have
// heard of what the cloud calls a rebuild without making anything of it.
func undisturbed(t *testing.T, s *site, server string) {
	t.Helper()
	s.died(t, []string{server})
	for _, name := range []string{server + "_disk", server + "_disk.config"} {
		if !s.lives(t, s.lab.Pools().VMs, name) {
			t.Errorf("the evacuation has destroyed %s", name)
		}
	}
}
