package ceph

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cephtest"
)

// What needs a second cluster, or makes Ceph hang, has a lab of its own, in
// which one thing happens after the other. It takes longer than all the other
// tests beside it; they begin in the order of their files' names.
func TestOnAPrivateLab(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	lab, err := cephlab.Start(ctx, cephlab.Options{CommitInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Stop(); err != nil {
			t.Error(err)
		}
	})
	// How long Ceph waits for a client that does not answer before it gives
	// what the client had locked to others: its own 30 s prove no more.
	if _, err := lab.Ceph(ctx, "config", "set", "osd", "osd_client_watch_timeout", "12"); err != nil {
		t.Fatal(err)
	}
	pool := quarantine.PoolRef{FSID: lab.FSID, Pool: "vms"}

	t.Run("ConformanceOfClusters", func(t *testing.T) {
		near := cephlab.Shared(t)
		cephtest.RunClusters(t, func(t *testing.T) cephtest.Backend {
			b := cephtest.Backend{Pool: newPool(t, near), Far: pool}
			return backend(t, b, newCloud(t, near, lab), connect(t, near, b.Pool), connect(t, lab, b.Far))
		})
	})
	t.Run("AWatchOutlivesARestartOfTheOSD", func(t *testing.T) { watchOutlivesRestart(t, lab, pool) })
	t.Run("AWatchOutlivesAPauseOfTheOSD", func(t *testing.T) { watchOutlivesPause(t, lab, pool) })
	t.Run("StopsWhileCephHangs", func(t *testing.T) { stopsWhileCephHangs(t, lab, pool) })
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come about", what)
		}
	}
}

// pause stops the OSD until resume, or the test's end.
func pause(t *testing.T, lab *cephlab.Lab) (resume func()) {
	t.Helper()
	if err := lab.Pause("osd"); err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() {
		if err := lab.Resume("osd"); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// removed lets the cloud move a new image to the trash.
func removed(t *testing.T, cl cloud, pool quarantine.PoolRef, name string) quarantine.Key {
	t.Helper()
	key, err := cl.CloudCreate(pool, name, 4<<20)
	if err == nil {
		err = cl.CloudTrash(pool, name, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// After a restart of the OSD arrivals are heard again, without any help.
func watchOutlivesRestart(t *testing.T, lab *cephlab.Lab, pool quarantine.PoolRef) {
	r, err := NewRegistry(connect(t, lab, pool))
	if err != nil {
		t.Fatal(err)
	}
	cl := newCloud(t, lab)
	l := listen(t, r, pool)
	before := removed(t, cl, pool, "before")
	if got := l.hears(); got.Key != before {
		t.Errorf("heard of %v, want %s", got, before)
	}
	if err := lab.Restart(testContext(t), "osd"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	after := removed(t, cl, pool, "after")
	t.Logf("the OSD serves again after %s", time.Since(start))
	if got := l.hears(); got.Key != after {
		t.Errorf("heard of %v, want %s", got, after)
	}
	t.Logf("heard after %s; up: %v, missed: %d", time.Since(start), l.watch.Up(), len(l.missed))
}

// A watch that the OSD does not confirm says so, and comes back with the OSD,
// together with the word that something may have been missed.
func watchOutlivesPause(t *testing.T, lab *cephlab.Lab, pool quarantine.PoolRef) {
	r, err := NewRegistry(connectWithin(t, lab, 3*time.Second, pool))
	if err != nil {
		t.Fatal(err)
	}
	cl := newCloud(t, lab)
	l := listen(t, r, pool)
	resume := pause(t, lab)
	start := time.Now()
	until(t, "the word that the watch is down", func() bool { return !l.watch.Up() })
	t.Logf("the watch was down after %s", time.Since(start))
	resume()
	l.reestablished()
	t.Logf("and stood again after %s", time.Since(start))
	key := removed(t, cl, pool, "after-pause")
	if got := l.hears(); got.Key != key {
		t.Errorf("heard of %v, want %s", got, key)
	}
}

// While Ceph hangs, the end of the context ends every caller at once; Close
// waits for the calls, which the operation timeout ends; nothing is left
// behind.
func stopsWhileCephHangs(t *testing.T, lab *cephlab.Lab, pool quarantine.PoolRef) {
	const timeout = 3 * time.Second
	ctx := testContext(t)
	cl := newCloud(t, lab)
	sealed := removed(t, cl, pool, "sealed")
	data := make([]byte, 9<<20)
	data[0], data[9<<20-1] = 1, 1
	big, err := cl.CloudCreate(pool, "big", 9<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.CloudWrite(big, 0, data); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(ctx, ClusterConfig{Name: "lab", Conf: lab.Conf, User: cephlab.Quarantine, OpTimeout: timeout, Workers: 16, Pools: []quarantine.Pool{{PoolRef: pool}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	rm := NewRemover(r, time.Now)
	open := func(key quarantine.Key) quarantine.Image {
		img, err := r.OpenImage(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	toSeal, idle := open(sealed), open(sealed)
	img := open(big)
	if err := img.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	l := listen(t, r, pool)

	running, cancel := context.WithCancel(ctx)
	defer cancel()
	reading := make(chan struct{}) // the first extent is read
	paused := make(chan struct{})
	calls := map[string]func() error{
		"EachTrash":   func() error { _, err := quarantine.ListTrash(running, r, pool); return err },
		"LiveImages":  func() error { _, err := r.LiveImages(running, pool, ""); return err },
		"OpenImage":   func() error { _, err := r.OpenImage(running, sealed); return err },
		"Seal":        func() error { return toSeal.Seal(running) },
		"MoveToTrash": func() error { return r.MoveToTrash(running, pool, "big", time.Hour) },
		"Canary":      func() error { _, err := r.Canary(running, pool); return err },
		"Remove":      func() error { return rm.Remove(running, sealed, nil) },
		"Used":        func() error { _, err := r.Used(running, big); return err },
	}
	ended := make(chan error, len(calls)+1)
	go func() {
		ended <- r.ReadSealed(running, big, func(offset int64, _ []byte) error {
			if offset == 0 {
				close(reading)
				<-paused
			}
			return nil
		})
	}()
	<-reading
	resume := pause(t, lab)
	close(paused)
	for name, call := range calls {
		go func() {
			err := call()
			if err == nil {
				t.Errorf("%s succeeds while Ceph hangs", name)
			}
			ended <- err
		}()
	}
	until(t, "every call being under way", func() bool { return len(c.slots) == len(calls)+1 })

	start := time.Now()
	cancel()
	for range len(calls) + 1 {
		if err := <-ended; !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("a call ended with %v", err)
		}
	}
	if err := toSeal.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > timeout/2 {
		t.Errorf("the callers were held for %s", d)
	}
	l.end()
	t.Logf("the watch ended after %s", time.Since(start))
	idleClosed := make(chan error, 1)
	go func() { idleClosed <- idle.Close() }()
	start = time.Now()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("Close took %s", time.Since(start))
	if d := time.Since(start); d > closeTimeout(timeout) {
		t.Errorf("Close took %s", d)
	}
	<-idleClosed // Close waited for it, so this does not
	if n := len(c.slots); n != 0 {
		t.Errorf("%d calls are still under way", n)
	}
	if _, err := quarantine.ListTrash(ctx, r, pool); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("a call on a closed cluster ended with %v", err)
	}

	// What was under way left nothing that is in the way of going on.
	resume()
	r, err = NewRegistry(connect(t, lab, pool))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Canary(ctx, pool); !errors.Is(err, quarantine.ErrNotFound) { // the pool has no guard
		t.Errorf("canary: %v", err)
	}
	again, err := r.OpenImage(ctx, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Seal(ctx), again.Close()); err != nil {
		t.Error(err)
	}
}
