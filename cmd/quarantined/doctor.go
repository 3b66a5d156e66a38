package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// doctor looks for what an operator should mend. Its checks act on nothing.
type doctor struct {
	clusters quarantine.Clusters
	guard    *quarantine.GuardKeeper
	policy   quarantine.Policy
	custody  quarantine.CustodyReader
	disks    quarantine.Disks
	jobs     *jobs
	paused   func(context.Context) (*quarantine.Pause, error)
	clock    quarantine.Clock
	capacity *quarantine.Capacity
	// requests are those for acts that take two people, approvals how these are
	// configured.
	requests  quarantine.Requests
	approvals approvalsConfig
	cases     quarantine.CaseStore
	standing  quarantine.StandingStore
	// listeners reports the connections to the message buses, watches those to
	// the pools' trash: name → connected.
	listeners func() map[string]bool
	watches   func() map[string]bool
	// sealFault says why the seals cannot be watched, or "".
	sealFault func() string
	// audit reports the keys that could switch a guard off; nil where no audit
	// key is configured.
	audit func(ctx context.Context) ([]quarantine.Finding, error)
	// clouds looks at the clouds from outside.
	clouds func(ctx context.Context) ([]quarantine.Finding, error)
}

// staleAfter is how old the last successful run of a job may be.
func staleAfter(job string) time.Duration {
	switch job {
	case quarantine.JobGuard:
		return time.Hour
	case quarantine.JobReconcile, quarantine.JobClouds:
		return 6 * time.Hour
	}
	return 48 * time.Hour
}

// Doctor returns one finding for each thing that was looked at.
func (d *doctor) Doctor(ctx context.Context) ([]quarantine.Finding, error) {
	var all []quarantine.Finding
	for _, check := range []func(context.Context) ([]quarantine.Finding, error){
		d.ceph, d.guards, d.policies, d.custodyLog, d.pause, d.room, d.twoPeople, d.holds, d.lastRuns, d.connections, d.clouds, d.lost, d.seals, d.keys,
	} {
		found, err := check(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func ok(subject, what string) quarantine.Finding {
	return quarantine.Finding{Severity: quarantine.SeverityOK, Subject: subject, Problem: what}
}

func warn(subject, problem, hint string) quarantine.Finding {
	return quarantine.Finding{Severity: quarantine.SeverityWarn, Subject: subject, Problem: problem, Hint: hint}
}

func fault(subject, problem, hint string) quarantine.Finding {
	return quarantine.Finding{Severity: quarantine.SeverityFault, Subject: subject, Problem: problem, Hint: hint}
}

func (d *doctor) ceph(ctx context.Context) ([]quarantine.Finding, error) {
	var out []quarantine.Finding
	asked := map[string]bool{}
	for _, p := range d.clusters.Pools() {
		if asked[p.FSID] {
			continue
		}
		asked[p.FSID] = true
		subject := "cluster " + p.Cluster
		h, err := d.clusters.Health(ctx, p.FSID)
		switch {
		case err != nil:
			out = append(out, fault(subject, "it does not answer: "+err.Error(), "ceph -s"))
		case h.Status == "HEALTH_ERR":
			out = append(out, fault(subject, fmt.Sprintf("%s %v: nothing is removed meanwhile", h.Status, h.Checks), "ceph health detail"))
		case h.Status == "HEALTH_WARN":
			out = append(out, warn(subject, fmt.Sprintf("%s %v", h.Status, h.Checks), "ceph health detail"))
		default:
			out = append(out, ok(subject, h.Status))
		}
	}
	return out, nil
}

// guards reads the settings of every pool now; the canary is the last one.
func (d *doctor) guards(ctx context.Context) ([]quarantine.Finding, error) {
	var out []quarantine.Finding
	for _, p := range d.clusters.Pools() {
		subject := "pool " + p.PoolRef.String()
		if !p.Guarded {
			out = append(out, warn(subject, "it has no guard: disks are seized in a race with the cloud", "set guard: true for it and run quarantinectl ceph guard on "+p.PoolRef.String()))
			continue
		}
		st, err := d.guard.Check(ctx, p, false)
		switch {
		case err != nil:
			out = append(out, fault(subject, "its guard cannot be read: "+err.Error(), "ceph -s"))
		case st.Fault != "":
			out = append(out, fault(subject, st.Fault, st.Hint))
		case st.CanaryAt.IsZero():
			out = append(out, warn(subject, "no canary was let go yet", "quarantinectl run guard"))
		default:
			out = append(out, ok(subject, "guarded; canary found "+st.CanaryAt.Format(time.RFC3339)))
		}
	}
	return out, nil
}

func (d *doctor) policies(context.Context) ([]quarantine.Finding, error) {
	if err := d.policy.Ready(); errors.Is(err, quarantine.ErrRefused) {
		return []quarantine.Finding{fault("policy", "the old policy is in force, and nothing is removed: "+err.Error(), "quarantinectl policy locks")}, nil
	} else if err != nil {
		return []quarantine.Finding{fault("policy", "the old policy is in force, and nothing is removed: "+err.Error(), "quarantinectl policy check PATH")}, nil
	}
	return []quarantine.Finding{ok("policy", "in force")}, nil
}

func (d *doctor) custodyLog(ctx context.Context) ([]quarantine.Finding, error) {
	if err := d.custody.Verify(ctx); err != nil {
		return []quarantine.Finding{fault("custody log", err.Error(), "keep the file as it is, and compare it with your copies")}, nil
	}
	return []quarantine.Finding{ok("custody log", "its chain holds")}, nil
}

// pause tells that nothing is removed because somebody wants it so: a pause that
// is forgotten fills the pools.
func (d *doctor) pause(ctx context.Context) ([]quarantine.Finding, error) {
	p, err := d.paused(ctx)
	switch {
	case err != nil:
		return []quarantine.Finding{fault("removals", "they stop: "+err.Error(), "quarantinectl collect pause, then resume")}, nil
	case p != nil:
		return []quarantine.Finding{warn("removals", "paused by "+p.By+" since "+p.Since.UTC().Format(time.RFC3339)+": "+p.Reason, "quarantinectl collect resume")}, nil
	}
	return []quarantine.Finding{ok("removals", "not paused")}, nil
}

func (d *doctor) lastRuns(ctx context.Context) ([]quarantine.Finding, error) {
	runs, err := d.jobs.LastRuns(ctx)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Finding
	now := d.clock()
	for _, r := range runs {
		subject, hint := "job "+r.Job, "quarantinectl run "+r.Job
		switch {
		case r.EndedAt.IsZero():
			out = append(out, warn(subject, "it has not run yet", hint))
		case r.Stopped != "":
			out = append(out, fault(subject, "its last run stopped: "+r.Stopped, hint+" --dry-run"))
		case r.Failed > 0:
			out = append(out, warn(subject, fmt.Sprintf("%d of %d acts of its last run failed", r.Failed, r.Acts), hint+" --dry-run"))
		case now.Sub(r.LastSuccess) > staleAfter(r.Job):
			out = append(out, warn(subject, "its last success was "+r.LastSuccess.UTC().Format(time.RFC3339), hint))
		default:
			out = append(out, ok(subject, "last success "+r.LastSuccess.UTC().Format(time.RFC3339)))
		}
	}
	return out, nil
}

func (d *doctor) connections(context.Context) ([]quarantine.Finding, error) {
	var out []quarantine.Finding
	for name, up := range d.listeners() {
		if up {
			out = append(out, ok("notifications of "+name, "connected"))
		} else {
			out = append(out, fault("notifications of "+name, "the message bus is not connected: disks are kept, but without names", "look at the daemon's log for the reason"))
		}
	}
	for name, up := range d.watches() {
		if !up {
			out = append(out, warn("watch of "+name, "not established: new disks are found by reconcile only", "look at the daemon's log for the reason"))
		}
	}
	return out, nil
}

// lost warns of disks that a deletion destroyed and nobody has.
func (d *doctor) lost(ctx context.Context) ([]quarantine.Finding, error) {
	disks, err := d.disks.FindDisks(ctx, quarantine.DiskFilter{States: []quarantine.State{quarantine.Lost}, Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("find the lost disks: %w", err)
	}
	if len(disks) == 0 {
		return []quarantine.Finding{ok("disks", "none is lost")}, nil
	}
	return []quarantine.Finding{fault("disks", fmt.Sprintf("%d are lost, e.g. %s", len(disks), disks[0].OriginalName), "quarantinectl list --state lost")}, nil
}

// seals warns of disks whose seal was off once, because somebody else had broken it or
// because a purge was stopped: what they show was perhaps altered.
func (d *doctor) seals(ctx context.Context) ([]quarantine.Finding, error) {
	var out []quarantine.Finding
	if why := d.sealFault(); why != "" {
		out = append(out, fault("watch of the seals", why, "ceph -s"))
	}
	broken, err := d.disks.FindDisks(ctx, quarantine.DiskFilter{
		SealBroken: true, States: []quarantine.State{quarantine.Quarantined, quarantine.Expiring}, Limit: 1000,
	})
	if err != nil {
		return nil, fmt.Errorf("find the broken seals: %w", err)
	}
	if len(broken) > 0 {
		return append(out, fault("seals", fmt.Sprintf("%d were off once, e.g. of disk %s", len(broken), broken[0].ID),
			"quarantinectl show "+broken[0].ID+" says when; if the custody log has seal-lost of it, find who holds the cloud's Ceph key")), nil
	}
	return append(out, ok("seals", "none is broken")), nil
}

func (d *doctor) keys(ctx context.Context) ([]quarantine.Finding, error) {
	if d.audit == nil {
		return []quarantine.Finding{warn("ceph keys", "not checked: no audit key is configured", "ceph auth ls -f json | quarantinectl doctor --ceph-auth -")}, nil
	}
	found, err := d.audit(ctx)
	if errors.Is(err, quarantine.ErrUnavailable) {
		return []quarantine.Finding{fault("ceph keys", "cannot be read: "+err.Error(), "look at clusters[].audit in the configuration")}, nil
	}
	return found, err
}
