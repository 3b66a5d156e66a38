package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"quarantine/integration/service"
	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// question is one of the documented filters of `list`, with a value that changes.
type question struct {
	name  string
	query func(h history, r *rand.Rand) client.Query
}

// someDisk is a disk of the history that is explained.
func someDisk(h history, r *rand.Rand) quarantine.Disk {
	for {
		if d := h.at(r.IntN(h.n)); d.Deletion != nil {
			return d
		}
	}
}

func questions() []question {
	held := true
	on := func(edit func(q *client.Query, d quarantine.Disk)) func(history, *rand.Rand) client.Query {
		return func(h history, r *rand.Rand) client.Query {
			var q client.Query
			edit(&q, someDisk(h, r))
			return q
		}
	}
	state := func(states ...quarantine.State) func(history, *rand.Rand) client.Query {
		return on(func(q *client.Query, _ quarantine.Disk) { q.States = states })
	}
	return []question{
		{"none", on(func(*client.Query, quarantine.Disk) {})},
		{"state", state(quarantine.Quarantined)},
		{"states", state(quarantine.Pending, quarantine.Quarantined, quarantine.Expiring, quarantine.Purging, quarantine.Restoring)},
		{"state purged", state(quarantine.Purged)},
		{"pool", on(func(q *client.Query, d quarantine.Disk) { q.Pool = d.Key.Pool })},
		{"cloud", on(func(q *client.Query, _ quarantine.Disk) { q.Cloud = cloudName })},
		{"project", on(func(q *client.Query, d quarantine.Disk) { q.Project = d.Deletion.Project.Name })},
		{"largest project", on(func(q *client.Query, _ quarantine.Disk) { q.Project = "project-0" })},
		{"user", on(func(q *client.Query, d quarantine.Disk) { q.User = d.Deletion.User.ID })},
		{"vm", on(func(q *client.Query, d quarantine.Disk) { q.VM = d.Deletion.ResourceID })},
		{"vm by name", on(func(q *client.Query, d quarantine.Disk) { q.VM = d.Deletion.ResourceName })},
		{"address", on(func(q *client.Query, d quarantine.Disk) { q.Address = d.Deletion.Addresses[0].IP })},
		{"mac", on(func(q *client.Query, d quarantine.Disk) { q.Address = d.Deletion.Addresses[0].MAC })},
		{"case", on(func(q *client.Query, _ quarantine.Disk) { q.CaseID = "CASE-7" })},
		{"name", on(func(q *client.Query, d quarantine.Disk) { q.Name = d.OriginalName })},
		{"name prefix", on(func(q *client.Query, d quarantine.Disk) { q.NamePrefix = d.Deletion.ResourceID })},
		{"held", on(func(q *client.Query, _ quarantine.Disk) { q.Held = &held })},
		{"unexplained", on(func(q *client.Query, _ quarantine.Disk) { q.Unexplained = true })},
		{"from", on(func(q *client.Query, d quarantine.Disk) { q.From = d.DeletedAt })},
		{"to", on(func(q *client.Query, d quarantine.Disk) { q.To = d.DeletedAt })},
		{"newest first", on(func(q *client.Query, _ quarantine.Disk) { q.Desc = true })},
		{"by retain_until", on(func(q *client.Query, _ quarantine.Disk) {
			q.States, q.Sort = []quarantine.State{quarantine.Quarantined}, "retain_until"
		})},
		{"address at a time", on(func(q *client.Query, d quarantine.Disk) {
			q.Address, q.From = d.Deletion.Addresses[0].IP, d.DeletedAt.Add(-time.Hour)
		})},
		{"project and state", on(func(q *client.Query, d quarantine.Disk) {
			q.Project, q.States = d.Deletion.Project.Name, []quarantine.State{quarantine.Quarantined}
		})},
	}
}

// asked is how long the answers to one question took, and how long one kept the
// daemon's processors busy, which does not depend on what else the machine does.
type asked struct {
	name          string
	p50, p99, cpu time.Duration
}

// ask asks each question times, one after the other.
func ask(ctx context.Context, d *service.Daemon, h history, times int, now quarantine.Clock) ([]asked, error) {
	var all []asked
	for _, q := range questions() {
		busy, err := cpuTime(d.PID)
		if err != nil {
			return nil, err
		}
		r := rand.New(rand.NewPCG(2, 3))
		took := make([]time.Duration, 0, times)
		for range times {
			query := q.query(h, r)
			began := now()
			page, err := d.Client.DiskPage(ctx, query, 0, 0)
			if err != nil {
				return nil, fmt.Errorf("list by %s: %w", q.name, err)
			}
			took = append(took, now().Sub(began))
			if len(page.Disks) == 0 {
				return nil, fmt.Errorf("list by %s: no disk has %+v", q.name, query)
			}
		}
		after, err := cpuTime(d.PID)
		if err != nil {
			return nil, err
		}
		slices.Sort(took)
		all = append(all, asked{q.name, took[len(took)/2], took[(len(took)*99)/100], (after - busy) / time.Duration(times)})
	}
	return all, nil
}

// planned runs a collection that does nothing, and returns how long it took.
func planned(ctx context.Context, c *client.Client, now quarantine.Clock) (time.Duration, int, error) {
	began := now()
	rep, err := c.RunJob(ctx, quarantine.JobCollect, wire.JobRequest{DryRun: true})
	if err != nil {
		return 0, 0, fmt.Errorf("plan a collection: %w", err)
	}
	if rep.Stopped != "" {
		return 0, 0, fmt.Errorf("plan a collection: %s", rep.Stopped)
	}
	return now().Sub(began), len(rep.Items), nil
}

// reconciled runs the reconciler, which must have nothing to do.
func reconciled(ctx context.Context, c *client.Client, now quarantine.Clock) (time.Duration, error) {
	began := now()
	rep, err := c.RunJob(ctx, quarantine.JobReconcile, wire.JobRequest{DryRun: true})
	if err != nil {
		return 0, fmt.Errorf("reconcile: %w", err)
	}
	if rep.Stopped != "" || len(rep.Items) > 0 {
		return 0, fmt.Errorf("reconcile: %d acts, stopped: %q", len(rep.Items), rep.Stopped)
	}
	return now().Sub(began), nil
}

// simulated decides about all disks anew.
func simulated(ctx context.Context, c *client.Client, h history, now quarantine.Clock) (time.Duration, error) {
	began := now()
	sim, err := c.Simulate(ctx, wire.SimulateRequest{Policies: []policy.File{{Name: "then.yaml", Text: policyThen}}, Changes: 100, From: h.now.Add(-died)})
	if err != nil {
		return 0, fmt.Errorf("simulate a policy: %w", err)
	}
	if sim.Disks != int64(h.n) || sim.Shorter == 0 || sim.Longer == 0 {
		return 0, fmt.Errorf("simulate a policy: of %d disks %d are kept shorter and %d longer", sim.Disks, sim.Shorter, sim.Longer)
	}
	return now().Sub(began), nil
}
