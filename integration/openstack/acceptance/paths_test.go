//go:build openstack

package acceptance

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	openstacklab "quarantine/integration/openstack"
)

// Every path on which a disk of a server, a volume or an image dies while the
// cloud runs as usual; the README's table has a line for each. Each subtest
// asks for the death by the API, as a user, and then finds exactly the disks
// that died in quarantine, under the right label, and all else alive.
func TestPaths(t *testing.T) {
	s := running(t)
	for name, path := range map[string]func(*testing.T, *site){
		"delete":                         deleteServer,
		"delete, boot from volume":       deleteVolumeServer,
		"force delete by another":        forceDelete,
		"delete in error":                deleteErrored,
		"delete, never built":            deleteNeverBuilt,
		"failed build":                   failedBuild,
		"rebuild, then delete":           rebuild,
		"shelve-offload, then delete":    shelve,
		"resize confirm":                 resizeConfirm,
		"resize revert":                  resizeRevert,
		"unrescue":                       unrescue,
		"volume delete":                  deleteVolume,
		"volume force delete by another": forceDeleteVolume,
		"volume detach, then delete":     detachAndDelete,
		"volume with clones":             deleteClonedVolume,
		"snapshot delete":                deleteSnapshot,
		"image delete":                   deleteImage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path(t, s)
		})
	}
}

// A server dies with all its disks, and with the volume that was made for it;
// the other volume that it had lives on. All of it is one unit, and each disk
// bears what a disk of its role bears.
func deleteServer(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	kept, err := alice.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: "kept"})
	must(t, err)
	image, err := alice.ImageNamed(t.Context(), openstacklab.Quiet)
	must(t, err)
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{
		Name: "whole", Flavor: openstacklab.TE, ConfigDrive: true, Image: image.ID,
		BlockDevices: []object{
			{"boot_index": 0, "source_type": "image", "destination_type": "local", "uuid": image.ID, "delete_on_termination": true},
			{"boot_index": -1, "source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true},
		},
	})
	must(t, err)
	volume := onlyVolume(t, alice, v.ID)
	must(t, alice.Attach(t.Context(), v.ID, kept.ID))
	s.beats(t, s.lab.Pools().VMs, v.ID+"_disk")
	must(t, alice.Delete(t.Context(), v.ID))
	must(t, alice.WaitGone(t.Context(), v.ID))
	must(t, alice.WaitVolumeGone(t.Context(), volume))
	_, err = alice.WaitVolume(t.Context(), kept.ID, "available")
	must(t, err)
	disks := s.died(t, []string{v.ID, "volume-" + volume, "volume-" + kept.ID},
		fate{v.ID + "_disk", "delete", "root"}, fate{v.ID + "_disk.eph0", "delete", "ephemeral"}, fate{v.ID + "_disk.swap", "delete", "swap"},
		fate{v.ID + "_disk.config", "delete", "config"}, fate{"volume-" + volume, "volume-delete", "volume"})
	for _, d := range disks[:4] {
		s.owned(t, d, alice, alice, "whole", v.IPs())
		s.holds(t, d)
	}
	s.owned(t, disks[4], alice, alice, v.ID+"-blank-vol", v.IPs()) // Nova names it so
	s.together(t, v.ID, disks...)
	var roles []string
	for _, d := range s.disks(t, "--vm", v.ID) {
		roles = append(roles, d.Role)
	}
	if want := []string{"root", "ephemeral", "swap", "config", "volume"}; !slices.Equal(roles, want) {
		t.Errorf("list --vm has the disks in the order %q, want %q", roles, want)
	}
	if !s.lives(t, s.lab.Pools().Volumes, "volume-"+kept.ID) {
		t.Error("the volume that was kept is gone")
	}
}

// onlyVolume is the id of the one volume of a server.
func onlyVolume(t *testing.T, who person, server string) string {
	t.Helper()
	var answer struct {
		Attached []struct {
			ID string `json:"volumeId"`
		} `json:"volumeAttachments"`
	}
	must(t, who.Do(t.Context(), http.MethodGet, "compute", "/servers/"+server+"/os-volume_attachments", nil, &answer))
	if len(answer.Attached) != 1 {
		t.Fatalf("server %s has the volumes %v, want one", server, answer.Attached)
	}
	return answer.Attached[0].ID
}

// A server that boots from a volume has no other disk; the volume dies with it
// and is the server's.
func deleteVolumeServer(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	image, err := demo.ImageNamed(t.Context(), openstacklab.Quiet)
	must(t, err)
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "from-volume", BlockDevices: []object{
		{"boot_index": 0, "source_type": "image", "destination_type": "volume", "uuid": image.ID, "volume_size": 1, "delete_on_termination": true},
	}})
	must(t, err)
	volume := onlyVolume(t, demo, v.ID)
	s.beats(t, s.lab.Pools().Volumes, "volume-"+volume)
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	must(t, demo.WaitVolumeGone(t.Context(), volume))
	disks := s.died(t, []string{v.ID, "volume-" + volume}, fate{"volume-" + volume, "volume-delete", "volume"})
	s.owned(t, disks[0], demo, demo, "", v.IPs())
	s.together(t, v.ID, disks...)
	s.holds(t, disks[0])
	if disks[0].Image != openstacklab.Quiet {
		t.Errorf("the volume was made from %q, want %s", disks[0].Image, openstacklab.Quiet)
	}
}

// An administrator deletes a user's server by force: the owner and the deleter
// are two.
func forceDelete(t *testing.T, s *site) {
	demo, admin := s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Admin())
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "forced"})
	must(t, err)
	must(t, admin.ForceDelete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[0], demo, admin, "forced", v.IPs())
}

// A server that ran, and is in error now, is deleted as any other.
func deleteErrored(t *testing.T, s *site) {
	demo, admin := s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Admin())
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "broken"})
	must(t, err)
	must(t, admin.Action(t.Context(), v.ID, object{"os-resetState": object{"state": "error"}}))
	_, err = demo.WaitServer(t.Context(), v.ID, "ERROR")
	must(t, err)
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[0], demo, demo, "broken", v.IPs())
}

// upload makes an image of the user's, of 8 MiB, that bears the sign.
func upload(t *testing.T, who person, sign string, properties object) openstacklab.Image {
	t.Helper()
	data := make([]byte, 8<<20)
	copy(data[1<<20:], sign)
	i, err := who.UploadImage(t.Context(), openstacklab.ImageSpec{Name: sign, Extra: properties}, bytes.NewReader(data))
	must(t, err)
	return i
}

// A server for which no host was found never had a disk: nothing is captured,
// and nothing is lost.
func deleteNeverBuilt(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	admin := s.person(t, openstacklab.Admin())
	var made struct{ Flavor struct{ ID string } }
	must(t, admin.Do(t.Context(), http.MethodPost, "compute", "/flavors", object{"flavor": object{"name": "giant", "ram": 1 << 22, "vcpus": 1, "disk": 1}}, &made))
	id, err := demo.BootNoWait(t.Context(), openstacklab.ServerSpec{Name: "homeless", Flavor: made.Flavor.ID})
	must(t, err)
	_, err = demo.WaitServer(t.Context(), id, "ERROR")
	must(t, err)
	must(t, demo.Delete(t.Context(), id))
	must(t, demo.WaitGone(t.Context(), id))
	until(t, func() string {
		if strings.Contains(s.daemon.text(), id) {
			return "" // it was told of, and
		}
		return "the daemon has heard nothing of server " + id
	})
	s.died(t, []string{id})
	must(t, admin.Do(t.Context(), http.MethodDelete, "compute", "/flavors/"+made.Flavor.ID, nil, nil))
}

// A build that fails at the guest has made a disk, which Nova destroys; no
// event says so. The guard has it all the same, and it bears the server's id.
func failedBuild(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	image := upload(t, demo, "for no machine at all", object{"hw_machine_type": "none-such"})
	id, err := demo.BootNoWait(t.Context(), openstacklab.ServerSpec{Name: "stillborn", Image: image.ID})
	must(t, err)
	_, err = demo.WaitServer(t.Context(), id, "ERROR")
	must(t, err)
	s.died(t, []string{id}, fate{id + "_disk", "", ""})
	must(t, demo.Delete(t.Context(), id))
	must(t, demo.WaitGone(t.Context(), id))
}

// A rebuild destroys all disks of the server under names that the new ones
// bear. The later delete takes those; each disk is known by its own end.
func rebuild(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "first", Flavor: openstacklab.TE, ConfigDrive: true})
	must(t, err)
	s.beats(t, s.lab.Pools().VMs, v.ID+"_disk")
	image, err := alice.ImageNamed(t.Context(), openstacklab.Quiet)
	must(t, err)
	must(t, alice.Action(t.Context(), v.ID, object{"rebuild": object{"imageRef": image.ID, "name": "second"}}))
	v, err = alice.WaitServer(t.Context(), v.ID, "ACTIVE")
	must(t, err)
	names := []struct{ name, role string }{{v.ID + "_disk", "root"}, {v.ID + "_disk.eph0", "ephemeral"}, {v.ID + "_disk.swap", "swap"}, {v.ID + "_disk.config", "config"}}
	var once, twice []fate
	for _, n := range names {
		once = append(once, fate{n.name, "rebuild", n.role})
		twice = append(twice, fate{n.name, "delete", n.role})
		if !s.lives(t, s.lab.Pools().VMs, n.name) {
			t.Errorf("after the rebuild there is no %s", n.name)
		}
	}
	old := s.died(t, []string{v.ID}, once...)
	s.owned(t, old[0], alice, alice, "second", v.IPs()) // Nova names it so from the start
	s.holds(t, old[0])
	must(t, alice.Delete(t.Context(), v.ID))
	must(t, alice.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, append(once, twice...)...)
	for i, d := range old {
		if disks[i].ID != d.ID {
			t.Errorf("the %s disk of the rebuild was %s and is %s now", d.Role, d.ID, disks[i].ID)
		}
	}
	s.owned(t, disks[4], alice, alice, "second", v.IPs())
	s.together(t, v.ID, disks...)
}

// Shelving leaves an image of the root disk and destroys the disks; when the
// shelved server is deleted, the image goes too, and is the server's.
func shelve(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "shelved"})
	must(t, err)
	s.beats(t, s.lab.Pools().VMs, v.ID+"_disk")
	must(t, demo.Action(t.Context(), v.ID, object{"shelve": nil}))
	_, err = demo.WaitServer(t.Context(), v.ID, "SHELVED_OFFLOADED")
	must(t, err)
	image, err := demo.ImageNamed(t.Context(), "shelved-shelved")
	must(t, err)
	if !s.lives(t, s.lab.Pools().Images, image.ID) {
		t.Errorf("the image %s of the shelved server is not there", image.ID)
	}
	local := fate{v.ID + "_disk", "shelve-offload", "root"}
	disks := s.died(t, []string{v.ID, image.ID}, local)
	s.owned(t, disks[0], demo, demo, "shelved", v.IPs())
	s.holds(t, disks[0])
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	disks = s.died(t, []string{v.ID, image.ID}, local, fate{image.ID, "image-delete", "image"})
	s.together(t, v.ID, disks...)
}

// A resize goes on with the same disks: one that is confirmed destroys none.
func resizeConfirm(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "grows", ConfigDrive: true})
	must(t, err)
	resize(t, alice, v.ID)
	must(t, alice.Action(t.Context(), v.ID, object{"confirmResize": nil}))
	_, err = alice.WaitServer(t.Context(), v.ID, "ACTIVE")
	must(t, err)
	afterResize(t, s, alice, v)
}

// Nor does one that is reverted. What the server wrote in between is lost to
// Nova's rollback of the disk, which removes no image.
func resizeRevert(t *testing.T, s *site) {
	alice := s.person(t, openstacklab.Alice())
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "shrinks", ConfigDrive: true})
	must(t, err)
	resize(t, alice, v.ID)
	must(t, alice.Action(t.Context(), v.ID, object{"revertResize": nil}))
	_, err = alice.WaitServer(t.Context(), v.ID, "ACTIVE")
	must(t, err)
	afterResize(t, s, alice, v)
}

func resize(t *testing.T, who person, id string) {
	t.Helper()
	must(t, who.Action(t.Context(), id, object{"resize": object{"flavorRef": openstacklab.T2}}))
	_, err := who.WaitServer(t.Context(), id, "VERIFY_RESIZE")
	must(t, err)
}

// afterResize expects that no disk died in the resize, and all of them when the
// server is deleted.
func afterResize(t *testing.T, s *site, who person, v openstacklab.Server) {
	t.Helper()
	s.died(t, []string{v.ID})
	for _, name := range []string{v.ID + "_disk", v.ID + "_disk.config"} {
		if !s.lives(t, s.lab.Pools().VMs, name) {
			t.Errorf("after the resize there is no %s", name)
		}
	}
	must(t, who.Delete(t.Context(), v.ID))
	must(t, who.WaitGone(t.Context(), v.ID))
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk.config", "delete", "config"}, fate{v.ID + "_disk", "delete", "root"})
	s.owned(t, disks[1], who, who, v.Name, v.IPs())
	s.together(t, v.ID, disks...)
}

// The end of a rescue destroys the rescue disk, and that only.
func unrescue(t *testing.T, s *site) {
	demo := s.person(t, openstacklab.Demo())
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{Name: "rescued"})
	must(t, err)
	must(t, demo.Action(t.Context(), v.ID, object{"rescue": object{}}))
	_, err = demo.WaitServer(t.Context(), v.ID, "RESCUE")
	must(t, err)
	s.beats(t, s.lab.Pools().VMs, v.ID+"_disk.rescue")
	must(t, demo.Action(t.Context(), v.ID, object{"unrescue": nil}))
	_, err = demo.WaitServer(t.Context(), v.ID, "ACTIVE")
	must(t, err)
	disks := s.died(t, []string{v.ID}, fate{v.ID + "_disk.rescue", "unrescue", "rescue"})
	s.owned(t, disks[0], demo, demo, "rescued", v.IPs())
	s.holds(t, disks[0])
	if !s.lives(t, s.lab.Pools().VMs, v.ID+"_disk") {
		t.Error("the root disk is gone")
	}
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	s.died(t, []string{v.ID}, fate{v.ID + "_disk.rescue", "unrescue", "rescue"}, fate{v.ID + "_disk", "delete", "root"})
}
