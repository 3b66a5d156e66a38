package quarantine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// diskUsed is what create writes, in whole blocks.
const diskUsed = 3 * fakeceph.BlockSize

// tight gives the pool watermarks of so many disks in quarantine.
func (w *world) tight(high, low int) {
	w.room(quarantine.Watermarks{QuarantineHigh: int64(high) * diskUsed, QuarantineLow: int64(low) * diskUsed})
}

// room gives the pool watermarks.
func (w *world) room(marks quarantine.Watermarks) {
	w.watermarks = map[quarantine.PoolRef]quarantine.Watermarks{{FSID: vms.FSID, Pool: vms.Pool}: marks}
	w.restart()
}

// of makes n measured disks of a project, each dead a second after the last.
func (w *world) of(project string, n int) []quarantine.Key {
	w.t.Helper()
	var keys []quarantine.Key
	for i := range n {
		id := fmt.Sprintf("%s-%d-%d", project, w.now().Unix(), i)
		if project != "" {
			w.record(quarantine.Deletion{
				ID: id, Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: id,
				Project: quarantine.Principal{ID: project}, StartedAt: w.now(), Disks: []quarantine.DiskRef{{Name: id + "_disk", Required: true}},
			})
		}
		key := w.create(vms, id+"_disk")
		w.remove(key)
		w.adopt(key)
		keys = append(keys, key)
		w.pass(time.Second)
	}
	w.reconcile() // measures
	return keys
}

// states are the states of the disks, in short.
func (w *world) states(keys []quarantine.Key) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(string(w.disk(k).State)[:1])
	}
	return b.String()
}

// Above the high watermark the heaviest projects' oldest disks go, down to the low
// one, and nothing else does: marked first, purged after the grace in a later pass.
// The record, the custody log and the report say why.
func TestEvict(t *testing.T) {
	w := newWorld(t)
	w.tight(9, 6)
	a, b, c := w.of("a", 6), w.of("b", 3), w.of("", 1)
	w.pass(quarantine.DefaultMinAge)
	plan := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{DryRun: true})
	if got := w.states(slices.Concat(a, b, c)); strings.Trim(got, "q") != "" {
		t.Fatalf("after a dry run: %s", got)
	}
	rep := w.collect()
	if !slices.Equal(plan.Items, rep.Items) {
		t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
	}
	if got := w.states(slices.Concat(a, b, c)); got != "eeeqqq"+"eqq"+"q" {
		// Six stay: the level is two and a half.
		t.Errorf("states %s", got)
	}
	d := w.disk(a[0])
	if d.EarlyBy != quarantine.EarlyByCapacity || !strings.Contains(d.EarlyReason, "project os/a has") || !strings.Contains(d.EarlyReason, "above") {
		t.Errorf("early by %q: %q", d.EarlyBy, d.EarlyReason)
	}
	if on, err := w.recordOn(a[0]); err != nil || on.EarlyReason != d.EarlyReason {
		t.Errorf("the record on the image says %q, %v", on.EarlyReason, err)
	}
	if !w.custody.has(a[0], "expire done") {
		t.Errorf("custody: %q", w.custody.of(a[0]))
	}
	// What is on its way out does not go twice.
	if rep := w.collect(); len(rep.Items) != 0 {
		t.Errorf("a second pass did %+v", rep.Items)
	}
	w.pass(grace)
	w.collect()
	if got := w.states(slices.Concat(a, b, c)); got != "pppqqq"+"pqq"+"q" {
		t.Errorf("states %s", got)
	}
	for _, k := range slices.Concat(a[3:], b[1:], c) {
		w.intact(k)
	}
}

// What is protected stays, whoever it belongs to and however full the pool is, and
// nobody else pays for it: the pass says what is missing, and why.
func TestEvictSparesTheProtected(t *testing.T) {
	for name, protect := range map[string]func(w *world, keys []quarantine.Key) (undo func()){
		"hold": func(w *world, keys []quarantine.Key) func() {
			for _, k := range keys {
				w.hold(k, "case-1")
			}
			return nil
		},
		"read": func(w *world, keys []quarantine.Key) func() {
			var stops []func()
			for _, k := range keys {
				stop, err := w.ceph.CloudWatch(k, "qemu")
				if err != nil {
					w.t.Fatalf("watch: %v", err)
				}
				stops = append(stops, stop)
			}
			return func() {
				for _, stop := range stops {
					stop()
				}
			}
		},
		"restored": func(w *world, keys []quarantine.Key) func() {
			for i, k := range keys {
				if _, err := w.restorer.Clone(w.ctx, "carol", k.DiskID(), vols, fmt.Sprint("copy", i), false, "a look", nil); err != nil {
					w.t.Fatalf("clone: %v", err)
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.tight(5, 4)
			a, b := w.of("a", 6), w.of("b", 2)
			w.pass(quarantine.DefaultMinAge)
			undo := protect(w, a)
			rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			if got := w.states(slices.Concat(a, b)); got != "qqqqqqqq" {
				t.Errorf("states %s", got)
			}
			short := did(rep, "capacity")
			if len(short) != 1 || !strings.Contains(short[0].Error, "have to go") || !strings.Contains(short[0].Error, "project os/a") {
				t.Errorf("%+v", rep.Items)
			}
			if undo != nil {
				undo()
				w.collect()
				if got := w.states(slices.Concat(a, b)); got != "eeeeqqqq" {
					t.Errorf("states %s", got)
				}
			}
		})
	}
	for name, d := range map[string]quarantine.Decision{
		"compliance": {Retain: retain, Rule: "x", Mode: quarantine.Compliance},
		"least time": {Retain: retain, Rule: "x", Min: 2 * day},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.policy.use(d)
			w.tight(5, 4)
			a := w.of("a", 6)
			w.pass(quarantine.DefaultMinAge)
			rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			if got := w.states(a); got != "qqqqqq" || len(did(rep, "capacity")) != 1 {
				t.Errorf("states %s, %+v", got, rep.Items)
			}
			w.pass(2 * day)
			w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			if got, want := w.states(a), map[bool]string{true: "eeqqqq", false: "qqqqqq"}[d.Min > 0]; got != want {
				t.Errorf("after the least time: %s, want %s", got, want)
			}
		})
	}
	t.Run("young", func(t *testing.T) {
		w := newWorld(t)
		w.tight(5, 4)
		a := w.of("a", 6)
		w.pass(quarantine.DefaultMinAge - 10*time.Second)
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
		if got := w.states(a); got != "qqqqqq" {
			t.Errorf("states %s", got)
		}
	})
}

// A hold, an extension, or room that there is again takes an eviction back before
// the grace is over; of what is not needed any more only.
func TestEvictIsTakenBack(t *testing.T) {
	start := func(t *testing.T) (*world, []quarantine.Key) {
		w := newWorld(t)
		w.tight(5, 3)
		keys := w.of("a", 6)
		w.pass(quarantine.DefaultMinAge)
		w.collect()
		if got := w.states(keys); got != "eeeqqq" {
			t.Fatalf("states %s", got)
		}
		return w, keys
	}
	t.Run("hold", func(t *testing.T) {
		w, keys := start(t)
		w.hold(keys[0], "case-1")
		if d := w.is(keys[0], quarantine.Quarantined); d.EarlyBy != "" || d.EarlyReason != "" {
			t.Errorf("%+v", d)
		}
		w.pass(grace)
		w.collect()
		if got := w.states(keys); got != "qppqqq" {
			t.Errorf("states %s", got)
		}
		w.intact(keys[0])
	})
	t.Run("room for one", func(t *testing.T) {
		w, keys := start(t)
		if _, err := w.restorer.InPlace(w.ctx, "carol", keys[5].DiskID(), "given back"); err != nil {
			t.Fatal(err)
		}
		plan := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{DryRun: true})
		if rep := w.collect(); !slices.Equal(plan.Items, rep.Items) {
			t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
		}
		if got := w.states(keys[:5]); got != "eeqqq" {
			t.Errorf("states %s", got)
		}
		if !w.custody.has(keys[2], "evict-undone done") {
			t.Errorf("custody: %q", w.custody.of(keys[2]))
		}
		w.pass(grace)
		w.collect()
		if got := w.states(keys[:5]); got != "ppqqq" {
			t.Errorf("states %s", got)
		}
	})
	t.Run("no watermarks any more", func(t *testing.T) {
		w, keys := start(t)
		w.watermarks = nil
		w.restart()
		w.pass(grace)
		plan := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{DryRun: true})
		if rep := w.collect(); !slices.Equal(plan.Items, rep.Items) {
			t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
		}
		w.pass(grace)
		w.collect()
		if got := w.states(keys); got != "qqqqqq" {
			t.Errorf("states %s", got)
		}
	})
	t.Run("its base is due", func(t *testing.T) {
		w := newWorld(t)
		w.room(quarantine.Watermarks{QuarantineHigh: 2, QuarantineLow: 1})
		base := w.base("base")
		clone := w.child("base", "clone", false)
		w.policy.use(quarantine.Decision{Retain: quarantine.DefaultMinAge, Rule: "r"})
		w.remove(base)
		w.adopt(base)
		w.reconcile() // measures
		w.pass(quarantine.DefaultMinAge)
		w.collect()
		w.is(clone, quarantine.Expiring)
		w.is(base, quarantine.Expiring)
		w.watermarks = nil
		w.restart()
		w.pass(grace)
		plan := w.collector.Run(w.ctx, "erin", quarantine.JobOptions{DryRun: true})
		if rep := w.collect(); !slices.Equal(plan.Items, rep.Items) {
			t.Errorf("planned %+v\ndid     %+v", plan.Items, rep.Items)
		}
		w.is(clone, quarantine.Quarantined)
		w.is(base, quarantine.Expiring)
	})
	t.Run("a lost catalog remembers", func(t *testing.T) {
		w, keys := start(t)
		was := w.disk(keys[0])
		w.hold(keys[1], "case-1")
		w.lose()
		w.rebuild()
		if d := w.is(keys[0], quarantine.Expiring); d.EarlyBy != was.EarlyBy || d.EarlyReason != was.EarlyReason {
			t.Errorf("%+v", d)
		}
		w.is(keys[1], quarantine.Quarantined)
	})
}

// By the pool's fill as by what is in quarantine. Figures that cannot be read, or
// contradict the catalog, evict nothing, purge nothing that was evicted, and are
// told; what is due goes as ever. Nothing goes early in a pause.
func TestEvictByFill(t *testing.T) {
	w := newWorld(t)
	w.room(quarantine.Watermarks{High: 0.8, Low: 0.5})
	a, b := w.of("a", 5), w.of("b", 1)
	if err := w.ceph.CloudWrite(w.create(vms, "alive"), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	w.ceph.SetCapacity(vms, 8*diskUsed) // 7 of 8 are used
	w.pass(quarantine.DefaultMinAge)

	w.ceph.FailNext("Usage", 2, quarantine.ErrUnavailable) // of vms, and of another pool
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if got := did(rep, "capacity"); len(got) != 1 || !strings.Contains(got[0].Error, "cannot be read") || w.states(a) != "qqqqq" {
		t.Errorf("%s, %+v", w.states(a), rep.Items)
	}
	w.paused(time.Time{})
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if got := w.states(a); got != "qqqqq" {
		t.Errorf("in a pause: %s", got)
	}
	if err := w.collector.Resume(w.ctx, "carol", "over"); err != nil {
		t.Fatal(err)
	}
	w.collect()
	if got := w.states(append(a, b...)); got != "eeeqqq" {
		t.Fatalf("states %s", got)
	}
	w.pass(grace)
	w.ceph.FailNext("Usage", 2, quarantine.ErrUnavailable)
	rep = w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if got := did(rep, "purge"); len(got) != 3 || !strings.Contains(got[0].Error, "not known") {
		t.Errorf("%+v", rep.Items)
	}
	w.nothingRemoved()
	w.collect()
	if got := w.states(append(a, b...)); got != "pppqqq" {
		t.Errorf("states %s", got)
	}
	// Ceph may show for a while what was removed; nothing is concluded from it.
	w.ceph.SetCapacity(vms, 4*diskUsed)
	if rep := w.collect(); len(rep.Items) != 0 {
		t.Errorf("%+v", rep.Items)
	}
	w.pass(10 * time.Minute)
	w.collect()
	if got := w.states(append(a, b...)); got != "pppeqe" {
		t.Errorf("states %s", got)
	}
}

// The catalog has more in quarantine than the pool holds: it is another pool's data.
func TestEvictContradiction(t *testing.T) {
	w := newWorld(t)
	w.room(quarantine.Watermarks{High: 0.8, Low: 0.5})
	a := w.of("a", 5)
	w.pass(quarantine.DefaultMinAge)
	d := w.disk(a[0])
	d.UsedBytes = 1 << 30
	if _, err := w.store.PutDisk(w.ctx, d); err != nil {
		t.Fatal(err)
	}
	w.ceph.SetCapacity(vms, 5*diskUsed)
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if got := did(rep, "capacity"); len(got) != 1 || !strings.Contains(got[0].Error, "another pool") || w.states(a) != "qqqqq" {
		t.Errorf("%s, %+v", w.states(a), rep.Items)
	}
}

// A disk that was not measured is not guessed at: it does not go, and nobody goes in
// its stead who might not have to.
func TestEvictMeasuresFirst(t *testing.T) {
	w := newWorld(t)
	w.tight(5, 4)
	a, b := w.of("a", 4), w.of("b", 3)
	w.pass(quarantine.DefaultMinAge)
	for _, k := range a {
		d := w.disk(k)
		d.UsedBytes = -1
		if _, err := w.store.PutDisk(w.ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	w.tight(2, 2)
	rep := w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	if got := w.states(append(a, b...)); got != "qqqqqqq" || len(did(rep, "capacity")) != 1 {
		t.Errorf("states %s, %+v", got, rep.Items)
	}
	w.reconcile()
	w.tight(5, 4)
	w.collect()
	if got := w.states(append(a, b...)); got != "eeqqeqq" && got != "eeqqqqq" {
		t.Errorf("states %s", got)
	}
}

// A pass that is killed between two marks has done no harm: what it marked goes, the
// next pass goes on if the pool is still too full, and no more goes than without it.
func TestEvictKilled(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		w.safety.Workers = 1
		w.tight(4, 2)
		keys := w.of("a", 6)
		w.pass(quarantine.DefaultMinAge)
		w.proc.mu.Lock()
		w.proc.at = len(w.proc.points) + at
		w.proc.mu.Unlock()
		w.run(func() { w.collector.Run(w.ctx, "cron", quarantine.JobOptions{}) })
		died := w.proc.dead
		w.restart()
		w.reconcile()
		w.collect()
		marked := w.states(keys)
		if marked != "eeeeqq" && (!died || marked != "eeqqqq" && marked != "eeeqqq") {
			t.Fatalf("killed at %d: %s", at, marked)
		}
		w.pass(grace)
		w.collect()
		if got := w.states(keys); got != strings.ReplaceAll(marked, "e", "p") {
			t.Fatalf("killed at %d: %s, and then %s", at, marked, got)
		}
		if !died {
			if at < 40 {
				t.Errorf("%d points only", at)
			}
			return
		}
	}
}
