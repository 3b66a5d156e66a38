package quarantine_test

import (
	"slices"
	"testing"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A large disk is freed in steps; not even the first is done when a client has
// opened it after the purge began, though Ceph would let it: the disk is sealed
// again and whole.
func TestTrimMindsWhoHasTheDiskOpen(t *testing.T) {
	w := newWorld(t)
	const size = 20 << 30
	key, err := w.ceph.CloudCreate(vms, diskName, size)
	if err != nil {
		t.Fatal(err)
	}
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	if err := w.ceph.CloudRemove(vms, diskName); err != nil {
		t.Fatal(err)
	}
	// Not by w.adopt, which looks at the content: all 20 GiB would be in memory.
	e, err := w.ceph.FindInTrash(w.ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.adopter.Adopt(w.ctx, e, quarantine.CaptureGuard); err != nil {
		t.Fatal(err)
	}
	w.pass(retain)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.pass(grace)
	var trims []string
	var leave func()
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "Trim" {
			trims = append(trims, k.Key.ImageID)
		}
		return nil
	})
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb != "Strip" || leave != nil {
			return nil
		}
		leave, err = w.ceph.CloudWatch(key, "client.1")
		return err
	})
	rep := w.collect()
	if p := did(rep, "purge"); len(p) != 1 || p[0].Error == "" || len(trims) != 0 {
		t.Fatalf("%d steps; %+v", len(trims), rep.Items)
	}
	if d := w.is(key, quarantine.Expiring); !d.Sealed {
		t.Errorf("%+v", d)
	}
	leave()
	w.pass(grace)
	w.collect()
	w.is(key, quarantine.Purged)
	if len(trims) < 2 || slices.ContainsFunc(trims, func(id string) bool { return id != key.ImageID }) {
		t.Errorf("cut off are %q", trims)
	}
}
