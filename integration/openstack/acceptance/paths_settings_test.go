//go:build openstack

package acceptance

import (
	"errors"
	"fmt"
	"testing"

	openstacklab "quarantine/integration/openstack"
)

// The deaths that need settings of Nova which are not the usual ones, or a
// compute host that is down.
func TestPathsBySettings(t *testing.T) {
	s := running(t)
	t.Cleanup(func() {
		if err := errors.Join(s.lab.Configure(cleanly(t), "nova", ""), s.lab.WaitComputeUp(cleanly(t))); err != nil {
			t.Error(err)
		}
	})
	demo, alice := s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Alice())
	servers := map[string]*openstacklab.Server{"deferred": {}, "hurried": {}, "spared": {}, "left-behind": {}}
	var boots []func() error
	for name, v := range servers {
		boots = append(boots, func() (err error) {
			who := demo
			if name == "hurried" {
				who = alice
			}
			*v, err = who.Boot(t.Context(), openstacklab.ServerSpec{Name: name})
			return err
		})
	}
	each(t, boots...)
	// Nova looks for what to reclaim once a minute. A host that has just been
	// restarted and is slow is not taken for dead.
	must(t, s.lab.Configure(t.Context(), "nova", "reclaim_instance_interval = 15\nservice_down_time = 300"))
	t.Run("deferred", func(t *testing.T) {
		for name, path := range map[string]func(*testing.T){
			"soft delete, then reclaim":                 func(t *testing.T) { reclaimed(t, s, demo, *servers["deferred"]) },
			"soft delete, then force delete by another": func(t *testing.T) { softThenForce(t, s, alice, *servers["hurried"]) },
			"soft delete, then restore":                 func(t *testing.T) { softThenRestore(t, s, demo, *servers["spared"]) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				path(t)
			})
		}
	})
	t.Run("delete with the compute host down", func(t *testing.T) { deleteWithHostDown(t, s, demo, *servers["left-behind"]) })
}

// A deferred delete destroys nothing at first; the reclaim does, and the
// deleter is who asked for the delete.
func reclaimed(t *testing.T, s *site, demo person, v openstacklab.Server) {
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[0], demo, demo, "deferred", v.IPs())
}

// Somebody else ends it before its time.
func softThenForce(t *testing.T, s *site, alice person, v openstacklab.Server) {
	admin := s.person(t, openstacklab.Admin())
	must(t, alice.Delete(t.Context(), v.ID))
	_, err := alice.WaitServer(t.Context(), v.ID, "SOFT_DELETED")
	must(t, err)
	must(t, admin.ForceDelete(t.Context(), v.ID))
	must(t, alice.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[0], alice, admin, "hurried", v.IPs())
}

// A delete that is taken back has destroyed nothing.
func softThenRestore(t *testing.T, s *site, demo person, v openstacklab.Server) {
	must(t, demo.Delete(t.Context(), v.ID))
	_, err := demo.WaitServer(t.Context(), v.ID, "SOFT_DELETED")
	must(t, err)
	must(t, demo.Action(t.Context(), v.ID, object{"restore": nil}))
	_, err = demo.WaitServer(t.Context(), v.ID, "ACTIVE")
	must(t, err)
	s.died(t, []string{v.ID})
	if !s.lives(t, s.lab.Pools().VMs, v.ID+"_disk") {
		t.Error("the server is back, and its disk is gone")
	}
}

// While its host is down, nova-api deletes a server in the database: its disk
// lives on and is not touched. When the host comes back, it destroys the disk
// and says nothing; the disk is known all the same, by what was told before.
func deleteWithHostDown(t *testing.T, s *site, demo person, v openstacklab.Server) {
	must(t, s.lab.StopService(t.Context(), "nova-compute"))
	must(t, s.lab.Configure(t.Context(), "nova", "running_deleted_instance_action = reap\nrunning_deleted_instance_poll_interval = 2\nrunning_deleted_instance_timeout = 0", "nova-api"))
	must(t, s.lab.WaitComputeDown(t.Context()))
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	s.died(t, []string{v.ID})
	if !s.lives(t, s.lab.Pools().VMs, v.ID+"_disk") {
		t.Error("the host is down, and the disk is gone")
	}
	must(t, s.lab.StartService(t.Context(), "nova-compute"))
	must(t, s.lab.WaitComputeUp(t.Context()))
	until(t, func() string {
		if s.lives(t, s.lab.Pools().VMs, v.ID+"_disk") {
			return fmt.Sprintf("the host is back, and has not destroyed %s_disk", v.ID)
		}
		return ""
	})
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[0], demo, demo, "left-behind", v.IPs())
}
