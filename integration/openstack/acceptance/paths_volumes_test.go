//go:build openstack

package acceptance

import (
	"net/http"
	"testing"

	openstacklab "quarantine/integration/openstack"
)

// A volume that was never attached is deleted by its owner.
func deleteVolume(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	v, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "plain", Extra: object{"metadata": object{"purpose": "test"}}})
	must(t, err)
	must(t, alice.DeleteVolume(t.Context(), v.ID))
	must(t, alice.WaitVolumeGone(t.Context(), v.ID))
	disks := s.died(t, []string{"volume-" + v.ID}, fate{"volume-" + v.ID, "volume-delete", "volume"})
	s.owned(t, disks[0], alice, alice, "plain", nil)
	if d := disks[0]; d.ResourceID != v.ID || d.ResourceKind != "volume" || d.Metadata["purpose"] != "test" || d.ServerID != "" {
		t.Errorf("the volume is known as %s", asJSON(d))
	}
}

// An administrator deletes a user's volume by force, in a status in which its
// owner could not.
func forceDeleteVolume(t *testing.T, s *site) {
	demo, admin := s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Admin())
	v, err := demo.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "stuck"})
	must(t, err)
	must(t, admin.Do(t.Context(), http.MethodPost, "volume", "/volumes/"+v.ID+"/action", object{"os-reset_status": object{"status": "creating"}}, nil))
	must(t, admin.ForceDeleteVolume(t.Context(), v.ID))
	must(t, demo.WaitVolumeGone(t.Context(), v.ID))
	disks := s.died(t, []string{"volume-" + v.ID}, fate{"volume-" + v.ID, "volume-delete", "volume"})
	s.owned(t, disks[0], demo, admin, "stuck", nil)
}

// A volume is taken from its server and then deleted: the server lives, and
// the volume is not told to have been its.
func detachAndDelete(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	v, err := demo.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "moved"})
	must(t, err)
	server, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "mover"})
	must(t, err)
	must(t, demo.Attach(t.Context(), server.ID, v.ID))
	must(t, demo.Stop(t.Context(), server.ID))
	must(t, demo.Detach(t.Context(), server.ID, v.ID))
	must(t, demo.DeleteVolume(t.Context(), v.ID))
	must(t, demo.WaitVolumeGone(t.Context(), v.ID))
	disks := s.died(t, []string{"volume-" + v.ID, server.ID}, fate{"volume-" + v.ID, "volume-delete", "volume"})
	s.owned(t, disks[0], demo, demo, "moved", nil)
	must(t, demo.Delete(t.Context(), server.ID))
	must(t, demo.WaitGone(t.Context(), server.ID))
	root := s.died(t, []string{server.ID}, fate{server.ID + "_disk", "delete", "root"})
	s.together(t, server.ID, root...)
}

// A volume from which another was made is kept by Cinder under another name
// until that one goes too. With the clone in quarantine it is kept beyond that,
// for the clone stands on it; Cinder does not come back for it.
func deleteClonedVolume(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	base, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "base"})
	must(t, err)
	clone, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "clone", Source: base.ID})
	must(t, err)
	must(t, alice.DeleteVolume(t.Context(), base.ID))
	must(t, alice.WaitVolumeGone(t.Context(), base.ID))
	s.died(t, []string{"volume-" + base.ID})
	if !s.lives(t, s.lab.Pools().Volumes, "volume-"+base.ID+".deleted") {
		t.Error("Cinder has not kept the base of the clone")
	}
	must(t, alice.DeleteVolume(t.Context(), clone.ID))
	must(t, alice.WaitVolumeGone(t.Context(), clone.ID))
	disks := s.died(t, []string{"volume-" + clone.ID, "volume-" + base.ID}, fate{"volume-" + clone.ID, "volume-delete", "volume"})
	s.owned(t, disks[0], alice, alice, "clone", nil)
	if !s.lives(t, s.lab.Pools().Volumes, "volume-"+base.ID+".deleted") {
		t.Error("the base of a quarantined clone is gone")
	}
}

// A snapshot is no image of its own: nothing dies with it, also when a volume
// that was made from it is in quarantine, and neither keeps the snapshot's
// volume from its own death.
func deleteSnapshot(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	v, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "snapped"})
	must(t, err)
	source := "volume-" + v.ID
	snapshot, err := alice.Snapshot(t.Context(), v.ID, "moment")
	must(t, err)
	must(t, alice.DeleteSnapshot(t.Context(), snapshot))
	s.died(t, []string{source, snapshot})
	if !s.lives(t, s.lab.Pools().Volumes, source) {
		t.Error("the volume is gone with its snapshot")
	}
	snapshot, err = alice.Snapshot(t.Context(), v.ID, "another")
	must(t, err)
	copied, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "copied", Snapshot: snapshot})
	must(t, err)
	must(t, alice.DeleteVolume(t.Context(), copied.ID))
	must(t, alice.WaitVolumeGone(t.Context(), copied.ID))
	first := fate{"volume-" + copied.ID, "volume-delete", "volume"}
	s.died(t, []string{source, snapshot, first.name}, first)
	must(t, alice.DeleteSnapshot(t.Context(), snapshot))
	must(t, alice.DeleteVolume(t.Context(), v.ID))
	must(t, alice.WaitVolumeGone(t.Context(), v.ID))
	disks := s.died(t, []string{source, snapshot, first.name}, first, fate{source, "volume-delete", "volume"})
	s.owned(t, disks[1], alice, alice, "snapped", nil)
}

// An image is deleted. Glance does not say by whom.
func deleteImage(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	const sign = "an image of alice"
	i := upload(t, alice, sign, object{"purpose": "test"})
	must(t, alice.DeleteImage(t.Context(), i.ID))
	disks := s.died(t, []string{i.ID}, fate{i.ID, "image-delete", "image"})
	until(t, func() string {
		d := s.show(t, disks[0].ID).Disk
		if d.Project == alice.name && d.ProjectID == alice.ProjectID && d.ResourceName == sign && d.ResourceID == i.ID && d.ResourceKind == "image" && d.Metadata["purpose"] == "test" {
			return ""
		}
		return "the image is known as " + asJSON(d)
	})
	s.bears(t, disks[0], 1<<20, sign)
}
