package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/catalog"
	"quarantine/internal/ceph"
	"quarantine/internal/custody"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

const (
	cloudName = "bench"
	// protect is the guard's protection time.
	protect = 10 * 365 * 24 * time.Hour
	// opTimeout is that of every connection.
	opTimeout      = 60 * time.Second
	timeoutSeconds = "60"
	// maxWorkers are the calls to Ceph under way at once: one for each worker
	// of the highest level.
	maxWorkers = 64
)

// product is the service, wired as the daemon wires it.
type product struct {
	registry *ceph.Registry
	catalog  *catalog.Catalog
	custody  *custody.Log
	policy   *policy.Store
	ledger   *quarantine.Ledger
	adopter  *quarantine.Adopter
	recorder *quarantine.Recorder
	pool     quarantine.PoolRef
	safety   quarantine.Safety

	now quarantine.Clock
	// ahead is how far the service's clock was stepped, in nanoseconds.
	ahead atomic.Int64

	closers []func() error
}

// newProduct connects, guards the pool, and opens a catalog and a custody log
// in the directory, which it makes in that of the lab: on the disk that the OSD
// writes to.
func newProduct(ctx context.Context, lab *cephlab.Lab, pool, policies string, now quarantine.Clock) (_ *product, err error) {
	p := &product{now: now}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	dir, err := os.MkdirTemp(lab.Dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make the service's directory: %w", err)
	}
	p.closers = append(p.closers, func() error { return os.RemoveAll(dir) })
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("make the service's log: %w", err)
	}
	p.closers = append(p.closers, logFile.Close)
	log := slog.New(slog.NewTextHandler(logFile, nil))

	cluster, err := ceph.Connect(ctx, ceph.ClusterConfig{
		Name: "lab", Conf: lab.Conf, User: cephlab.Quarantine, OpTimeout: opTimeout, Workers: maxWorkers, Clock: now,
		Pools: []quarantine.Pool{{PoolRef: quarantine.PoolRef{Pool: pool}, Cloud: cloudName, Guarded: true, Protect: protect}},
	})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, cluster.Close)
	if p.registry, err = ceph.NewRegistry(cluster); err != nil {
		return nil, err
	}
	if p.policy, err = policy.NewStore(ctx, policies); err != nil {
		return nil, err
	}
	if p.custody, err = custody.Open(filepath.Join(dir, "custody.jsonl"), log, p.clock); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.custody.Close)
	if p.catalog, err = catalog.Open(ctx, filepath.Join(dir, "catalog.db"), catalog.Options{}, log); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.catalog.Close)

	p.ledger = quarantine.NewLedger(quarantine.LedgerConfig{
		Disks: p.catalog, Images: p.registry, Custody: p.custody, History: p.custody, Clock: p.clock, Log: log, Observer: unobserved{},
	})
	p.adopter = quarantine.NewAdopter(p.ledger, p.registry, p.catalog, p.policy, p.registry)
	p.recorder = quarantine.NewRecorder(p.adopter)
	p.safety = quarantine.DefaultSafety()
	p.safety.MaxDisks = 100_000
	p.safety.MaxLatency = 0         // as fast as it goes; paced is told otherwise
	p.safety.MaxClockJump = protect // the bench's clock jumps over each retention
	p.pool = p.registry.Pools()[0].PoolRef
	return p, nil
}

func (p *product) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}

// clock is the service's: the machine's, stepped.
func (p *product) clock() time.Time { return p.now().Add(time.Duration(p.ahead.Load())) }

// stepTo sets the service's clock.
func (p *product) stepTo(t time.Time) { p.ahead.Add(int64(t.Sub(p.clock()))) }

// record records the deletion of a server for each image.
func (p *product) record(ctx context.Context, servers []string) error {
	at := p.now()
	ds := make([]quarantine.Deletion, 0, len(servers))
	for _, s := range servers {
		ds = append(ds, serverDeletion(s, at))
	}
	return p.recorder.Record(ctx, ds)
}

// adopt adopts and seals the entries, and makes sure that each disk is joined
// with its Deletion.
func (p *product) adopt(ctx context.Context, workers int, entries []quarantine.TrashEntry, adopted chan<- quarantine.Disk) error {
	return each(ctx, workers, entries, func(e quarantine.TrashEntry) error {
		d, err := p.adopter.Adopt(ctx, e, quarantine.CaptureGuard)
		if err != nil {
			return err
		}
		if d.State != quarantine.Quarantined || !d.Sealed || d.Deletion == nil {
			return fmt.Errorf("disk %s is %s, sealed %t, joined %t", d.ID, d.State, d.Sealed, d.Deletion != nil)
		}
		adopted <- d
		return nil
	})
}

// entries returns the images' trash entries.
func (p *product) entries(ctx context.Context, ids map[string]string) ([]quarantine.TrashEntry, error) {
	all, err := quarantine.ListTrash(ctx, p.registry, p.pool)
	if err != nil {
		return nil, err
	}
	var es []quarantine.TrashEntry
	for _, e := range all {
		if ids[e.Name] == e.Key.ImageID {
			es = append(es, e)
		}
	}
	if len(es) != len(ids) {
		return nil, fmt.Errorf("the trash of %s has %d of %d removed images", p.pool, len(es), len(ids))
	}
	return es, nil
}

// expire steps the clock past the disks' retention, lets a pass mark them, and
// steps it past the grace period: the next pass purges.
func (p *product) expire(ctx context.Context, workers int, disks []quarantine.Disk) error {
	over := p.clock()
	for _, d := range disks {
		if d.RetainUntil.After(over) {
			over = d.RetainUntil
		}
	}
	p.stepTo(over.Add(time.Second))
	if err := p.pass(ctx, p.safety, workers, "expire", len(disks)); err != nil {
		return err
	}
	p.stepTo(p.clock().Add(p.safety.Grace + time.Second))
	return nil
}

// purge runs the pass that frees n disks.
func (p *product) purge(ctx context.Context, workers, n int) error {
	return p.pass(ctx, p.safety, workers, "purge", n)
}

// paced is purge at the pace, as a neighbour that slows down while Ceph is busy. There
// may be more that are due.
func (p *product) paced(ctx context.Context, workers, n int) error {
	safety := p.safety
	safety.MaxDisks = n
	safety.DisksPerSecond, safety.MaxLatency = pace, quarantine.DefaultSafety().MaxLatency
	return p.pass(ctx, safety, workers, "purge", n)
}

// pass runs the collector once, which must perform the act n times and fail
// at nothing.
func (p *product) pass(ctx context.Context, safety quarantine.Safety, workers int, act string, n int) error {
	safety.Workers = workers
	c := quarantine.NewCollector(p.ledger, p.registry, ceph.NewRemover(p.registry, p.clock), p.registry, p.policy, p.catalog, safety)
	rep := c.Run(ctx, "bench", quarantine.JobOptions{})
	if rep.Stopped != "" {
		return fmt.Errorf("the pass to %s %d disks stopped: %s", act, n, rep.Stopped)
	}
	done := 0
	for _, it := range rep.Items {
		if it.Error != "" {
			return fmt.Errorf("the pass to %s %d disks: %s %s: %s", act, n, it.Act, it.Disk, it.Error)
		}
		if it.Act == act {
			done++
		}
	}
	if done != n {
		return fmt.Errorf("the pass to %s %d disks did so with %d", act, n, done)
	}
	return nil
}

// unobserved is no observer.
type unobserved struct{}

func (unobserved) Moved(*quarantine.Disk, quarantine.State) {}
func (unobserved) Captured(time.Duration)                   {}
func (unobserved) CustodyFailed()                           {}
