package quarantine_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

var evidence = quarantine.PoolRef{FSID: "fsid-1", Pool: "evidence", Namespace: "q"}

// evidencePool gives the cluster an evidence pool.
func (w *world) evidencePool() {
	w.ceph.AddPool(quarantine.Pool{PoolRef: evidence, Cluster: "ceph", Guarded: true, Protect: protect, Evidence: true})
}

// isolates is a policy that has everything copied.
func (w *world) isolates() {
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "watched", Isolate: true})
}

func (w *world) isolator(cfg quarantine.IsolateConfig) *quarantine.Isolator {
	return quarantine.NewIsolator(w.adopter, w.holds, w.ceph, w.ceph, w.ceph, cfg)
}

// isolate runs the job, which must come to its end.
func (w *world) isolate() quarantine.Report {
	w.t.Helper()
	rep := w.isolator(quarantine.IsolateConfig{MaxDisks: 10}).Run(w.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" {
		w.t.Fatalf("isolate stopped: %s", rep.Stopped)
	}
	return rep
}

// copyOf checks that the disk has exactly one copy, which is good, and that both
// name each other. The copy's key is returned.
func (w *world) copyOf(key quarantine.Key) quarantine.Key {
	w.t.Helper()
	var keys []quarantine.Key
	for _, k := range w.ceph.All() {
		if k.PoolRef() == evidence {
			keys = append(keys, k)
		}
	}
	if len(keys) != 1 {
		w.t.Fatalf("the evidence pool has %v", keys)
	}
	c := keys[0]
	w.died[c] = w.died[key]
	w.intact(c)
	row := w.is(c, quarantine.Quarantined)
	sum := sha256.Sum256(w.died[key])
	want := hex.EncodeToString(sum[:])
	orig := w.disk(key)
	if row.CopyOf == nil || row.CopyOf.Disk != key.DiskID() || row.CopyOf.SHA256 != want || row.OriginalName != orig.OriginalName {
		w.t.Errorf("the copy is %+v", row)
	}
	if len(orig.Copies) != 1 || orig.Copies[0].Disk != row.ID || orig.Copies[0].SHA256 != want {
		w.t.Errorf("the original names %+v", orig.Copies)
	}
	if l, err := w.ceph.Lineage(w.ctx, c); err != nil || l.Parent != nil {
		w.t.Errorf("the copy stands on %+v, %v", l.Parent, err)
	}
	on, err := w.recordOn(c)
	if err != nil || on.CopyOf == nil || on.State != quarantine.Quarantined || !on.Sealed || on.RetainUntil.Before(orig.RetainUntil) {
		w.t.Errorf("the record on the copy says %+v, %v", on, err)
	}
	return c
}

// A disk that a policy has isolated is copied, the copy has its bytes, its
// identity and its promises, lives as any disk, and outlives what is done to its
// original.
func TestIsolatedCopysLife(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	w.hold(key, "case-1")
	dry := w.isolator(quarantine.IsolateConfig{MaxDisks: 10}).Run(w.ctx, "cron", quarantine.JobOptions{DryRun: true})
	rep := w.isolate()
	if len(dry.Items) != 1 || len(rep.Items) != 1 || rep.Failed() != 0 {
		t.Fatalf("a dry run says %+v, the run %+v", dry.Items, rep.Items)
	}
	c := w.copyOf(key)
	row, orig := w.disk(c), w.disk(key)
	if !row.Held() || row.DeletionID() != orig.DeletionID() || !row.DeletedAt.Equal(orig.DeletedAt) || !row.RetainUntil.Equal(orig.RetainUntil) ||
		!strings.Contains(row.Decision.Reason, "isolated copy of vms/") {
		t.Errorf("the copy is %+v", row)
	}
	want := []string{"adopt done", "hold done", "seal done"}
	if got := w.custody.of(c); !slices.Equal(got, want) {
		t.Errorf("custody of the copy: %q", got)
	}
	want = []string{"adopt done", "seal done", "hold intent", "hold done", "isolate intent", "isolate done"}
	if got := w.custody.of(key); !slices.Equal(got, want) {
		t.Errorf("custody: %q", got)
	}
	if again := w.isolate(); len(again.Items) != 0 {
		t.Errorf("copied twice: %+v", again.Items)
	}
	_, err := w.isolator(quarantine.IsolateConfig{}).Isolate(w.ctx, "carol", key.DiskID(), "again", nil)
	if !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("copied again: %v", err)
	}
	// What the original is promised later, the copy is, too.
	w.hold(key, "case-2")
	later := w.now().Add(3 * retain)
	if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), later, "longer"); err != nil {
		t.Fatal(err)
	}
	if d := w.disk(c); len(d.OpenHolds()) != 2 || !d.RetainUntil.Equal(later.Truncate(time.Second)) {
		t.Errorf("the copy has the holds %+v, until %s", d.OpenHolds(), d.RetainUntil)
	}
	// The cloud forces the original out. It is lost, loudly; the copy is found
	// again without the catalog, and given back.
	if err := w.ceph.CloudRestore(key, "mine"); err != nil {
		t.Fatal(err)
	}
	w.ceph.CloudDestroy(key)
	w.reconcile()
	w.is(key, quarantine.Lost)
	w.store.lose()
	w.obs.forget()
	w.reconcile()
	d := w.is(c, quarantine.Quarantined)
	if d.CopyOf == nil || len(d.OpenHolds()) != 2 || d.Deletion == nil || !d.RetainUntil.Equal(later.Truncate(time.Second)) {
		t.Errorf("after the catalog was lost the copy is %+v", d)
	}
	if _, err := w.restorer.Clone(w.ctx, "carol", c.DiskID(), vms, "back", true, "a look", nil); err != nil {
		t.Fatal(err)
	}
	back, _ := w.ceph.LookLive(vms, "back")
	if st, _ := w.ceph.Look(back); string(st.Content) != string(w.died[key]) {
		t.Error("what was given back has other bytes")
	}
	for _, id := range []string{"case-1", "case-2"} {
		if _, err := w.holds.Release(w.ctx, "carol", c.DiskID(), id, "over"); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		w.pass(retain / 2)
		w.collect()
	}
	w.is(c, quarantine.Purged)
}

// An original whose copy is wanted, by its policy or by a person, is not purged
// before there is one, also where there is no evidence pool; and a copy that is
// lost is no copy.
func TestNoPurgeBeforeTheCopy(t *testing.T) {
	for _, by := range []string{"policy", "person"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			if by == "policy" {
				w.isolates()
			}
			key := w.quarantined()
			if by == "person" {
				w.evidencePool()
				w.ceph.FailNext("CreateImage", 1, quarantine.ErrUnavailable)
				if _, err := w.isolator(quarantine.IsolateConfig{}).Isolate(w.ctx, "carol", key.DiskID(), "case", nil); err == nil {
					t.Fatal("copied in spite of all")
				}
				// The wish outlives a catalog that is lost.
				w.store.lose()
				w.obs.forget()
				w.reconcile()
				if d := w.disk(key); d.IsolateBy != "carol" {
					t.Errorf("asked for by %q", d.IsolateBy)
				}
			}
			for range 6 {
				w.pass(retain / 2)
				w.collect()
			}
			w.is(key, quarantine.Expiring)
			w.nothingRemoved()
			if rep := w.collect(); rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, "copied") {
				t.Errorf("%+v", rep.Items)
			}
			if by == "policy" {
				w.evidencePool()
			}
			w.isolate()
			c := w.copyOf(key)
			w.ceph.CloudDestroy(c)
			w.reconcile()
			w.is(c, quarantine.Lost)
			w.collect()
			w.nothingRemoved()
			if rep := w.isolate(); rep.Failed() != 0 || len(rep.Items) != 1 {
				t.Errorf("%+v", rep.Items)
			}
			w.collect()
			w.removedOnce(key)
		})
	}
}

// A run does as much as it may, as slowly as it is told; one that is cut short
// goes on where it was.
func TestIsolateLimitsAndResumes(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	w.stray("other")
	var waited time.Duration
	s := w.isolator(quarantine.IsolateConfig{MaxDisks: 1, MarkBytes: 1, BytesPerSecond: fakeceph.BlockSize,
		Wait: func(_ context.Context, d time.Duration) { waited += d; w.jump(d) }})
	// The third write fails: two blocks are marked.
	writes := 0
	w.ceph.Before(func(k fakeceph.Call) error {
		if k.Verb == "Write" {
			if writes++; writes == 3 {
				return quarantine.ErrUnavailable
			}
		}
		return nil
	})
	if _, err := s.Isolate(w.ctx, "carol", key.DiskID(), "case", nil); err == nil {
		t.Fatal("it did not fail")
	}
	var last uint64
	if _, err := s.Isolate(w.ctx, "carol", key.DiskID(), "case", func(done, total uint64) {
		if done > total || done < last {
			t.Errorf("%d of %d, after %d", done, total, last)
		}
		last = done
	}); err != nil {
		t.Fatal(err)
	}
	if writes != 4 {
		t.Errorf("%d writes; the first blocks were written again", writes)
	}
	w.copyOf(key)
	// Three blocks are read for the copy, three for each hash.
	if waited.Round(time.Second) < 8*time.Second || waited.Round(time.Second) > 9*time.Second {
		t.Errorf("it took %s", waited)
	}
	if rep := s.Run(w.ctx, "cron", quarantine.JobOptions{}); len(rep.Items) != 1 || rep.Failed() != 0 {
		t.Errorf("%+v", rep.Items)
	}
}

// A copy with other bytes is found before it is sealed, is not used, and is
// written anew.
func TestIsolateVerifies(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	spoiled := false
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "Write" && !spoiled {
			spoiled = true
			return w.ceph.CloudWrite(k.Key, 0, []byte("spoiled")) // the cache writes over it
		}
		if k.Verb == "KeepMark" && spoiled {
			spoiled = false
			w.ceph.After(nil)
			return w.ceph.CloudWrite(k.Key, 100, []byte("spoiled"))
		}
		return nil
	})
	rep := w.isolate()
	if rep.Failed() != 1 || !strings.Contains(rep.Items[0].Error, "SHA-256") || len(w.disk(key).Copies) != 0 {
		t.Fatalf("%+v", rep.Items)
	}
	if rep := w.isolate(); rep.Failed() != 0 {
		t.Fatalf("%+v", rep.Items)
	}
	w.copyOf(key)
}

// What cannot be copied is refused before anything is made; a run stops where
// Ceph is not well.
func TestIsolateRefuses(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	s := w.isolator(quarantine.IsolateConfig{MaxDisks: 1})
	if _, err := s.Isolate(w.ctx, "carol", key.DiskID(), "case", nil); !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "no evidence pool") {
		t.Errorf("without a pool: %v", err)
	}
	w.evidencePool()
	w.custody.fail(errors.New("disk full"))
	if _, err := s.Isolate(w.ctx, "carol", key.DiskID(), "case", nil); err == nil || len(w.ceph.All()) != 1 {
		t.Errorf("without a custody log: %v, %v", err, w.ceph.All())
	}
	w.custody.fail(nil)
	c, err := s.Isolate(w.ctx, "carol", key.DiskID(), "case", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Isolate(w.ctx, "carol", c.ID, "case", nil); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("a copy of a copy: %v", err)
	}
	w.ceph.SetHealth("fsid-1", quarantine.Health{Status: "HEALTH_WARN", Checks: []string{"POOL_NEARFULL"}})
	if rep := s.Run(w.ctx, "cron", quarantine.JobOptions{}); rep.Stopped == "" {
		t.Error("a run went on in a full cluster")
	}
}

// A hold and an extension that come when the copy's record is written already
// are not forgotten on the copy.
func TestIsolateTakesOverWhatComesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	key := w.quarantined()
	later := t0.Add(5 * retain).Truncate(time.Second)
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "RenameImage" {
			w.hold(key, "case-1")
			if _, err := w.holds.Extend(w.ctx, "carol", key.DiskID(), later, "longer"); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if _, err := w.isolator(quarantine.IsolateConfig{}).Isolate(w.ctx, "carol", key.DiskID(), "case", nil); err != nil {
		t.Fatal(err)
	}
	if d := w.disk(w.copyOf(key)); !d.Held() || !d.RetainUntil.Equal(later) {
		t.Errorf("the copy has %+v, until %s", d.Holds, d.RetainUntil)
	}
}

// The last of a kind are counted without copies: neither does a copy push an
// older disk out, nor its original the copy.
func TestCopiesAreNotOthersOfTheirKind(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.policy.use(quarantine.Decision{Retain: retain, Rule: "last", KeepLast: quarantine.KeepLast{N: 2, By: "vm"}})
	older := w.quarantined()
	w.jump(time.Hour)
	newer := w.create(vms, diskName)
	w.record(w.deleteOf(quarantine.KindDelete, "req-2"))
	w.remove(newer)
	w.adopt(newer)
	c, err := w.isolator(quarantine.IsolateConfig{}).Isolate(w.ctx, "carol", newer.DiskID(), "case", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		w.pass(retain / 2)
		w.collect()
	}
	w.is(older, quarantine.Quarantined)
	w.is(newer, quarantine.Quarantined)
	w.is(c.Key, quarantine.Quarantined)
	w.nothingRemoved()
}
