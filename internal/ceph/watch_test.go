package ceph

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// listener runs a TrashWatch and receives what it hears.
type listener struct {
	t       *testing.T
	watch   *TrashWatch
	entries chan quarantine.TrashEntry
	missed  chan struct{}
	// end ends Run and waits for it.
	end func()
}

// listen starts a watch and waits until it stands.
func listen(t *testing.T, r *Registry, pool quarantine.PoolRef) *listener {
	t.Helper()
	l := &listener{t: t, entries: make(chan quarantine.TrashEntry, 1000), missed: make(chan struct{}, 1000)}
	l.watch = NewTrashWatch(r, pool, slog.New(slog.NewTextHandler(t.Output(), nil)),
		func(e quarantine.TrashEntry) { l.entries <- e }, func() { l.missed <- struct{}{} })
	l.watch.silence = 8 * time.Second // more than librados' 5 s, for the tests' sake less than in earnest
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.watch.Run(ctx); err != nil {
			t.Errorf("Run ended with %v", err)
		}
	}()
	l.end = func() { cancel(); <-done }
	t.Cleanup(l.end)
	l.reestablished()
	return l
}

// patience is how long a test waits for what comes within a second on a
// machine that has nothing else to do.
const patience = time.Minute

// reestablished waits for a call of missed, with which a watch begins.
func (l *listener) reestablished() {
	l.t.Helper()
	select {
	case <-l.missed:
	case <-time.After(patience):
		l.t.Fatal("the watch does not come up")
	}
	if !l.watch.Up() {
		l.t.Error("the watch stands and does not say so")
	}
}

// hears waits for an entry.
func (l *listener) hears() quarantine.TrashEntry {
	l.t.Helper()
	select {
	case e := <-l.entries:
		return e
	case <-time.After(patience):
		l.t.Fatal("nothing is heard")
		return quarantine.TrashEntry{}
	}
}

// A guarded removal and a plain move to the trash, both with the cloud's key,
// are heard at once, as the listing has them; a removal that keeps nothing is
// not.
func TestTrashWatchHearsArrivals(t *testing.T) {
	t.Parallel()
	lab := cephlab.Shared(t)
	pool, other := newPool(t, lab), newPool(t, lab)
	cl := newCloud(t, lab)
	r, err := NewRegistry(connect(t, lab, pool, other))
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	if err := r.WriteGuard(ctx, pool, quarantine.GuardSetting{On: true, Expire: time.Hour}); err != nil {
		t.Fatal(err)
	}
	l := listen(t, r, pool)
	unguarded := listen(t, r, other)
	for name, remove := range map[string]func() error{
		"guarded": func() error { return cl.CloudRemove(pool, "guarded") },
		"moved":   func() error { return cl.CloudTrash(pool, "moved", time.Hour) },
	} {
		key, err := cl.CloudCreate(pool, name, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		removed := time.Since(start)
		got := l.hears()
		t.Logf("%s: the removal took %s, and was heard after %s", name, removed, time.Since(start))
		if got.Key != key || got.Name != name {
			t.Errorf("heard of %+v, want %s as %s", got, key, name)
		}
		entries, err := quarantine.ListTrash(ctx, r, pool)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range entries {
			found = found || e == got
		}
		if !found {
			t.Errorf("heard of %+v, but listed are %v", got, entries)
		}
	}

	// The plain removal tells its passage through the trash, too: it must have
	// been heard, and left out, before the move that comes after it.
	if _, err := cl.CloudCreate(other, "removed", 4<<20); err != nil {
		t.Fatal(err)
	}
	if err := cl.CloudRemove(other, "removed"); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.CloudCreate(other, "moved", 4<<20); err != nil {
		t.Fatal(err)
	}
	if err := cl.CloudTrash(other, "moved", 0); err != nil {
		t.Fatal(err)
	}
	if got := unguarded.hears(); got.Name != "moved" {
		t.Errorf("heard of %+v, which was removed for good", got)
	}

	// After the end nothing is heard, and the watch is off: a remover does not
	// wait for it.
	l.end()
	if l.watch.Up() {
		t.Error("a watch that ended stands")
	}
	if err := cl.in(pool, func(io *rados.IOContext) error {
		acks, timeouts, err := io.NotifyWithTimeout(trashObject, nil, 10*time.Second)
		if len(acks)+len(timeouts) > 0 {
			t.Errorf("a watch is left: %v acknowledged, %v did not", acks, timeouts)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A notification that is none of librbd's leads to a listing.
func TestTrashWatchListsWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	lab := cephlab.Shared(t)
	pool := newPool(t, lab)
	cl := newCloud(t, lab)
	r, err := NewRegistry(connect(t, lab, pool))
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, r, pool)
	if err := cl.in(pool, func(io *rados.IOContext) error {
		acks, _, err := io.NotifyWithTimeout(trashObject, []byte("hello"), 10*time.Second)
		if len(acks) != 1 {
			t.Errorf("acknowledged by %v, want one", acks)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l.reestablished() // missed was called again
}
