package quarantine_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

func (w *world) parents() []quarantine.ParentImage {
	w.t.Helper()
	list, err := w.flattener.Parents(w.ctx)
	if err != nil {
		w.t.Fatalf("parents: %v", err)
	}
	return list
}

// parent is the one parent that there is.
func (w *world) parent() quarantine.ParentImage {
	w.t.Helper()
	list := w.parents()
	if len(list) != 1 {
		w.t.Fatalf("parents: %+v", list)
	}
	return list[0]
}

// Parents are told with all who stand on them, what that costs and until when,
// without opening any of the disks.
func TestParents(t *testing.T) {
	w := newWorld(t)
	w.base("b")
	base := w.base("a")
	second := w.child("a", "disk-2", false)
	first := w.child("a", diskName, true)
	w.child("b", "disk-3", false)
	w.stray("was never a clone")
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	w.hold(first, "case-1")
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "default", Flatten: quarantine.FlattenOnHold})
	opened := 0
	if p := w.parents()[0]; p.Unmeasured != 2 || p.CopyBytes != 0 {
		t.Errorf("not measured: %+v", p)
	}
	w.reconcile()
	w.ceph.Before(func(c fakeceph.Call) error {
		if c.Verb == "OpenImage" || c.Verb == "Lineage" {
			opened++
		}
		return nil
	})
	list := w.parents()
	if opened != 0 {
		t.Errorf("%d disks were opened", opened)
	}
	if len(list) != 2 || list[0].Name != "a" || list[1].Name != "b" {
		t.Fatalf("parents: %+v", list)
	}
	p := list[0]
	if p.Key != base || p.Where != quarantine.PlaceLive || p.Blocked || p.Why != "" || p.Disk != "" || p.CopyBytes != 6*4096 || p.Unmeasured != 0 {
		t.Errorf("parent: %+v", p)
	}
	want := []string{first.DiskID(), second.DiskID()}
	slices.Sort(want)
	if len(p.Children) != 2 || p.Children[0].ID != want[0] || p.Children[1].ID != want[1] {
		t.Fatalf("children: %+v", p.Children)
	}
	for _, c := range p.Children {
		d := w.disk(first)
		if c.ID == second.DiskID() {
			d = w.disk(second)
		}
		if c.OriginalName != d.OriginalName || c.Pool != "vms" || c.State != quarantine.Quarantined || c.Snapshot != "snap" ||
			c.SizeBytes != diskSize || c.CopyBytes != 3*4096 || !c.RetainUntil.Equal(d.RetainUntil) || c.Flatten != quarantine.FlattenOnHold {
			t.Errorf("child: %+v of %+v", c, d)
		}
		if held := slices.Equal(c.Holds, []string{"case-1"}); held != d.Held() || (c.ResourceName == "web") != (d.Deletion != nil) {
			t.Errorf("child: %+v of %+v", c, d)
		}
	}
	// The form on the wire.
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"a"`, `"where":"live"`, `"blocked":false`, `"copy_bytes":24576`, `"holds":["case-1"]`, `"holds":[]`, `"flatten":"on-hold"`, `"key":{"fsid":"fsid-1","pool":"images"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s has no %s", b, want)
		}
	}
}

// A parent is blocked when somebody wants it gone and its clones keep it, and
// not for anything else.
func TestParentBlocked(t *testing.T) {
	imageDelete := func(w *world, kind quarantine.Kind, name string) {
		w.record(quarantine.Deletion{
			ID: quarantine.DeletionID("os", kind, name, ""), Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: kind,
			ResourceKind: quarantine.ResourceImage, ResourceID: name, ReceivedAt: w.now(), Disks: []quarantine.DiskRef{{Pool: "images", Name: name, Role: "image"}},
		})
	}
	trash := func(w *world, base quarantine.Key) {
		if err := w.ceph.CloudRemoveSnapshot(images, "base", "snap"); err != nil {
			w.t.Fatalf("remove: %v", err)
		}
		w.remove(base)
	}
	for name, c := range map[string]struct {
		act     func(w *world, base quarantine.Key)
		blocked string // why, in part; "": it is not
		where   quarantine.Place
		state   quarantine.State
	}{
		"nobody wants it gone":      {func(*world, quarantine.Key) {}, "", quarantine.PlaceLive, ""},
		"another image was deleted": {func(w *world, _ quarantine.Key) { imageDelete(w, quarantine.KindImageDelete, "base-2") }, "", quarantine.PlaceLive, ""},
		"a volume of its name":      {func(w *world, _ quarantine.Key) { imageDelete(w, quarantine.KindVolumeDelete, "base") }, "", quarantine.PlaceLive, ""},
		"its deletion was reported": {func(w *world, _ quarantine.Key) { imageDelete(w, quarantine.KindImageDelete, "base") }, "was reported", quarantine.PlaceLive, ""},
		"its snapshot was removed": {func(w *world, _ quarantine.Key) {
			if err := w.ceph.CloudRemoveSnapshot(images, "base", "snap"); err != nil {
				w.t.Fatalf("remove: %v", err)
			}
		}, "snapshot", quarantine.PlaceLive, ""},
		"in the trash and nobody's": {trash, "nobody keeps it", quarantine.PlaceTrash, ""},
		"in quarantine, in its time": {func(w *world, base quarantine.Key) {
			trash(w, base)
			w.adopt(base)
		}, "", quarantine.PlaceTrash, quarantine.Quarantined},
		"in quarantine, its time over": {func(w *world, base quarantine.Key) {
			trash(w, base)
			w.adopt(base)
			if _, err := w.collector.ExpireEarly(w.ctx, "carol", base.DiskID(), "enough"); err != nil {
				w.t.Fatalf("expire: %v", err)
			}
		}, "was over on 20", quarantine.PlaceTrash, quarantine.Expiring},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			base := w.base("base")
			key := w.child("base", "disk", false)
			w.policy.use(quarantine.Decision{Retain: retain, Rule: "default", Flatten: quarantine.FlattenWhenBlocked})
			c.act(w, base)
			p := w.parent()
			if p.Blocked != (c.blocked != "") || !strings.Contains(p.Why, c.blocked) || p.Where != c.where || p.State != c.state {
				t.Errorf("parent: %+v", p)
			}
			w.flatten()
			if d := w.disk(key); d.Pins() == p.Blocked {
				t.Errorf("blocked %v, and it pins %v", p.Blocked, d.Pins())
			}
			w.intact(key)
		})
	}
}

// A parent in quarantine whose time is over waits for its disks; with a policy
// that flattens them it goes.
func TestParentGoesWhenItsDisksAreFlattened(t *testing.T) {
	w := newWorld(t)
	base := w.base("base")
	key := w.child("base", "disk", false)
	w.hold(key, "case-1")
	w.remove(base)
	w.adopt(base)
	w.pass(retain)
	w.collect()
	w.pass(grace)
	w.collect()
	w.is(base, quarantine.Expiring) // its clone keeps it
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "default", Flatten: quarantine.FlattenWhenBlocked})
	w.flatten()
	w.collect()
	w.is(base, quarantine.Purged)
	w.intact(key)
	w.removedOnce(base)
}

// A parent that cannot be looked for is listed with what is known; it is not
// called blocked.
func TestParentUnknown(t *testing.T) {
	w := newWorld(t)
	w.base("base")
	w.child("base", "disk", false)
	w.ceph.FailNext("Whereabouts", 1, quarantine.ErrUnavailable)
	if p := w.parent(); p.Where != quarantine.PlaceUnknown || p.Fault == "" || p.Blocked || len(p.Children) != 1 {
		t.Errorf("parent: %+v", p)
	}
	if p := w.parent(); p.Where != quarantine.PlaceLive {
		t.Errorf("parent: %+v", p)
	}
}

// The parent is in the record on the image, so that a lost catalog knows it
// again; a record that lies about it is not believed where Ceph says otherwise.
func TestParentInTheRecord(t *testing.T) {
	w := newWorld(t)
	base := w.base("base")
	key := w.child("base", "disk", false)
	before := w.disk(key)
	lie := before
	lie.Parent = &quarantine.Parent{ParentRef: quarantine.ParentRef{Key: vms.Key("0123456789ab"), Name: "other"}, FlattenedAt: w.now(), Refused: "never"}
	b, err := quarantine.EncodeRecord(lie)
	if err != nil {
		t.Fatal(err)
	}
	w.ceph.SetMeta(key, quarantine.RecordKey, string(b))
	w.store.lose()
	w.obs.forget()
	w.reconcile()
	d := w.disk(key)
	if d.Parent == nil || d.Parent.Key != base || d.Parent.Name != "base" || d.Parent.Snapshot != "snap" || d.Parent.OverlapBytes != diskSize || !d.Pins() || d.Parent.Refused != "" {
		t.Errorf("it stands on %+v", d.Parent)
	}
	if d.Parent.FlattenedAt.After(time.Time{}) {
		t.Error("it was never flattened")
	}
}

// A disk that was seized, and one that was adopted when it was taken in, know
// what they stand on.
func TestParentOfASeizedDisk(t *testing.T) {
	w := newWorld(t)
	base := w.base("base")
	key, err := w.ceph.CloudClone(images, "base", "snap", unguarded, diskName)
	if err != nil {
		t.Fatal(err)
	}
	w.record(w.deleteOf(quarantine.KindDelete, "req-1"))
	if d := w.is(key, quarantine.Quarantined); !d.Pins() || d.Parent.Key != base || d.Parent.CopyBytes != -1 {
		t.Errorf("it stands on %+v", d.Parent)
	}
}
