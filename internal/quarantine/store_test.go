package quarantine_test

import (
	"context"
	"time"

	"quarantine/internal/quarantine"
)

// guardedStore is the catalog as one process sees it: each write is a point at
// which the process can die, before it and after.
type guardedStore struct {
	*store
	p *process
}

func write[T any](p *process, name string, act func() (T, error)) (T, error) {
	var zero T
	if err := p.point(name + ".before"); err != nil {
		return zero, err
	}
	v, err := act()
	if err != nil {
		return v, err
	}
	if err := p.point(name + ".after"); err != nil {
		return zero, err
	}
	return v, nil
}

func (g *guardedStore) PutDisk(ctx context.Context, d quarantine.Disk) (quarantine.Disk, error) {
	return write(g.p, "put."+string(d.State), func() (quarantine.Disk, error) { return g.store.PutDisk(ctx, d) })
}

func (g *guardedStore) PutRequest(ctx context.Context, r quarantine.Request) (quarantine.Request, error) {
	return write(g.p, "request."+string(r.State), func() (quarantine.Request, error) { return g.store.PutRequest(ctx, r) })
}

func (g *guardedStore) StandingHolds(ctx context.Context) ([]quarantine.StandingHold, error) {
	if g.standingErr != nil {
		return nil, g.standingErr
	}
	return g.store.StandingHolds(ctx)
}

func (g *guardedStore) DropLost(ctx context.Context, id string) error {
	_, err := write(g.p, "droplost", func() (int, error) { return 0, g.store.DropLost(ctx, id) })
	return err
}

func (g *guardedStore) MergeDeletion(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, bool, error) {
	var changed bool
	m, err := write(g.p, "merge", func() (m quarantine.Deletion, err error) {
		m, changed, err = g.store.MergeDeletion(ctx, d)
		return m, err
	})
	return m, changed, err
}

func (g *guardedStore) CloseDeletion(ctx context.Context, id string) error {
	_, err := write(g.p, "close", func() (int, error) { return 0, g.store.CloseDeletion(ctx, id) })
	return err
}

func (g *guardedStore) See(ctx context.Context, seen []quarantine.Sighting) error {
	_, err := write(g.p, "see", func() (int, error) { return 0, g.store.See(ctx, seen) })
	return err
}

func (g *guardedStore) MarkDead(ctx context.Context, cloud string, kind quarantine.ResourceKind, id string) error {
	_, err := write(g.p, "markdead", func() (int, error) { return 0, g.store.MarkDead(ctx, cloud, kind, id) })
	return err
}

func (g *guardedStore) ForgetSightings(ctx context.Context, before time.Time) (int64, error) {
	return write(g.p, "forgetsightings", func() (int64, error) { return g.store.ForgetSightings(ctx, before) })
}

func (g *guardedStore) Asked(ctx context.Context, d quarantine.Deletion) error {
	_, err := write(g.p, "asked", func() (int, error) { return 0, g.store.Asked(ctx, d) })
	return err
}

func (g *guardedStore) SeeImages(ctx context.Context, pool quarantine.PoolRef, seen []quarantine.SeenImage, forget []string) error {
	_, err := write(g.p, "seeimages", func() (int, error) { return 0, g.store.SeeImages(ctx, pool, seen, forget) })
	return err
}

// guardedCustody is the custody log as one process sees it.
type guardedCustody struct {
	*custody
	p *process
}

func (g *guardedCustody) Append(ctx context.Context, e quarantine.Entry) error {
	_, err := write(g.p, "custody", func() (int, error) { return 0, g.custody.Append(ctx, e) })
	return err
}

// disk reads one disk from the catalog.
func (w *world) disk(key quarantine.Key) quarantine.Disk {
	w.t.Helper()
	d, err := w.store.Disk(w.ctx, key.DiskID())
	if err != nil {
		w.t.Fatalf("disk of %s: %v", key, err)
	}
	return d
}

// disks returns the whole catalog.
func (w *world) disks(states ...quarantine.State) []quarantine.Disk {
	w.t.Helper()
	ds, err := w.store.FindDisks(w.ctx, quarantine.DiskFilter{States: states})
	if err != nil {
		w.t.Fatalf("find disks: %v", err)
	}
	return ds
}

// is checks a disk's state.
func (w *world) is(key quarantine.Key, want quarantine.State) quarantine.Disk {
	w.t.Helper()
	d := w.disk(key)
	if d.State != want {
		w.t.Fatalf("disk %s is %s, want %s", key, d.State, want)
	}
	return d
}

// keptUntil checks a disk's date.
func (w *world) keptUntil(key quarantine.Key, want time.Time) {
	w.t.Helper()
	if d := w.disk(key); !d.RetainUntil.Equal(want) {
		w.t.Fatalf("disk %s is kept until %s, want %s", key, d.RetainUntil, want)
	}
}
