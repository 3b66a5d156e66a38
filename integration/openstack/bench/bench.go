package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/quarantine"
)

// plan is how much is measured.
type plan struct {
	// rounds each side has; in each, servers are deleted at once and volumes one
	// after the other.
	rounds, servers, volumes int
	// raced are the servers, and the volumes, that are seized.
	raced int
}

var (
	full  = plan{rounds: 4, servers: 5, volumes: 6, raced: 10}
	quick = plan{rounds: 1, servers: 2, volumes: 2, raced: 2}
	// warmUp is dropped: it fills the caches of the cloud's programs.
	warmUp = plan{servers: 2, volumes: 2}
)

// bench is everything that a round needs.
type bench struct {
	lab     *openstacklab.Lab
	user    *openstacklab.Session
	product *product
	plan    plan
	now     quarantine.Clock
	out     io.Writer
	failed  bool
}

func newBench(ctx context.Context, lab *openstacklab.Lab, o options, now quarantine.Clock, out io.Writer) (*bench, error) {
	user, err := lab.As(ctx, openstacklab.Alice())
	if err != nil {
		return nil, err
	}
	p, err := newProduct(lab, o.bin)
	if err != nil {
		return nil, err
	}
	b := &bench{lab: lab, user: user, product: p, plan: full, now: now, out: out}
	if o.quick {
		b.plan = quick
	}
	return b, nil
}

// close leaves the lab as it was: guarded.
func (b *bench) close(ctx context.Context) error {
	return errors.Join(b.product.close(b.failed), b.guard(ctx, true))
}

// guard switches the guards of the pools of servers and volumes.
func (b *bench) guard(ctx context.Context, on bool) error {
	pools := b.lab.Pools()
	return errors.Join(b.lab.Guard(ctx, pools.VMs, on), b.lab.Guard(ctx, pools.Volumes, on))
}

// all measures everything.
func (b *bench) all(ctx context.Context) (_ *results, err error) {
	defer func() { b.failed = err != nil }()
	res := &results{}
	for _, with := range []bool{false, true} {
		if err := b.round(ctx, warmUp, with, &results{}); err != nil {
			return nil, fmt.Errorf("warm up: %w", err)
		}
	}
	for i := range b.plan.rounds {
		withFirst := i%2 == 1
		for _, with := range []bool{withFirst, !withFirst} {
			if err := b.round(ctx, b.plan, with, res); err != nil {
				return nil, fmt.Errorf("round %d, with the service %v: %w", i+1, with, err)
			}
		}
	}
	if err := b.race(ctx, res); err != nil {
		return nil, fmt.Errorf("seize: %w", err)
	}
	return res, nil
}

// round deletes fresh servers and volumes, with the service or without it.
func (b *bench) round(ctx context.Context, p plan, with bool, res *results) error {
	if err := errors.Join(b.product.stop(), b.guard(ctx, with)); err != nil {
		return err
	}
	to := &res.without
	if with {
		to = &res.with
		if err := b.product.start(ctx, true); err != nil {
			return err
		}
	}
	servers, err := b.boot(ctx, p.servers)
	if err != nil {
		return err
	}
	volumes, err := b.makeVolumes(ctx, p.volumes)
	if err != nil {
		return err
	}
	from := b.now().UTC().Truncate(time.Second)
	took, err := b.deleteServers(ctx, servers)
	if err != nil {
		return err
	}
	to.servers = append(to.servers, took...)
	tookVolumes, err := b.deleteVolumes(ctx, volumes)
	if err != nil {
		return err
	}
	to.volumes = append(to.volumes, tookVolumes...)
	fmt.Fprintf(b.out, "with the service %-5v  servers %s  volumes %s\n", with, times(took).median().Round(time.Millisecond), times(tookVolumes).median().Round(time.Millisecond))
	if !with {
		return nil
	}
	// The trash counts whole seconds.
	if err := b.settle(ctx, from, expectedDisks(servers, volumes)); err != nil {
		return err
	}
	captured, missing, err := b.product.coverage(ctx, from, b.now().Add(time.Second))
	res.captured, res.missing = res.captured+captured, res.missing+missing
	return err
}

// settleTime is how long the service may take to have all in quarantine.
const settleTime = 2 * time.Minute

// settle waits until the disks are in quarantine, or the time is over: what is
// not there then, the coverage shows.
func (b *bench) settle(ctx context.Context, since time.Time, names []string) error {
	deadline := b.now().Add(settleTime)
	return poll(ctx, slow, func() (bool, error) {
		states, err := b.product.states(ctx, since)
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if states[name] != string(quarantine.Quarantined) && b.now().Before(deadline) {
				return false, nil
			}
		}
		return true, nil
	})
}

// race has the service seize.
func (b *bench) race(ctx context.Context, res *results) error {
	if err := errors.Join(b.product.stop(), b.guard(ctx, false), b.product.start(ctx, false)); err != nil {
		return err
	}
	servers, err := b.boot(ctx, b.plan.raced)
	if err != nil {
		return err
	}
	if err := b.stopServers(ctx, servers[:len(servers)/2]); err != nil {
		return err
	}
	volumes, err := b.makeVolumes(ctx, b.plan.raced)
	if err != nil {
		return err
	}
	// What is live is seen, so that none can go in silence.
	if err := b.product.job(ctx, quarantine.JobReconcile); err != nil {
		return err
	}
	since := b.now().UTC().Add(-time.Second).Truncate(time.Second)
	if _, err := b.deleteServers(ctx, servers); err != nil {
		return err
	}
	if _, err := b.deleteVolumes(ctx, volumes); err != nil {
		return err
	}
	return errors.Join(
		b.count(ctx, since, expectedDisks(servers, nil), &res.nova),
		b.count(ctx, since, expectedDisks(nil, volumes), &res.cinder))
}

var errSilent = errors.New("nothing is said of disks that are gone")

// count waits until of every disk it is said what became of it, and counts.
func (b *bench) count(ctx context.Context, since time.Time, names []string, r *race) error {
	deadline := b.now().Add(settleTime)
	return poll(ctx, slow, func() (bool, error) {
		if err := b.product.job(ctx, quarantine.JobReconcile); err != nil {
			return false, err
		}
		states, err := b.product.states(ctx, since)
		if err != nil {
			return false, err
		}
		*r = race{}
		var silent []string
		for _, name := range names {
			switch states[name] {
			case string(quarantine.Quarantined):
				r.won++
			case string(quarantine.Lost):
				r.lost++
			default:
				silent = append(silent, name)
			}
		}
		if len(silent) > 0 && b.now().After(deadline) {
			return false, fmt.Errorf("%w: %q", errSilent, silent)
		}
		return len(silent) == 0, nil
	})
}
