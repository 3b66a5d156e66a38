//go:build openstack

package acceptance

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	openstacklab "quarantine/integration/openstack"
)

// Without a single event the disks are captured as ever, and the cloud's APIs
// label them: they tell what was done to a server, when and by whom, and the
// stock that was taken before tells the addresses. What they do not tell is who
// deleted a volume or an image.
func TestPathsWithoutEvents(t *testing.T) {
	s := prepared(t)
	if s.daemon != nil {
		must(t, s.daemon.end(os.Interrupt))
	}
	s.start(t, options{noEvents: true})
	t.Cleanup(func() {
		if err := s.daemon.end(os.Interrupt); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	alice, demo, admin := s.person(t, openstacklab.Alice()), s.person(t, openstacklab.Demo()), s.person(t, openstacklab.Admin())
	var rebuilt, shelved, resized, rescued, deleted openstacklab.Server
	var plain openstacklab.Volume
	image := upload(t, demo, "silent", nil)
	each(t, func() (err error) {
		rebuilt, err = alice.Boot(ctx, openstacklab.ServerSpec{Name: "rebuilt"})
		return err
	}, func() (err error) {
		shelved, err = demo.Boot(ctx, openstacklab.ServerSpec{Name: "put-away"})
		return err
	}, func() (err error) {
		resized, err = alice.Boot(ctx, openstacklab.ServerSpec{Name: "resized", ConfigDrive: true})
		return err
	}, func() (err error) {
		rescued, err = demo.Boot(ctx, openstacklab.ServerSpec{Name: "saved"})
		return err
	}, func() (err error) {
		deleted, err = demo.Boot(ctx, openstacklab.ServerSpec{Name: "gone"})
		return err
	}, func() (err error) {
		plain, err = alice.CreateVolume(ctx, openstacklab.VolumeSpec{Name: "unheard"})
		return err
	})
	s.job(t, "clouds") // takes stock
	quiet, err := alice.ImageNamed(ctx, openstacklab.Quiet)
	must(t, err)
	resize(t, alice, resized.ID)
	each(t, func() error {
		return act(ctx, alice, rebuilt.ID, object{"rebuild": object{"imageRef": quiet.ID}}, "ACTIVE")
	}, func() error {
		return act(ctx, demo, shelved.ID, object{"shelve": nil}, "SHELVED_OFFLOADED")
	}, func() error {
		return act(ctx, alice, resized.ID, object{"confirmResize": nil}, "ACTIVE")
	}, func() error {
		if err := act(ctx, demo, rescued.ID, object{"rescue": object{}}, "RESCUE"); err != nil {
			return err
		}
		return act(ctx, demo, rescued.ID, object{"unrescue": nil}, "ACTIVE")
	}, func() error {
		if err := admin.Delete(ctx, deleted.ID); err != nil {
			return err
		}
		return demo.WaitGone(ctx, deleted.ID)
	}, func() error {
		if err := alice.DeleteVolume(ctx, plain.ID); err != nil {
			return err
		}
		return alice.WaitVolumeGone(ctx, plain.ID)
	}, func() error {
		return demo.DeleteImage(ctx, image.ID)
	})
	s.job(t, "reconcile")
	s.job(t, "clouds")

	nobody := person{}
	for _, c := range []struct {
		ids            []string
		fate           fate
		owner, deleter person
		name           string
		addresses      []string
	}{
		{[]string{rebuilt.ID}, fate{rebuilt.ID + "_disk", "rebuild", "root"}, alice, alice, "rebuilt", rebuilt.IPs()},
		{[]string{shelved.ID}, fate{shelved.ID + "_disk", "shelve-offload", "root"}, demo, demo, "put-away", shelved.IPs()},
		{[]string{rescued.ID}, fate{rescued.ID + "_disk.rescue", "unrescue", "rescue"}, demo, demo, "saved", rescued.IPs()},
		{[]string{deleted.ID}, fate{deleted.ID + "_disk", "delete", "root"}, demo, admin, "gone", deleted.IPs()},
		{[]string{"volume-" + plain.ID}, fate{"volume-" + plain.ID, "volume-delete", "volume"}, alice, nobody, "unheard", nil},
	} {
		disks := s.died(t, c.ids, c.fate)
		s.owned(t, disks[0], c.owner, c.deleter, c.name, c.addresses)
	}
	silent := s.died(t, []string{image.ID}, fate{image.ID, "image-delete", "image"})[0]
	if silent.Project != demo.name || silent.ResourceName != "silent" || silent.Deleter != "" {
		t.Errorf("the image is known as %s", asJSON(silent))
	}
	s.died(t, []string{resized.ID}) // no disk dies in a resize
	// Of a server that lived on after other acts, its end is told apart.
	must(t, alice.Delete(ctx, rebuilt.ID))
	must(t, alice.WaitGone(ctx, rebuilt.ID))
	s.job(t, "clouds")
	s.died(t, []string{rebuilt.ID}, fate{rebuilt.ID + "_disk", "rebuild", "root"}, fate{rebuilt.ID + "_disk", "delete", "root"})
}

// act asks for an action and waits for the status that ends it.
func act(ctx context.Context, who person, server string, action object, status string) error {
	if err := who.Action(ctx, server, action); err != nil {
		return err
	}
	_, err := who.WaitServer(ctx, server, status)
	return err
}

// each does all of it side by side.
func each(t *testing.T, fs ...func() error) {
	t.Helper()
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
}
