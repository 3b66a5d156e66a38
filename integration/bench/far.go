package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// farDelay is the most that a message takes to an OSD that is far, by Ceph's option;
// with what its timers cost, a write that takes 1.4 ms on the loopback takes 4 ms
// there (the bench prints both). The lab's own OSD is on the loopback, has one copy of everything and a file for
// its disk: it answers sooner than any that a site has, and what takes one act after
// the other, as `rbd trash purge` does, is never kept waiting. A site's OSD is a
// network away, and asks its peers over it before it answers.
const farDelay = 2 * time.Millisecond

// far is a collection on a Ceph that is far.
type far struct {
	// write is a client's median write.
	write time.Duration
	neighbour
}

// measure starts a Ceph that is far, and has disks collected there.
func (f *far) measure(ctx context.Context, o options, p collectPlan, now quarantine.Clock) (err error) {
	commit := time.Duration(0) // Ceph's own second
	if o.quick {
		commit = 50 * time.Millisecond
	}
	lab, err := cephlab.Start(ctx, cephlab.Options{Pools: []string{"vms"}, CommitInterval: commit, Delay: farDelay})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	b, err := newBench(ctx, lab, o.policies, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.round(ctx, warmUp, true, &contest{}, &contest{}); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	if f.write, err = b.clientWrite(ctx, p.quiet); err != nil {
		return err
	}
	return b.collects(ctx, p, &f.neighbour)
}

// clientWrite is how long a client's write takes, in the middle.
func (b *bench) clientWrite(ctx context.Context, quiet time.Duration) (_ time.Duration, err error) {
	remove, err := b.clientImageOf()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	took, err := b.writesDuring(ctx, func() error { return pause(ctx, quiet) })
	if err != nil {
		return 0, err
	}
	return median(took), nil
}
