package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// collectPlan is how much is collected.
type collectPlan struct {
	// In each round each side frees so many disks.
	rounds, disks, workers int
	// trashPurge is how many `rbd trash purge` frees in each round: it takes one
	// after the other, at the same speed however many.
	trashPurge int
	// adopted are the disks that are adopted in each of beside rounds, without and
	// with a collection.
	beside, adopted int
	// In each of turns a client writes, without a collection for as long as quiet, then
	// beside one at a pace, and so on, slices times.
	turns, slices int
	quiet         time.Duration
}

// neighbour is what a collection does to others, and how fast it is.
type neighbour struct {
	workers    int
	collect    contest // disks with data
	seals      score   // of the disks that were collected
	trashPurge score
	// removals are bare ones of the same kind of images: the last of the five calls
	// that a sealed disk takes, and so more than any collector could do here.
	removals score
	// alone and beside are adoptions without and with a collection under way.
	alone, beside score
	// client is what a client's writes took, turn by turn.
	client []turn
}

// quiet is a client's median write without a collection.
func (n *neighbour) quiet() time.Duration {
	var all []time.Duration
	for _, t := range n.client {
		all = append(all, t.quiet...)
	}
	return median(all)
}

// turn is what a client's writes took without a collection at a pace and beside it,
// in all slices.
type turn struct{ quiet, busy []time.Duration }

// collects has the service, bare calls and `rbd trash purge` free disks with
// data, in turn.
func (b *bench) collects(ctx context.Context, p collectPlan, n *neighbour) error {
	n.workers = p.workers
	for i := range p.rounds {
		servers, names := b.servers(p.disks)
		if err := b.ours.record(ctx, servers); err != nil {
			return err
		}
		entries, ids, err := b.deleted(ctx, names, true)
		if err != nil {
			return err
		}
		disks, err := b.adoptAll(ctx, p.workers, entries, &n.seals)
		if err != nil {
			return err
		}
		if err := b.bare.adopt(ctx, p.workers, ids); err != nil {
			return err
		}
		if err := b.ours.expire(ctx, p.workers, disks); err != nil {
			return err
		}
		unsealed, err := b.unsealed(ctx, p.trashPurge)
		if err != nil {
			return err
		}
		err = inTurn(i%2 == 0,
			func() error {
				return b.timed(&n.collect.ours, p.disks, func() error { return b.ours.purge(ctx, p.workers, p.disks) })
			},
			func() error {
				return b.timed(&n.collect.bare, p.disks, func() error { return b.bare.purge(ctx, p.workers, ids) })
			})
		if err != nil {
			return err
		}
		if err := b.timed(&n.trashPurge, p.trashPurge, func() error { return trashPurge(ctx, b.lab, b.pools.purged) }); err != nil {
			return err
		}
		if err := b.cloud.trashIsEmpty(b.pools.purged); err != nil {
			return err
		}
		if err := b.timed(&n.removals, p.trashPurge, func() error { return b.bare.remove(ctx, p.workers, unsealed) }); err != nil {
			return err
		}
	}
	return nil
}

// unsealed moves n images with data, and no seal, to the trash of the pool for `rbd
// trash purge`, and as many to that of the bare calls, whose ids it returns.
func (b *bench) unsealed(ctx context.Context, n int) (ids []string, err error) {
	for _, pool := range []string{b.pools.purged, b.pools.bare} {
		_, names := b.servers(n)
		if err := b.cloud.clone(ctx, pool, names); err != nil {
			return nil, err
		}
		if err := b.cloud.fill(ctx, pool, names); err != nil {
			return nil, err
		}
		if err := b.cloud.toTrash(ctx, pool, names); err != nil {
			return nil, err
		}
		there, err := b.cloud.inTrash(pool, names)
		if err != nil {
			return nil, err
		}
		ids = slices.Collect(maps.Values(there)) // at last, those of the bare calls
	}
	return ids, nil
}

// adoptAll has the service adopt and seal the entries, and returns the disks.
func (b *bench) adoptAll(ctx context.Context, workers int, entries []quarantine.TrashEntry, s *score) ([]quarantine.Disk, error) {
	adopted := make(chan quarantine.Disk, len(entries))
	if err := b.timed(s, len(entries), func() error { return b.ours.adopt(ctx, workers, entries, adopted) }); err != nil {
		return nil, err
	}
	close(adopted)
	var disks []quarantine.Disk
	for d := range adopted {
		disks = append(disks, d)
	}
	return disks, nil
}

// died makes n servers' disks in the service's pool and has the cloud remove
// them.
func (b *bench) died(ctx context.Context, n int) ([]quarantine.TrashEntry, error) {
	servers, names := b.servers(n)
	if err := b.cloud.clone(ctx, b.pools.ours, names); err != nil {
		return nil, err
	}
	return b.die(ctx, servers, names)
}

// die has the cloud tell of the servers' deletion, and remove their disks.
func (b *bench) die(ctx context.Context, servers, names []string) ([]quarantine.TrashEntry, error) {
	if err := b.ours.record(ctx, servers); err != nil {
		return nil, err
	}
	ids, err := b.cloud.remove(ctx, b.pools.ours, names)
	if err != nil {
		return nil, err
	}
	return b.ours.entries(ctx, ids)
}

// adoptsBeside measures how fast disks are adopted, without a collection and
// with one at the pace.
func (b *bench) adoptsBeside(ctx context.Context, p collectPlan, n *neighbour) error {
	for range p.beside {
		first, err := b.died(ctx, p.adopted)
		if err != nil {
			return err
		}
		second, err := b.died(ctx, p.adopted)
		if err != nil {
			return err
		}
		disks, err := b.adoptAll(ctx, p.workers, first, &n.alone)
		if err != nil {
			return err
		}
		if err := b.ours.expire(ctx, p.workers, disks); err != nil {
			return err
		}
		purged := make(chan error, 1)
		go func() { purged <- b.ours.paced(ctx, p.workers, p.adopted) }()
		disks, err = b.adoptAll(ctx, p.workers, second, &n.beside)
		if err = errors.Join(err, <-purged); err != nil {
			return err
		}
		if err := b.ours.expire(ctx, p.workers, disks); err != nil {
			return err
		}
		if err := b.ours.purge(ctx, p.workers, p.adopted); err != nil {
			return err
		}
	}
	return nil
}

// writes has a client write until stop is closed, one block after the other, and
// returns how long each took, one at least.
func (b *bench) writes(ctx context.Context, stop <-chan struct{}) (took []time.Duration, err error) {
	img, err := rbd.OpenImage(b.cloud.pools[b.pools.shell], clientImage, rbd.NoSnapshot)
	if err != nil {
		return nil, fmt.Errorf("open the client's image: %w", err)
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	block := make([]byte, 16<<10)
	for i := int64(0); ; i++ {
		began := b.now()
		if _, err := img.WriteAt(block, i*int64(len(block))%clientSize); err != nil {
			return nil, fmt.Errorf("a client's write: %w", err)
		}
		took = append(took, b.now().Sub(began))
		select {
		case <-stop:
			return took, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
	}
}

const (
	clientImage = "client"
	clientSize  = 8 << 20 // written over and over within seconds
)

// clientImageOf makes the image that a client writes to, and returns what ends it.
func (b *bench) clientImageOf() (remove func() error, err error) {
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	io := b.cloud.pools[b.pools.shell]
	if err := rbd.CreateImage(io, clientImage, clientSize, options); err != nil {
		return nil, fmt.Errorf("make the client's image: %w", err)
	}
	return func() error { return rbd.RemoveImage(io, clientImage) }, nil
}

// writesDuring has a client write while the act goes on.
func (b *bench) writesDuring(ctx context.Context, act func() error) (took []time.Duration, err error) {
	stop := make(chan struct{})
	var werr error
	var wg sync.WaitGroup
	wg.Go(func() { took, werr = b.writes(ctx, stop) })
	err = act()
	close(stop)
	wg.Wait()
	return took, errors.Join(err, werr)
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// besideClient performs the acts while a client writes, and has it write without that
// before the first and after each. They are short, because what else the machine does
// comes and goes within seconds, and by as much as a collection: in short slices it is
// in both. What is written while Ceph clears up after an act counts for neither.
func (b *bench) besideClient(ctx context.Context, quiet time.Duration, acts ...func() error) (t turn, err error) {
	write := func(into *[]time.Duration, act func() error) error {
		took, err := b.writesDuring(ctx, act)
		*into = append(*into, took...)
		return err
	}
	wait := func() error { return pause(ctx, quiet) }
	// The first writes make the objects, and let what was done before come to rest.
	if err := write(new([]time.Duration), wait); err != nil {
		return t, err
	}
	if err := write(&t.quiet, wait); err != nil {
		return t, err
	}
	for _, act := range acts {
		if err := write(&t.busy, act); err != nil {
			return t, err
		}
		if err := write(new([]time.Duration), func() error { return pause(ctx, quiet/3) }); err != nil {
			return t, err
		}
		if err := write(&t.quiet, wait); err != nil {
			return t, err
		}
	}
	return t, nil
}

// growth is by which part of itself a client's median write got longer, over all
// turns.
func (n *neighbour) growth() float64 {
	var all turn
	for _, t := range n.client {
		all.quiet = append(all.quiet, t.quiet...)
		all.busy = append(all.busy, t.busy...)
	}
	return max(all.growth(), 0)
}

func (t turn) growth() float64 {
	return median(t.busy).Seconds()/median(t.quiet).Seconds() - 1
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
