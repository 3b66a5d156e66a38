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
	"quarantine/internal/quarantine/fakeceph"
)

// base makes a base image with a snapshot, as an image service has them.
func (w *world) base(name string) quarantine.Key {
	w.t.Helper()
	key := w.create(images, name)
	if err := w.ceph.CloudSnapshot(images, name, "snap"); err != nil {
		w.t.Fatalf("snapshot: %v", err)
	}
	return key
}

// child is a disk in quarantine that was a clone of the base and that was
// written to. A shallow one lacks deep-flatten.
func (w *world) child(base, name string, shallow bool) quarantine.Key {
	w.t.Helper()
	clone := w.ceph.CloudClone
	if shallow {
		clone = w.ceph.CloudCloneShallow
	}
	key, err := clone(images, base, "snap", vms, name)
	if err != nil {
		w.t.Fatalf("clone: %v", err)
	}
	if err := w.ceph.CloudWrite(key, fakeceph.BlockSize+9, []byte("of the disk "+name)); err != nil {
		w.t.Fatalf("write: %v", err)
	}
	w.remove(key)
	w.adopt(key)
	return key
}

// always is a policy that flattens everything.
func (w *world) always() {
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "default", Flatten: quarantine.FlattenAlways})
}

// flatten runs the job, which must come to its end.
func (w *world) flatten() quarantine.Report {
	w.t.Helper()
	rep := w.flattener.Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" {
		w.t.Fatalf("flatten stopped: %s", rep.Stopped)
	}
	return rep
}

// standsAlone checks that nothing keeps the base from going: the row says so,
// and Ceph lets the cloud delete it.
func (w *world) standsAlone(key, base quarantine.Key) {
	w.t.Helper()
	d := w.disk(key)
	if d.Parent == nil || d.Parent.FlattenedAt.IsZero() || d.Pins() || d.Parent.Key != base || d.RecordStale {
		w.t.Errorf("the row says %+v, stale %v", d.Parent, d.RecordStale)
	}
	if l, err := w.ceph.Lineage(w.ctx, key); err != nil || l.Parent != nil {
		w.t.Errorf("it stands on %+v, %v", l.Parent, err)
	}
	if l, err := w.ceph.Lineage(w.ctx, base); err != nil || len(l.Clones) != 0 {
		w.t.Errorf("%q keep the base, %v", l.Clones, err)
	}
}

// A rule is obeyed and no more is flattened than it says. What a policy says
// today counts, also for disks that came in under another one.
func TestFlattenByPolicy(t *testing.T) {
	for _, c := range []struct {
		rule          quarantine.FlattenRule
		held, blocked bool
		want          bool
	}{
		{"", true, true, false},
		{quarantine.FlattenNever, true, true, false},
		{quarantine.FlattenOnHold, false, true, false},
		{quarantine.FlattenOnHold, true, false, true},
		{quarantine.FlattenWhenBlocked, true, false, false},
		{quarantine.FlattenWhenBlocked, false, true, true},
		{quarantine.FlattenAlways, false, false, true},
		{quarantine.FlattenAlways, true, true, true},
	} {
		t.Run(fmt.Sprintf("%s held=%v blocked=%v", c.rule, c.held, c.blocked), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			base := w.base("base")
			key := w.child("base", "disk", false)
			alone := w.stray("was never a clone")
			before := w.disk(key)
			if c.held {
				w.hold(key, "case-1")
			}
			if c.blocked {
				if err := w.ceph.CloudRemoveSnapshot(images, "base", "snap"); err != nil {
					t.Fatal(err)
				}
			}
			w.policy.use(quarantine.Decision{Retain: time.Hour, Rule: "new", Flatten: c.rule})
			dry := w.flattener.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
			if d := w.disk(key); !d.Pins() {
				t.Error("a dry run flattened it")
			}
			rep := w.flatten()
			if got := len(did(rep, "flatten")) == 1; got != c.want || len(dry.Items) != len(rep.Items) || rep.Failed() != 0 {
				t.Errorf("it did %+v, a dry run says %+v, want %v", rep.Items, dry.Items, c.want)
			}
			if c.want {
				w.standsAlone(key, base)
			} else if d := w.disk(key); !d.Pins() {
				t.Errorf("it stands on %+v", d.Parent)
			}
			w.intact(key)
			w.intact(alone)
			// Nothing of how long it is kept has changed.
			if d := w.disk(key); !d.RetainUntil.Equal(before.RetainUntil) || d.Held() != c.held || d.Decision.Rule != before.Decision.Rule {
				t.Errorf("it was %+v and is %+v", before, d)
			}
			if again := w.flatten(); len(again.Items) != 0 && c.want {
				t.Errorf("flattened twice: %+v", again.Items)
			}
		})
	}
}

// A flattened disk is restored and purged as any other, with its one seal or
// with its second, and its whole story is in the custody log.
func TestFlattenedDisksLife(t *testing.T) {
	for _, shallow := range []bool{false, true} {
		t.Run(fmt.Sprint("shallow ", shallow), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			base := w.base("base")
			key := w.child("base", "disk", shallow)
			other := w.child("base", "other", shallow)
			w.always()
			w.reconcile()
			if d := w.disk(key); d.Parent.CopyBytes != 3*fakeceph.BlockSize {
				t.Errorf("a flatten would copy %d bytes", d.Parent.CopyBytes)
			}
			w.flatten()
			w.standsAlone(key, base)
			w.intact(key)
			want := []string{"adopt done", "seal done", "flatten intent", "flatten done"}
			if shallow {
				want = []string{"adopt done", "seal done", "flatten intent", "reseal intent", "reseal done", "flatten done"}
			}
			if got := w.custody.of(key); !slices.Equal(got, want) {
				t.Errorf("custody: %q, want %q", got, want)
			}
			if err := w.ceph.CloudRemoveSnapshot(images, "base", "snap"); err != nil {
				t.Fatal(err)
			}
			w.remove(base)
			w.reconcile()
			if d := w.disk(key); d.UsedBytes != 4*fakeceph.BlockSize {
				t.Errorf("it allocates %d bytes", d.UsedBytes)
			}
			// A catalog that is lost knows it again, sealed, and does not seal it twice.
			w.store.lose()
			w.obs.forget()
			w.reconcile()
			w.intact(key)
			if d := w.disk(key); d.Pins() || !d.Sealed || d.State != quarantine.Quarantined {
				t.Errorf("it came back as %+v", d)
			}
			if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", true, "a look", nil); err != nil {
				t.Fatal(err)
			}
			copied, _ := w.ceph.LookLive(vols, "copy")
			if st, _ := w.ceph.Look(copied); string(st.Content) != string(w.died[key]) {
				t.Error("the copy has other bytes")
			}
			if _, err := w.restorer.InPlace(w.ctx, "carol", other.DiskID(), "given back"); err != nil {
				t.Fatal(err)
			}
			w.collect()
			if st, _ := w.ceph.Look(other); st.InTrash || st.Sealed || string(st.Content) != string(w.died[other]) {
				t.Errorf("given back, it is sealed: %v, in the trash: %v", st.Sealed, st.InTrash)
			}
			for range 4 {
				w.pass(retain / 2)
				w.collect()
			}
			w.is(key, quarantine.Purged)
		})
	}
}

// Without deep-flatten a disk that was written to after its seal keeps its seal
// and its parent: the bytes of the seal are the evidence. Nothing is copied for
// it again.
func TestFlattenKeepsASealThatDiffers(t *testing.T) {
	w := newWorld(t)
	w.base("base")
	key := w.child("base", "disk", true)
	if err := w.ceph.CloudWrite(key, 0, []byte("after the seal")); err != nil {
		t.Fatal(err)
	}
	w.always()
	rep := w.flatten()
	if rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, "written to after its seal") {
		t.Errorf("%+v", rep.Items)
	}
	w.intact(key)
	d := w.disk(key)
	if !d.Pins() || d.Parent.Refused == "" || !w.custody.has(key, "flatten refused") || w.custody.has(key, "reseal intent") {
		t.Errorf("%+v, custody %q", d.Parent, w.custody.of(key))
	}
	if again := w.flatten(); len(again.Items) != 0 {
		t.Errorf("tried again: %+v", again.Items)
	}
	// Its purge takes both seals.
	for range 4 {
		w.pass(retain / 2)
		w.collect()
	}
	w.is(key, quarantine.Purged)
}

// With deep-flatten such a disk is flattened, and the seal keeps its bytes.
func TestFlattenAfterAWrite(t *testing.T) {
	w := newWorld(t)
	base := w.base("base")
	key := w.child("base", "disk", false)
	if err := w.ceph.CloudWrite(key, 0, []byte("after the seal")); err != nil {
		t.Fatal(err)
	}
	w.always()
	w.flatten()
	w.standsAlone(key, base)
	w.intact(key)
}

// What speaks against a flatten is asked before anything is copied.
func TestFlattenLooksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		shallow bool
		against func(w *world, key quarantine.Key)
		sees    string
		ever    bool
	}{
		"somebody has it open": {false, func(w *world, key quarantine.Key) {
			if _, err := w.ceph.CloudWatch(key, "qemu"); err != nil {
				w.t.Fatalf("watch: %v", err)
			}
		}, "busy", false},
		"a snapshot of the cloud's": {true, nil, "of-the-cloud", true},
		"a clone of the seal": {true, func(w *world, key quarantine.Key) {
			if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", false, "a look", nil); err != nil {
				w.t.Fatalf("clone: %v", err)
			}
		}, "busy", false},
		"taken out by hand": {false, func(w *world, key quarantine.Key) {
			if err := w.ceph.CloudRestore(key, "mine"); err != nil {
				w.t.Fatalf("restore: %v", err)
			}
		}, "not in the trash", false},
		"deleted again": {false, func(w *world, key quarantine.Key) {
			if err := w.ceph.CloudRestore(key, "mine"); err != nil {
				w.t.Fatalf("restore: %v", err)
			}
			w.jump(2 * quarantine.ClockSkew)
			if err := w.ceph.CloudRemove(vms, "mine"); err != nil {
				w.t.Fatalf("remove: %v", err)
			}
		}, "deleted again", false},
		"Ceph does not answer": {false, func(w *world, _ quarantine.Key) {
			w.ceph.FailNext("Lineage", 1, quarantine.ErrUnavailable)
		}, "unavailable", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.base("base")
			var key quarantine.Key
			if c.against == nil {
				var err error
				if key, err = w.ceph.CloudCloneShallow(images, "base", "snap", vms, "disk"); err != nil {
					t.Fatal(err)
				}
				if err := w.ceph.CloudSnapshot(vms, "disk", "of-the-cloud"); err != nil {
					t.Fatal(err)
				}
				w.remove(key)
				w.adopt(key)
			} else {
				key = w.child("base", "disk", c.shallow)
				c.against(w, key)
			}
			w.always()
			rep := w.flatten()
			if rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, c.sees) {
				t.Errorf("%+v", rep.Items)
			}
			d := w.disk(key)
			if l, err := w.ceph.Lineage(w.ctx, key); err != nil || !l.Head || w.custody.has(key, "flatten intent") {
				t.Errorf("something was done: %+v, %v, %q", l, err, w.custody.of(key))
			}
			if !d.Pins() || (d.Parent.Refused != "") != c.ever {
				t.Errorf("the row says %+v", d.Parent)
			}
		})
	}
}

// While a flatten goes on, a hold is placed without waiting for it, and the disk
// is neither purged nor given back in place; when a reader comes in the middle,
// its seal is not taken away.
func TestFlattenAmongOthers(t *testing.T) {
	w := newWorld(t)
	w.base("base")
	key := w.child("base", "disk", true)
	w.always()
	entered, release := w.ceph.Block("SealAgain")
	defer release()
	done := make(chan quarantine.Report)
	go func() { done <- w.flattener.Run(w.ctx, "cron", quarantine.JobOptions{}) }()
	<-entered
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "now"); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("given back in place in the middle: %v", err)
	}
	w.hold(key, "case-1")
	began, goOn := w.ceph.Block("ReadSealed")
	defer goOn()
	read := make(chan error)
	go func() {
		_, err := w.exporter.Export(w.ctx, "carol", key.DiskID(), "a look", &nowhere{})
		read <- err
	}()
	<-began
	release()
	rep := <-done
	if rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, "being read") {
		t.Errorf("%+v", rep.Items)
	}
	w.intact(key)
	goOn()
	if err := <-read; err != nil {
		t.Errorf("export: %v", err)
	}
	if rep := w.flatten(); rep.Failed() != 0 || len(rep.Items) != 1 {
		t.Errorf("afterwards: %+v", rep.Items)
	}
	w.intact(key)
	if d := w.disk(key); d.Pins() || !d.Held() {
		t.Errorf("it is %+v, held %v", d.Parent, d.Held())
	}
}

// nowhere drops what is exported.
type nowhere struct{}

func (*nowhere) Begin(quarantine.Disk) error { return nil }
func (*nowhere) Extent(int64, []byte) error  { return nil }

// A run stops, and does nothing, when the policy cannot be read or Ceph is not
// well, or is getting full: a flatten takes room.
func TestFlattenStops(t *testing.T) {
	for name, c := range map[string]func(w *world){
		"policy": func(w *world) { w.policy.err = errors.New("does not parse") },
		"error":  func(w *world) { w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_ERR"}) },
		"full": func(w *world) {
			w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_WARN", Checks: []string{"OSD_NEARFULL"}})
		},
		"custody": func(w *world) { w.custody.fail(errors.New("disk full")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.base("base")
			key := w.child("base", "disk", false)
			w.always()
			c(w)
			rep := w.flattener.Run(w.ctx, "cron", quarantine.JobOptions{})
			if rep.Stopped == "" && rep.Failed() == 0 {
				t.Errorf("it went on: %+v", rep)
			}
			if l, err := w.ceph.Lineage(w.ctx, key); err != nil || !l.Head {
				t.Errorf("something was done: %+v, %v", l, err)
			}
		})
	}
}

// A run flattens at most its limit, those of blocked parents first; one that
// fails uses up nothing. It is as slow as it is told.
func TestFlattenLimits(t *testing.T) {
	w := newWorld(t)
	w.base("a")
	w.base("b")
	idle := w.child("a", "of-a", false)
	open := w.child("b", "of-b-open", false)
	wanted := w.child("b", "of-b", false)
	if err := w.ceph.CloudRemoveSnapshot(images, "b", "snap"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ceph.CloudWatch(open, "qemu"); err != nil {
		t.Fatal(err)
	}
	w.always()
	w.reconcile() // measures
	var waited time.Duration
	f := quarantine.NewFlattener(w.ledger, w.ceph, w.ceph, w.store, w.policy, w.ceph, w.collector, quarantine.FlattenConfig{
		MaxDisks: 1, BytesPerSecond: fakeceph.BlockSize / 2,
		Wait: func(_ context.Context, d time.Duration) { waited += d; w.jump(d) },
	})
	f.Run(w.ctx, "cron", quarantine.JobOptions{})
	if i, b := w.disk(idle), w.disk(wanted); !i.Pins() || b.Pins() {
		t.Errorf("flattened: of a %v, of b %v", !i.Pins(), !b.Pins())
	}
	// Three blocks at half a block a second.
	if waited.Round(time.Second) != 6*time.Second {
		t.Errorf("it took %s", waited)
	}
}
