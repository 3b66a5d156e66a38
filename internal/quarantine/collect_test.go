package quarantine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// With no grace at all a purge still needs two passes.
func TestCollectNeedsTwoPassesWithoutGrace(t *testing.T) {
	w := newWorld(t)
	w.safety.Grace = 0
	w.restart()
	key := w.quarantined()
	w.pass(retain)
	w.collect()
	w.is(key, quarantine.Expiring)
	w.nothingRemoved()
	w.collect()
	w.is(key, quarantine.Purged)
}

// due makes n disks whose grace is over.
func (w *world) due(n int) []quarantine.Key {
	w.t.Helper()
	var keys []quarantine.Key
	for i := range n {
		keys = append(keys, w.stray(fmt.Sprintf("vol-%02d", i)))
	}
	w.pass(unexplainedRetain)
	w.collect()
	w.pass(grace)
	return keys
}

// A pass purges at most its limit of disks and of bytes; a limit of nothing
// purges nothing.
func TestCollectLimits(t *testing.T) {
	for name, c := range map[string]struct {
		disks int
		bytes int64
		want  int
	}{
		"disks":    {2, 1 << 40, 2},
		"bytes":    {100, 3 * diskSize, 3},
		"no disks": {0, 1 << 40, 0},
		"no bytes": {100, 0, 0},
		"enough":   {100, 1 << 40, 5},
		"a disk larger than the limit goes alone": {100, diskSize / 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.due(5)
			w.safety.MaxDisks, w.safety.MaxBytes = c.disks, c.bytes
			w.restart()
			w.collect()
			if got := len(w.ceph.Removals()); got != c.want {
				t.Errorf("removed %d disks, want %d", got, c.want)
			}
		})
	}
}

// What Ceph's health forbids in the middle of a pass stops it before many more disks.
func TestCollectLooksAtTheHealthMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.due(150)
	w.proc.onPoint = func(point string) {
		if point == "purge.remove.after" {
			w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_ERR", Checks: []string{"OSD_FULL"}})
		}
	}
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if !strings.Contains(rep.Stopped, "HEALTH_ERR") {
		t.Errorf("stopped: %q", rep.Stopped)
	}
	if n := len(w.ceph.Removals()); n != 64 {
		t.Errorf("removed %d disks", n)
	}
}

// What it forbids once all that is due was purged stops what would come then.
func TestCollectLooksAtTheHealthAfterwards(t *testing.T) {
	w := newWorld(t)
	w.due(3)
	restored := w.stray("restored")
	if _, err := w.restorer.InPlace(w.ctx, "carol", restored.DiskID(), "needed"); err != nil {
		t.Fatal(err)
	}
	w.proc.onPoint = func(point string) {
		if point == "purge.remove.after" {
			w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_ERR", Checks: []string{"OSD_FULL"}})
		}
	}
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if d := w.disk(restored); !strings.Contains(rep.Stopped, "HEALTH_ERR") || !d.Sealed {
		t.Errorf("stopped: %q; sealed: %t", rep.Stopped, d.Sealed)
	}
}

// Of one pool's disks that are due the seals come off in the order in which they were
// taken, whichever is due first: what was removed is then one interval of ids to Ceph.
// The pools go on side by side.
func TestCollectTakesSealsOffInTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.safety.Workers = 1
	w.restart()
	// In the order of their dates: vol-3 of volumes, 1, 2, 0 of vms, 4 of volumes.
	for i, days := range []int{5, 3, 4, 2, 6} {
		w.policy.use(quarantine.Decision{Retain: time.Duration(days) * day, Rule: "r"})
		pool := map[bool]quarantine.PoolRef{true: vols, false: vms}[i > 2]
		key := w.create(pool, fmt.Sprintf("vol-%d", i))
		w.remove(key)
		w.adopt(key)
	}
	want := []string{"vol-3", "vol-0", "vol-1", "vol-2", "vol-4"}
	w.pass(6 * day)
	w.collect()
	w.pass(grace)
	planned := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	for what, rep := range map[string]quarantine.Report{"planned": planned, "done": w.collect()} {
		var got []string
		for _, it := range rep.Items {
			if it.Act == "purge" && it.Error == "" {
				got = append(got, it.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

// What depends on a disk keeps it: a clone of its seal, a client that has it
// open. When that is gone, so is the disk, in a later pass.
func TestCollectDependents(t *testing.T) {
	for name, depend := range map[string]func(*world, quarantine.Key) (release func()){
		"clone": func(w *world, key quarantine.Key) func() {
			if _, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", false, "a look", nil); err != nil {
				w.t.Fatalf("clone: %v", err)
			}
			return func() {
				if err := w.ceph.Flatten(w.ctx, vols, "copy", nil); err != nil {
					w.t.Fatalf("flatten: %v", err)
				}
			}
		},
		"watcher": func(w *world, key quarantine.Key) func() {
			stop, err := w.ceph.CloudWatch(key, "qemu")
			if err != nil {
				w.t.Fatalf("watch: %v", err)
			}
			return stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.quarantined()
			release := depend(w, key)
			w.pass(retain)
			w.collect()
			w.pass(grace)
			rep := w.collect()
			if p := did(rep, "purge"); len(p) != 1 || p[0].Error == "" {
				t.Errorf("%+v", rep.Items)
			}
			w.is(key, quarantine.Expiring)
			w.intact(key)
			w.nothingRemoved()
			if w.custody.has(key, "purge intent") {
				t.Error("the custody log has an intent of what was not begun")
			}
			release()
			w.collect()
			w.is(key, quarantine.Purged)
		})
	}
}

// A client that opens the disk in the last moment makes Ceph refuse. The disk
// is protected and sealed again, and waits its whole grace out again.
func TestCollectTakesAPurgeBack(t *testing.T) {
	for name, refusal := range map[string]error{"busy": quarantine.ErrBusy, "has snapshots": quarantine.ErrRefused, "input/output error": errors.New("input/output error")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			w.pass(grace)
			w.ceph.FailNext("Remove", 1, refusal)
			w.collect()
			d := w.is(key, quarantine.Expiring)
			w.intact(key)
			w.nothingRemoved()
			if !d.Sealed || !d.ExpiringAt.Equal(w.now()) {
				t.Errorf("%+v", d)
			}
			// Of an error that is no refusal nobody knows when it came.
			if broken := !d.SealBrokenAt.IsZero(); broken != (name == "input/output error") {
				t.Errorf("marked as broken: %v", broken)
			}
			w.collect()
			w.nothingRemoved()
			w.pass(grace)
			w.collect()
			w.removedOnce(key)
			want := []string{"purge intent", "purge-undone done", "purge failed", "purge intent", "purge done"}
			if errors.Is(refusal, quarantine.ErrRefused) {
				want[2] = "purge refused"
			}
			if got := w.custody.of(key)[4:]; !slices.Equal(got, want) {
				t.Errorf("custody: %q, want %q", got, want)
			}
		})
	}
}

// An early purge is refused under a hold; asked for, it waits its grace like
// any other, and a hold or an extension takes it back.
func TestExpireEarly(t *testing.T) {
	early := func(w *world, key quarantine.Key) error {
		_, err := w.collector.ExpireEarly(w.ctx, "dave", key.DiskID(), "the owner asked")
		return err
	}
	t.Run("refused under a hold", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		w.hold(key, "case-1")
		if err := early(w, key); !errors.Is(err, quarantine.ErrRefused) {
			t.Errorf("%v", err)
		}
		w.is(key, quarantine.Quarantined)
		if !w.custody.has(key, "expire refused") {
			t.Errorf("custody: %q", w.custody.of(key))
		}
	})
	t.Run("waits its grace", func(t *testing.T) {
		w := newWorld(t)
		key := w.quarantined()
		if err := early(w, key); err != nil {
			t.Fatal(err)
		}
		if d := w.is(key, quarantine.Expiring); d.EarlyBy != "dave" {
			t.Errorf("early by %q", d.EarlyBy)
		}
		w.collect()
		w.pass(grace - time.Second)
		w.collect()
		w.nothingRemoved()
		w.pass(time.Second)
		w.collect()
		w.removedOnce(key)
	})
	t.Run("taken back", func(t *testing.T) {
		for name, act := range map[string]func(*world, quarantine.Key) error{
			"hold": func(w *world, key quarantine.Key) error {
				_, err := w.holds.Hold(w.ctx, "carol", key.DiskID(), "case-1", "why")
				if err == nil {
					_, err = w.holds.Release(w.ctx, "carol", key.DiskID(), "case-1", "closed")
				}
				return err
			},
			"extend": func(w *world, key quarantine.Key) error {
				_, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), t0.Add(retain+time.Second), "why")
				return err
			},
			"restored as a clone": func(w *world, key quarantine.Key) error {
				_, err := w.restorer.Clone(w.ctx, "carol", key.DiskID(), vols, "copy", true, "why", nil)
				return err
			},
		} {
			w := newWorld(t)
			key := w.quarantined()
			if err := early(w, key); err != nil {
				t.Fatal(err)
			}
			if err := act(w, key); err != nil {
				t.Fatal(err)
			}
			w.collect()
			w.pass(2 * grace)
			w.collect()
			if d := w.is(key, quarantine.Quarantined); d.EarlyBy != "" {
				t.Errorf("%s: still asked for by %q", name, d.EarlyBy)
			}
			w.intact(key)
		}
	})
}

// What a dry run says is what the run then does, and a dry run does nothing.
func TestCollectDryRun(t *testing.T) {
	w := newWorld(t)
	keys := w.due(3)                       // to purge
	w.hold(keys[0], "case-1")              // back in quarantine
	restored := w.quarantined()            // to unseal
	expire := w.stray("vol-to-expire")     // to expire
	kept := w.stray("vol-to-keep-forever") // held
	w.hold(kept, "case-2")
	if _, err := w.restorer.InPlace(w.ctx, "carol", restored.DiskID(), "given back"); err != nil {
		t.Fatal(err)
	}
	w.pass(unexplainedRetain)
	before := w.disks()
	plan := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{DryRun: true})
	if plan.Stopped != "" || plan.Failed() != 0 {
		t.Fatalf("%+v", plan)
	}
	w.nothingRemoved()
	for i, d := range w.disks() {
		sameDisk(t, d, before[i])
	}
	done := w.collect()
	if !slices.Equal(plan.Items, done.Items) {
		t.Errorf("planned %+v\ndid     %+v", plan.Items, done.Items)
	}
	var acts []string
	for _, it := range done.Items {
		acts = append(acts, it.Act)
	}
	if want := []string{"purge", "purge", "expire", "unseal"}; !slices.Equal(acts, want) {
		t.Errorf("did %q, want %q", acts, want)
	}
	w.is(expire, quarantine.Expiring)
	w.is(kept, quarantine.Quarantined)
}

// A disk and its clone that are due together: whether the clone has gone when the disk
// is asked for is chance, so that the disk goes in the next pass, as the plan says;
// also where the clone's purge was cut short before.
func TestCollectTakesAParentAfterItsClone(t *testing.T) {
	for name, cut := range map[string]bool{"both due": false, "the clone's purge cut short": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.safety.Workers = 1 // the clone, which died first, goes first
			w.restart()
			parent := w.base("base")
			child := w.child("base", "clone", false)
			w.pass(time.Minute)
			w.remove(parent)
			w.adopt(parent)
			w.pass(retain)
			w.collect()
			w.pass(grace)
			if cut {
				w.ceph.FailNext("RestoreFromTrash", 1, quarantine.ErrUnavailable)
				w.collect()
				w.is(child, quarantine.Purging)
			}
			plan := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
			done := w.collect()
			if !slices.Equal(plan.Items, done.Items) {
				t.Errorf("planned %+v\ndid     %+v", plan.Items, done.Items)
			}
			w.is(child, quarantine.Purged)
			w.is(parent, quarantine.Expiring)
			w.intact(parent)
			w.collect()
			w.is(parent, quarantine.Purged)
		})
	}
}

// A row can have missed that its disk stands alone by now: what it stood on goes all
// the same, also when the disk itself cannot.
func TestCollectTakesAParentThatNothingStandsOn(t *testing.T) {
	w := newWorld(t)
	parent := w.base("base")
	child := w.child("base", "clone", false)
	w.remove(parent)
	w.adopt(parent)
	w.done(w.ceph.FlattenImage(w.ctx, child, nil))
	if d := w.disk(child); !d.Pins() {
		t.Fatal("the row knows")
	}
	if _, err := w.ceph.CloudWatch(child, "qemu"); err != nil {
		t.Fatal(err)
	}
	w.pass(retain)
	w.collect()
	w.pass(grace)
	w.collect()
	w.is(child, quarantine.Expiring)
	w.is(parent, quarantine.Purged)
}

// sink is where an export goes. wait, where not nil, is waited for at the
// first byte.
type sink struct {
	buf     []byte
	reading chan struct{}
	wait    chan struct{}
}

func (s *sink) Begin(d quarantine.Disk) error {
	s.buf = make([]byte, d.SizeBytes)
	if s.wait != nil {
		close(s.reading)
		<-s.wait
	}
	return nil
}

func (s *sink) Extent(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > int64(len(s.buf)) {
		return fmt.Errorf("extent %d+%d of %d", offset, len(data), len(s.buf))
	}
	copy(s.buf[offset:], data)
	return nil
}

// A disk that is being exported is neither purged nor restored in place; when
// the export is over it is.
func TestExportKeepsTheDisk(t *testing.T) {
	w := newWorld(t)
	key := w.expiring()
	w.pass(grace)
	s := &sink{reading: make(chan struct{}), wait: make(chan struct{})}
	result := make(chan error)
	go func() {
		_, err := w.exporter.Export(w.ctx, "carol", key.DiskID(), "a look", s)
		result <- err
	}()
	<-s.reading
	w.collect()
	w.nothingRemoved()
	w.is(key, quarantine.Expiring)
	if _, err := w.restorer.InPlace(w.ctx, "carol", key.DiskID(), "given back"); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("restored in place: %v", err)
	}
	close(s.wait)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.buf, w.died[key]) {
		t.Error("the export is not what the disk held")
	}
	w.collect()
	w.removedOnce(key)
}

// A run whose context has ended does nothing more.
func TestCollectCancelled(t *testing.T) {
	w := newWorld(t)
	w.due(2)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if rep := w.collector.Run(ctx, "cron", quarantine.JobOptions{}); rep.Stopped == "" {
		t.Errorf("%+v", rep)
	}
	w.nothingRemoved()
}

// A snapshot that the cloud left on the image does not keep the disk for ever:
// its time is over with the disk's.
func TestCollectDiskWithSnapshots(t *testing.T) {
	w := newWorld(t)
	key := w.create(vms, diskName)
	if err := w.ceph.CloudSnapshot(vms, diskName, "of-the-cloud"); err != nil {
		t.Fatal(err)
	}
	w.remove(key)
	w.adopt(key)
	w.pass(unexplainedRetain)
	w.collect()
	w.intact(key)
	w.pass(grace)
	w.collect()
	w.removedOnce(key)
}
