package api_test

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"sync"
	"time"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// custody is a custody log in memory whose chain can be broken.
type custody struct {
	mu      sync.Mutex
	entries []quarantine.Entry
	fault   error // of Entries and Verify
}

func (c *custody) Append(_ context.Context, e quarantine.Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, e)
	return nil
}

func (c *custody) Entries(_ context.Context, disk string) ([]quarantine.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []quarantine.Entry
	for _, e := range c.entries {
		if e.Disk == disk {
			out = append(out, e)
		}
	}
	return out, c.fault
}

func (c *custody) Verify(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// done are the entries of acts that were begun.
func (c *custody) done() []quarantine.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []quarantine.Entry
	for _, e := range c.entries {
		if e.Outcome != quarantine.OutcomeRefused {
			out = append(out, e)
		}
	}
	return out
}

// last is the entry written last.
func (c *custody) last() quarantine.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) == 0 {
		return quarantine.Entry{}
	}
	return c.entries[len(c.entries)-1]
}

// jobs notes the runs. There are collect and, always running, guard.
type jobs struct {
	mu   sync.Mutex
	runs []string
}

func (j *jobs) RunJob(_ context.Context, actor, name string, o quarantine.JobOptions) (quarantine.Report, error) {
	switch name {
	case quarantine.JobCollect:
		j.mu.Lock()
		defer j.mu.Unlock()
		j.runs = append(j.runs, fmt.Sprintf("%s by %s, dry run %t, clock confirmed %t", name, actor, o.DryRun, o.ConfirmClock))
		return quarantine.Report{Job: name, Actor: actor, DryRun: o.DryRun}, nil
	case quarantine.JobGuard:
		return quarantine.Report{}, fmt.Errorf("job %s is running already: %w", name, quarantine.ErrBusy)
	}
	return quarantine.Report{}, fmt.Errorf("job %q: %w", name, quarantine.ErrNotFound)
}

func (j *jobs) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.runs...)
}

type doctor struct{}

func (doctor) Doctor(context.Context) ([]quarantine.Finding, error) {
	return []quarantine.Finding{{Severity: quarantine.SeverityOK, Subject: "patient", Problem: "none"}}, nil
}

// guards is what the daemon does with names of pools.
type guards struct {
	keeper   *quarantine.GuardKeeper
	clusters quarantine.Clusters
}

func (g guards) Guard(ctx context.Context, pool string) (quarantine.GuardStatus, error) {
	p, err := quarantine.FindPool(g.clusters, pool)
	if err != nil {
		return quarantine.GuardStatus{}, err
	}
	return g.keeper.Check(ctx, p, false)
}

func (g guards) SetGuard(ctx context.Context, actor, pool string, on bool, reason string) (quarantine.GuardStatus, error) {
	p, err := quarantine.FindPool(g.clusters, pool)
	if err != nil {
		return quarantine.GuardStatus{}, err
	}
	return g.keeper.Set(ctx, actor, p, on, reason)
}

type explainer struct {
	*policy.Store
	clusters quarantine.Clusters
}

func (e explainer) Facts(d quarantine.Disk) quarantine.Facts {
	return quarantine.FactsOf(d, quarantine.Pool{PoolRef: d.Key.PoolRef()})
}

// blind observes nothing.
type blind struct{}

func (blind) Moved(*quarantine.Disk, quarantine.State) {}
func (blind) Captured(time.Duration)                   {}
func (blind) CustodyFailed()                           {}

// recorder is a Recorder made of a function.
type recorder func(ctx context.Context, ds []quarantine.Deletion) error

func (r recorder) Record(ctx context.Context, ds []quarantine.Deletion) error { return r(ctx, ds) }

// exporter is an Exporter made of a function.
type exporter func(ctx context.Context, id string, sink quarantine.ExportSink) (string, error)

func (e exporter) Export(ctx context.Context, _, id, _ string, sink quarantine.ExportSink) (string, error) {
	return e(ctx, id, sink)
}

// restorer is a Restorer made of a function.
type restorer func(ctx context.Context, id string, progress quarantine.Progress) (quarantine.Disk, error)

func (r restorer) Clone(ctx context.Context, _, id string, _ quarantine.PoolRef, _ string, _ bool, _ string, progress quarantine.Progress) (quarantine.Disk, error) {
	return r(ctx, id, progress)
}

func (r restorer) InPlace(ctx context.Context, _, id, _ string) (quarantine.Disk, error) {
	return r(ctx, id, nil)
}

// disks is a catalog that cannot be read.
type noDisks struct{ err error }

func (n noDisks) FindDisks(context.Context, quarantine.DiskFilter) ([]quarantine.Disk, error) {
	return nil, n.err
}
func (n noDisks) CountDisks(context.Context, quarantine.DiskFilter, int) (int64, error) {
	return 0, n.err
}

// jobFunc is a job made of a function.
type jobFunc func(ctx context.Context) (quarantine.Report, error)

func (f jobFunc) RunJob(ctx context.Context, _, _ string, _ quarantine.JobOptions) (quarantine.Report, error) {
	return f(ctx)
}

// withTrace notes whether the request's connection was used before.
func withTrace(ctx context.Context, reused *bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { *reused = c.Reused }})
}
