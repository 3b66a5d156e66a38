package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakecloud"
)

// A volume has the disk's bytes and is independent of it: the disk stays in
// quarantine, and can be purged. The custody log has the intent and what came
// of it.
func TestRestoreAsVolume(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	res, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Project: "blue", VolumeType: "fast"})
	if err != nil {
		t.Fatal(err)
	}
	w.is(key, quarantine.Quarantined)
	w.intact(key)
	v := w.one(quarantine.ResourceVolume)
	w.bears(v, key)
	if !v.Bootable || v.Type != "fast" || v.Project.Name != "blue" || v.Name != "restored-web" {
		t.Errorf("the volume is %+v", v)
	}
	if len(res.Made) != 1 || res.Made[0].ID != v.ID || len(res.Disks) != 1 || len(res.Removed)+len(res.Left) != 0 {
		t.Errorf("%+v", res)
	}
	if got := w.stages(); got != "clone flatten volume" {
		t.Errorf("stages: %s", got)
	}
	if got := w.custody.of(key); !slices.Contains(got, "restore intent") || !slices.Contains(got, "restore done") {
		t.Errorf("custody: %q", got)
	}
	w.only(key)
	for range 4 {
		w.pass(retain / 2)
		w.collect()
	}
	w.is(key, quarantine.Purged)
	w.bears(w.one(quarantine.ResourceVolume), key)
}

// Without a flatten the volume stands on the disk, which is then not purged.
func TestRestoreWithoutFlatten(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, NoFlatten: true}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		w.pass(retain / 2)
		w.collect()
	}
	w.is(key, quarantine.Expiring)
	w.bears(w.one(quarantine.ResourceVolume), key)
}

// An image is made by its location; where the cloud does not allow that, the
// copy goes and the bytes are sent. With upload they are sent at once, and the
// pools have no copy at any time.
func TestRestoreAsImage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		noLocations, upload bool
		sent                bool
		stages              string
	}{
		{"by location", false, false, false, "clone flatten image"},
		{"locations not allowed", true, false, true, "clone flatten image upload image"},
		{"upload", false, true, true, "upload image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t)
			w.target.NoLocations = c.noLocations
			key := w.quarantined()
			if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage, Upload: c.upload}); err != nil {
				t.Fatal(err)
			}
			i := w.one(quarantine.ResourceImage)
			w.bears(i, key)
			if (i.Content != nil) != c.sent || w.stages() != c.stages {
				t.Errorf("sent: %t; stages: %s", i.Content != nil, w.stages())
			}
			w.only(key)
			w.intact(key)
			// No later run takes it for a leftover.
			w.pass(2 * day)
			w.collect()
			w.bears(w.one(quarantine.ResourceImage), key)
		})
	}
}

// Where the cloud takes no bytes none are sent: an upload is refused at once, and
// when the cloud does not want the location either, that is the error, and the
// copy goes.
func TestRestoreAsImageWithoutUpload(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	w.target.Can.NoUpload = true
	key := w.quarantined()
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage, Upload: true}); !errors.Is(err, quarantine.ErrInvalid) || w.stages() != "" {
		t.Errorf("upload: %v, stages: %s", err, w.stages())
	}
	w.target.NoLocations = true
	_, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage})
	if !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "locations are not allowed") || w.stages() != "clone flatten image clean-up" {
		t.Errorf("by location: %v, stages: %s", err, w.stages())
	}
	w.only(key)
	w.intact(key)
	w.target.NoLocations = false
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsImage}); err != nil {
		t.Error(err)
	}
	w.bears(w.one(quarantine.ResourceImage), key)
}

// A server boots from the volume of the disk; a defanged one has no network.
func TestRestoreAsServer(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	res, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsServer, Defanged: true, Project: "blue"})
	if err != nil {
		t.Fatal(err)
	}
	s, v := w.one(quarantine.ResourceVM), w.one(quarantine.ResourceVolume)
	if !slices.Equal(s.Volumes, []string{v.ID}) || s.Network != "" || !s.Defanged || !v.Bootable || s.Name != "restored-web" || v.Name != "restored-web-root" {
		t.Errorf("server %+v, volume %+v", s, v)
	}
	if len(res.Made) != 2 || res.Made[1].ID != s.ID {
		t.Errorf("made %+v", res.Made)
	}
	w.bears(v, key)
}

// A VM is restored as a unit: the root boots, data and ephemeral disks are
// attached, swap and config drive are left out unless they are asked for.
func TestRestoreVM(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint("all ", all), func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t)
			data := w.volumeDisk("11111111-0000-4000-8000-000000000001")
			eph := w.part(".eph0", "ephemeral")
			w.part(".swap", "swap")
			w.part(".config", "config")
			root := w.quarantined()
			o := quarantine.CloudOrder{VM: server, All: all, As: quarantine.AsServer, Network: fakecloud.Network, Name: "again", Reason: "r"}
			plan, err := w.clouds.Plan(w.ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			var order, left []string
			for _, it := range plan.Items {
				order = append(order, it.Name)
			}
			for _, it := range plan.LeftOut {
				left = append(left, it.Role)
			}
			want, wantLeft := "again-root again-ephemeral again-volume", "swap config"
			if all {
				want, wantLeft = "again-root again-ephemeral again-swap again-config again-volume", ""
			}
			if strings.Join(order, " ") != want || strings.Join(left, " ") != wantLeft {
				t.Errorf("plan %q, left out %q", order, left)
			}
			res, err := w.give(o)
			if err != nil {
				t.Fatal(err)
			}
			s := w.one(quarantine.ResourceVM)
			if len(s.Volumes) != len(order) || len(res.Disks) != len(order) || s.Network != fakecloud.Network {
				t.Errorf("server %+v", s)
			}
			vol := w.target.All()
			w.bears(vol[s.Volumes[0]], root)
			w.bears(vol[s.Volumes[1]], eph)
			w.bears(vol[s.Volumes[len(s.Volumes)-1]], data)
		})
	}
}

// By its name, a VM has its volumes too; a name of two VMs, and disks of two
// acts, are told apart by the caller.
func TestRestoreVMByName(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	w.volumeDisk("11111111-0000-4000-8000-000000000001")
	w.quarantined()
	o := quarantine.CloudOrder{VM: "web", As: quarantine.AsVolume, Reason: "r"}
	plan, err := w.clouds.Plan(w.ctx, o)
	if err != nil || len(plan.Items) != 2 || plan.Items[0].Role != "root" || !plan.Items[0].Bootable || plan.Items[1].Bootable {
		t.Fatalf("%+v, %v", plan, err)
	}
	// The same server was rebuilt before: its old root disk died by another act.
	rebuilt := w.deleteOf(quarantine.KindRebuild, "req-0")
	rebuilt.Disks[0].Name = "old_root"
	w.record(rebuilt)
	key := w.create(vms, "old_root")
	w.remove(key)
	w.adopt(key)
	_, err = w.clouds.Plan(w.ctx, o)
	if !errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), rebuilt.ID+"  rebuild at ") {
		t.Errorf("two acts: %v", err)
	}
	o.Deletion = rebuilt.ID
	plan, err = w.clouds.Plan(w.ctx, o)
	if err != nil || len(plan.Items) != 1 || plan.Items[0].Disk != key.DiskID() {
		t.Errorf("the rebuild: %+v, %v", plan, err)
	}
	o.Deletion = "0123456789abcdef"
	if _, err = w.clouds.Plan(w.ctx, o); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("no such act: %v", err)
	}
	// Another VM of that name.
	other := w.deleteOf(quarantine.KindDelete, "")
	other.ResourceID = "99999999-0000-4000-8000-000000000001"
	other.ID = quarantine.DeletionID("os", quarantine.KindDelete, other.ResourceID, "")
	other.Disks[0].Name = other.ResourceID + "_disk"
	w.record(other)
	key = w.create(vms, other.Disks[0].Name)
	w.remove(key)
	w.adopt(key)
	o.Deletion = ""
	_, err = w.clouds.Plan(w.ctx, o)
	if !errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), other.ResourceID) || !strings.Contains(err.Error(), server) {
		t.Errorf("two VMs: %v", err)
	}
	o.VM = "nothing"
	if _, err = w.clouds.Plan(w.ctx, o); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("no VM: %v", err)
	}
}

// A VM that booted from a volume: what its deletion says of the volumes tells
// which one; where nothing does, no server is guessed.
func TestRestoreVMBootVolume(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	w.volumeDisk("11111111-0000-4000-8000-000000000001")
	boot := w.volumeDisk("11111111-0000-4000-8000-000000000002")
	o := quarantine.CloudOrder{VM: server, As: quarantine.AsServer, Defanged: true, Reason: "r"}
	if _, err := w.clouds.Plan(w.ctx, o); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("which disk boots is not known: %v", err)
	}
	del := w.deleteOf(quarantine.KindDelete, "")
	del.ID, del.Disks = quarantine.DeletionID("os", quarantine.KindDelete, server, ""), nil
	del.Volumes = []quarantine.VolumeRef{{ID: "11111111-0000-4000-8000-000000000002", Boot: true}}
	w.record(del)
	plan, err := w.clouds.Plan(w.ctx, o)
	if err != nil || len(plan.Items) != 2 || plan.Items[0].Disk != boot.DiskID() || !plan.Items[0].Bootable {
		t.Errorf("%+v, %v", plan, err)
	}
}

// A moved disk is the volume itself: nothing is copied, its seal comes off with
// the next run, and its later death is a new one.
func TestRestoreByMove(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.volumeDisk("11111111-0000-4000-8000-000000000001")
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true}); err != nil {
		t.Fatal(err)
	}
	v := w.one(quarantine.ResourceVolume)
	if v.Key != key {
		t.Errorf("the volume is another image: %s", v.Key)
	}
	w.bears(v, key)
	d := w.is(key, quarantine.Restored)
	if d.RestoredTo != "volume-"+v.ID {
		t.Errorf("restored to %q", d.RestoredTo)
	}
	w.reconcile()
	w.collect()
	if st, _ := w.ceph.Look(key); st.Sealed {
		t.Error("the seal is on it still")
	}
	w.is(key, quarantine.Restored)
	w.pass(day)
	w.remove(key)
	w.reconcile()
	w.is(key, quarantine.Quarantined)
	w.intact(key)
}

// A cloud that does not take a moved disk leaves it the disk that it was, with
// its name, its deletion and its date.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.volumeDisk("11111111-0000-4000-8000-000000000001")
	before := w.disk(key)
	w.target.Hook = func(p string) error { return fmt.Errorf("at %s: no quota", p) }
	w.pass(day)
	if _, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Move: true}); err == nil {
		t.Fatal("it was moved")
	}
	for range 2 {
		w.pass(time.Hour)
		w.reconcile()
		w.collect()
	}
	after := w.is(key, quarantine.Quarantined)
	w.intact(key)
	if after.OriginalName != before.OriginalName || after.DeletionID() != before.DeletionID() || !after.RetainUntil.Equal(before.RetainUntil) || !after.DeletedAt.Equal(before.DeletedAt) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	w.only(key)
}

// What cannot be done is refused before anything is touched.
func TestCloudOrderRefused(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	vol := w.volumeDisk("11111111-0000-4000-8000-000000000001")
	w.hold(vol, "case-1")
	id := key.DiskID()
	before := len(w.custody.of(key))
	for name, c := range map[string]struct {
		o    quarantine.CloudOrder
		want error
	}{
		"nothing":                   {quarantine.CloudOrder{Disk: id}, quarantine.ErrInvalid},
		"no disk":                   {quarantine.CloudOrder{As: quarantine.AsVolume}, quarantine.ErrInvalid},
		"disk and VM":               {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, VM: "web"}, quarantine.ErrInvalid},
		"unknown disk":              {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: "0123456789abcdef"}, quarantine.ErrNotFound},
		"unknown cloud":             {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, Cloud: "x"}, quarantine.ErrInvalid},
		"unknown type":              {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, VolumeType: "x"}, quarantine.ErrNotFound},
		"server without network":    {quarantine.CloudOrder{As: quarantine.AsServer, Disk: id}, quarantine.ErrInvalid},
		"defanged with network":     {quarantine.CloudOrder{As: quarantine.AsServer, Disk: id, Defanged: true, Network: "lan"}, quarantine.ErrInvalid},
		"volume with network":       {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, Network: "lan"}, quarantine.ErrInvalid},
		"image of a VM":             {quarantine.CloudOrder{As: quarantine.AsImage, VM: "web"}, quarantine.ErrInvalid},
		"image, bootable":           {quarantine.CloudOrder{As: quarantine.AsImage, Disk: id, Bootable: true}, quarantine.ErrInvalid},
		"volume, upload":            {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, Upload: true}, quarantine.ErrInvalid},
		"move of a VM":              {quarantine.CloudOrder{As: quarantine.AsVolume, VM: "web", Move: true}, quarantine.ErrInvalid},
		"move from another pool":    {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, Move: true}, quarantine.ErrRefused},
		"move under a hold":         {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: vol.DiskID(), Move: true}, quarantine.ErrRefused},
		"the name is much too long": {quarantine.CloudOrder{As: quarantine.AsVolume, Disk: id, Name: strings.Repeat("x", 201)}, quarantine.ErrInvalid},
	} {
		if _, err := w.give(c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(w.custody.of(key)); n != before || len(w.steps) != 0 || len(w.target.All()) != 0 {
		t.Errorf("%d custody entries more, %d steps", n-before, len(w.steps))
	}
	w.only(key, vol)
}

// A volume that waits to be accepted in another project is told; no server can
// boot from it, and it is taken back.
func TestRestoreTransfer(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t)
	key := w.quarantined()
	res, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsServer, Defanged: true, Project: fakecloud.Foreign})
	if !errors.Is(err, quarantine.ErrRefused) || len(res.Removed) != 2 || len(w.target.All()) != 0 {
		t.Errorf("%v; %+v", err, res)
	}
	w.only(key)
	res, err = w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume, Project: fakecloud.Foreign})
	if err != nil || res.Made[0].Transfer == nil || res.Made[0].Transfer.AuthKey == "" {
		t.Errorf("%v; %+v", err, res)
	}
}

// A caller that goes away in any stage leaves nothing behind.
func TestRestoreCancelled(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{quarantine.StageClone, quarantine.StageFlatten, quarantine.StageVolume, quarantine.StageServer} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t)
			data := w.volumeDisk("11111111-0000-4000-8000-000000000001")
			key := w.quarantined()
			ctx, cancel := context.WithCancel(w.ctx)
			defer cancel()
			w.onStep = func(s quarantine.CloudStep) {
				if s.Stage == stage && (s.Disk == data.DiskID() || s.Disk == "") {
					cancel()
				}
			}
			res, err := w.giveUntil(ctx, quarantine.CloudOrder{VM: server, As: quarantine.AsServer, Network: fakecloud.Network})
			if err == nil || len(res.Left) != 0 || len(res.Removed) == 0 {
				t.Errorf("%v; %+v", err, res)
			}
			if !strings.HasSuffix(w.stages(), quarantine.StageCleanUp) || len(w.target.All()) != 0 {
				t.Errorf("stages %s; the cloud has %+v", w.stages(), w.target.All())
			}
			w.intact(key)
			w.intact(data)
			w.only(key, data)
		})
	}
}

// A copy that is in use for a moment more is tried again; one that stays in use
// is told of and left to the collector, which removes it when it may.
func TestCleanUpWaits(t *testing.T) {
	t.Parallel()
	for _, stays := range []bool{false, true} {
		t.Run(fmt.Sprint("stays ", stays), func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t)
			key := w.quarantined()
			var stop func()
			w.target.Hook = func(string) error {
				for _, k := range w.ceph.All() {
					if k != key {
						var err error
						if stop, err = w.ceph.CloudWatch(k, "client.1"); err != nil {
							t.Error(err)
						}
					}
				}
				return errors.New("no quota")
			}
			w.clouds = quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
				Restorer: w.restorer, Clouds: []quarantine.CloudWriter{w.target}, Deletions: w.store, Snapshots: w.ceph, Reader: w.ceph, Discarder: w.collector, Marks: w.store,
				Pause: func(context.Context, time.Duration) error {
					if w.waits++; w.waits == 2 && !stays {
						stop()
					}
					return nil
				},
			})
			res, err := w.give(quarantine.CloudOrder{Disk: key.DiskID(), As: quarantine.AsVolume})
			if err == nil || (len(res.Left) == 1) != stays || (len(res.Removed) == 1) == stays || w.waits < 2 {
				t.Fatalf("%v; %+v; %d waits", err, res, w.waits)
			}
			if stays {
				w.pass(2 * time.Hour)
				if got := did(w.collect(), "discard"); len(got) != 1 || got[0].Error == "" {
					t.Errorf("while it is in use: %+v", got)
				}
				stop()
				w.collect()
			}
			w.only(key)
			w.intact(key)
		})
	}
}
