package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/ceph/go-ceph/rados"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// bench is everything that a round needs.
type bench struct {
	lab   *cephlab.Lab
	now   quarantine.Clock
	admin *rados.Conn
	cloud *cloud
	ours  *product
	bare  *bare
	pools pools
	made  int // servers so far
}

// pools are the bench's own. The sides have one each: the objects that list a
// pool's images and its trash are a place where all its clients meet.
type pools struct{ base, ours, bare, shell, purged string }

func newBench(ctx context.Context, lab *cephlab.Lab, policies string, now quarantine.Clock) (_ *bench, err error) {
	b := &bench{lab: lab, now: now}
	debug.SetGCPercent(300) // as the service does (cmd/quarantined)
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	for name, p := range map[string]*string{
		"base": &b.pools.base, "ours": &b.pools.ours, "bare": &b.pools.bare, "shell": &b.pools.shell, "purged": &b.pools.purged,
	} {
		if *p, err = lab.NewPool(ctx, "bench-"+name); err != nil {
			return nil, err
		}
	}
	for _, p := range []string{b.pools.ours, b.pools.bare} {
		if err := guard(ctx, lab, p); err != nil {
			return nil, err
		}
	}
	if b.admin, err = connect(lab, cephlab.Admin); err != nil {
		return nil, err
	}
	if b.cloud, err = newCloud(lab, b.pools.base, b.pools.ours, b.pools.bare, b.pools.shell, b.pools.purged); err != nil {
		return nil, err
	}
	if b.bare, err = newBare(lab, b.pools.bare); err != nil {
		return nil, err
	}
	if b.ours, err = newProduct(ctx, lab, b.pools.ours, policies, now); err != nil {
		return nil, err
	}
	return b, nil
}

// guard makes every removal in the pool a move to the trash.
func guard(ctx context.Context, lab *cephlab.Lab, pool string) error {
	for k, v := range map[string]string{
		"rbd_move_to_trash_on_remove":                "true",
		"rbd_move_to_trash_on_remove_expire_seconds": fmt.Sprint(int64(protect.Seconds())),
	} {
		if _, err := lab.RBD(ctx, cephlab.Quarantine, "config", "pool", "set", pool, k, v); err != nil {
			return fmt.Errorf("guard pool %s: %w", pool, err)
		}
	}
	return nil
}

func (b *bench) close() error {
	var err error
	if b.ours != nil {
		err = b.ours.close()
	}
	if b.bare != nil {
		b.bare.close()
	}
	if b.cloud != nil {
		b.cloud.close()
	}
	if b.admin != nil {
		b.admin.Shutdown()
	}
	return err
}

// all measures all levels.
func (b *bench) all(ctx context.Context, p plan, res *results) error {
	if err := b.round(ctx, warmUp, true, &contest{}, &contest{}); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	for _, l := range p.levels {
		r := levelResult{level: l}
		for i := range l.rounds {
			oursFirst := i%2 == 0
			if err := b.round(ctx, l, oursFirst, &r.adopt, &r.purge); err != nil {
				return fmt.Errorf("with %d workers: %w", l.workers, err)
			}
			if err := b.scripts(ctx, l, res); err != nil {
				return err
			}
		}
		res.levels = append(res.levels, r)
	}
	if err := b.collection(ctx, p, res); err != nil {
		return err
	}
	var err error
	if res.terminates, err = b.terminate(ctx, p.terminates); err != nil {
		return fmt.Errorf("terminate VMs of OpenNebula: %w", err)
	}
	return nil
}

// collection measures what a collection does, to itself and to others.
func (b *bench) collection(ctx context.Context, p plan, res *results) (err error) {
	if res.paced, err = b.paced(ctx, p.paced, p.collect, &res.neighbour); err != nil {
		return fmt.Errorf("purge at a pace: %w", err)
	}
	if err := b.adoptsBeside(ctx, p.collect, &res.neighbour); err != nil {
		return fmt.Errorf("adopt beside a collection: %w", err)
	}
	if err := b.collects(ctx, p.collect, &res.neighbour); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	return nil
}

// round has both sides adopt the same number of fresh images, and then purge
// them.
func (b *bench) round(ctx context.Context, l level, oursFirst bool, adopt, purge *contest) error {
	servers, names := b.servers(l.disks)
	if err := b.ours.record(ctx, servers); err != nil {
		return err
	}
	entries, bareIDs, err := b.deleted(ctx, names, false)
	if err != nil {
		return err
	}
	adopted := make(chan quarantine.Disk, l.disks)
	err = inTurn(oursFirst,
		func() error {
			return b.timed(&adopt.ours, l.disks, func() error { return b.ours.adopt(ctx, l.workers, entries, adopted) })
		},
		func() error {
			return b.timed(&adopt.bare, l.disks, func() error { return b.bare.adopt(ctx, l.workers, bareIDs) })
		})
	if err != nil {
		return err
	}
	close(adopted)
	var disks []quarantine.Disk
	for d := range adopted {
		disks = append(disks, d)
	}
	record, err := quarantine.EncodeRecord(disks[0])
	if err != nil {
		return err
	}
	b.bare.record = string(record) // for the next round
	if err := b.ours.expire(ctx, l.workers, disks); err != nil {
		return err
	}
	return inTurn(oursFirst,
		func() error {
			return b.timed(&purge.ours, l.disks, func() error { return b.ours.purge(ctx, l.workers, l.disks) })
		},
		func() error {
			return b.timed(&purge.bare, l.disks, func() error { return b.bare.purge(ctx, l.workers, bareIDs) })
		})
}

// pace is what the service is told to purge at most in a second: 14,400 an hour,
// and a quarter of what a lab Ceph can do, whose OSDs, monitor and client share
// two cores with the one who purges. pacedWorkers purge at once, more than the pace needs.
const (
	pace         = 4
	pacedWorkers = 32
)

// paced has the service purge n disks at the pace, in each slice of each turn, beside
// a client that writes.
func (b *bench) paced(ctx context.Context, n int, p collectPlan, nb *neighbour) (s score, err error) {
	remove, err := b.clientImageOf()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for range p.turns {
		entries, err := b.died(ctx, n*p.slices)
		if err != nil {
			return s, err
		}
		disks, err := b.adoptAll(ctx, pacedWorkers, entries, new(score))
		if err != nil {
			return s, err
		}
		if err := b.ours.expire(ctx, pacedWorkers, disks); err != nil {
			return s, err
		}
		purge := func() error {
			return b.timed(&s, n, func() error { return b.ours.paced(ctx, pacedWorkers, n) })
		}
		t, err := b.besideClient(ctx, p.quiet, slices.Repeat([]func() error{purge}, p.slices)...)
		if err != nil {
			return s, err
		}
		nb.client = append(nb.client, t)
	}
	return s, nil
}

// deleted has the cloud make the images in both sides' pools, perhaps write to
// them, and remove them.
func (b *bench) deleted(ctx context.Context, names []string, data bool) (ours []quarantine.TrashEntry, bare []string, err error) {
	for _, p := range []string{b.pools.ours, b.pools.bare} {
		if err := b.cloud.clone(ctx, p, names); err != nil {
			return nil, nil, err
		}
		if data {
			if err := b.cloud.fill(ctx, p, names); err != nil {
				return nil, nil, err
			}
		}
		ids, err := b.cloud.remove(ctx, p, names)
		if err != nil {
			return nil, nil, err
		}
		if p == b.pools.bare {
			return ours, slices.Collect(maps.Values(ids)), nil
		}
		if ours, err = b.ours.entries(ctx, ids); err != nil {
			return nil, nil, err
		}
	}
	return ours, bare, nil
}

// scripts measures what an administrator has without the service.
func (b *bench) scripts(ctx context.Context, l level, res *results) error {
	if l.shell > 0 {
		_, names := b.servers(l.shell)
		if err := b.cloud.clone(ctx, b.pools.shell, names); err != nil {
			return err
		}
		if err := b.timed(&res.shell, l.shell, func() error { return sealByShell(ctx, b.lab, b.pools.shell, names) }); err != nil {
			return err
		}
	}
	if l.trashPurge > 0 {
		_, names := b.servers(l.trashPurge)
		if err := b.cloud.clone(ctx, b.pools.purged, names); err != nil {
			return err
		}
		if err := b.cloud.toTrash(ctx, b.pools.purged, names); err != nil {
			return err
		}
		if err := b.timed(&res.trashPurge, l.trashPurge, func() error { return trashPurge(ctx, b.lab, b.pools.purged) }); err != nil {
			return err
		}
		return b.cloud.trashIsEmpty(b.pools.purged)
	}
	return nil
}

// timed adds to the score what n acts took.
func (b *bench) timed(s *score, n int, act func() error) error {
	before, err := osdMapEpoch(b.admin)
	if err != nil {
		return err
	}
	cpu, err := cpuTime()
	if err != nil {
		return err
	}
	start := b.now()
	if err := act(); err != nil {
		return err
	}
	took := b.now().Sub(start)
	cpuAfter, err := cpuTime()
	if err != nil {
		return err
	}
	after, err := osdMapEpoch(b.admin)
	if err != nil {
		return err
	}
	s.add(score{n: n, took: took, cpu: cpuAfter - cpu, epochs: after - before})
	return nil
}

// servers returns n new servers' uuids and the names of their root disks.
func (b *bench) servers(n int) (uuids, names []string) {
	for range n {
		b.made++
		uuid := fmt.Sprintf("%08x-be9c-4000-8000-%012x", b.made, b.made)
		uuids, names = append(uuids, uuid), append(names, rootDisk(uuid))
	}
	return uuids, names
}

// inTurn performs ours and theirs, one after the other.
func inTurn(oursFirst bool, ours, theirs func() error) error {
	if !oursFirst {
		ours, theirs = theirs, ours
	}
	if err := ours(); err != nil {
		return err
	}
	return theirs()
}
