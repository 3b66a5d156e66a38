package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// farDelay is how far the OSD is (cephlab.Options.Delay): a client's write then takes
// some 4 ms instead of 1.4, and the bench prints both.
//
// The lab's own OSD is on the loopback, has one copy of everything and a file for its
// disk. It answers sooner than any that a site has, and so a client is never kept
// waiting that asks, waits for the answer and asks again, as `rbd trash purge` does. A
// site's OSD is a network away, and asks its peers over it before it answers. What is
// not held back: answers, and what goes to the monitor, for which a second's commits
// count anyway. The start of the rbd process is in its time, some hundredths of it.
const farDelay = 2 * time.Millisecond

// far is a collection on a Ceph that is far.
type far struct {
	// write is a client's median write.
	write   time.Duration
	collect neighbour // but what others have of it
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
	return b.collects(ctx, p, &f.collect)
}

// clientWrite is how long a client's write takes, in the middle.
func (b *bench) clientWrite(ctx context.Context, quiet time.Duration) (_ time.Duration, err error) {
	remove, err := b.clientImageOf()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t, err := b.besideClient(ctx, quiet)
	if err != nil {
		return 0, err
	}
	return median(t.quiet), nil
}
