package main

import (
	"fmt"
	"net/http"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func guardStatuses() []quarantine.GuardStatus {
	const decade = 10 * 365 * 24 * time.Hour
	on := quarantine.GuardSetting{On: true, Expire: decade}
	return []quarantine.GuardStatus{
		{Pool: quarantine.Pool{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: "vms"}, Cluster: "main", Cloud: "prod", Guarded: true, Protect: decade},
			Setting: on, CheckedAt: at("2026-11-20T07:55:00Z"), CanaryAt: at("2026-11-20T07:55:00Z")},
		{Pool: quarantine.Pool{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: "volumes"}, Cluster: "main", Cloud: "prod", Guarded: true, Protect: decade},
			CheckedAt: at("2026-11-20T07:55:00Z"), Fault: "rbd_move_to_trash_on_remove is not set on the pool: deleted disks are gone at once", Hint: "quarantinectl ceph guard on volumes"},
		{Pool: quarantine.Pool{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: "scratch"}, Cluster: "main", Cloud: "prod", Protect: decade}},
	}
}

func guardOf(pool string) (quarantine.GuardStatus, error) {
	for _, g := range guardStatuses() {
		if g.Pool.PoolRef.String() == pool {
			return g, nil
		}
	}
	return quarantine.GuardStatus{}, fmt.Errorf("pool %q is not in the configuration: %w", pool, quarantine.ErrNotFound)
}

func showGuard(w http.ResponseWriter, r *http.Request) {
	if pool := r.URL.Query().Get("pool"); pool != "" {
		reply(w)(guardOf(pool))
		return
	}
	reply(w)(guardStatuses(), nil)
}

// setGuard switches the guard; that of volumes does not hold afterwards.
func setGuard(w http.ResponseWriter, r *http.Request) {
	g, err := guardOf(r.URL.Query().Get("pool"))
	var in wire.GuardRequest
	if err == nil {
		err = decode(r, &in)
	}
	g.Setting = quarantine.GuardSetting{On: in.On}
	switch {
	case !in.On:
		g.Fault, g.Hint = "rbd_move_to_trash_on_remove is not set on the pool: deleted disks are gone at once", "quarantinectl ceph guard on "+g.Pool.PoolRef.String()
	case g.Pool.Pool == "volumes":
		g.Fault = "the canary was removed and is not in the trash: the guard does not work although its option is set"
	}
	reply(w)(g, err)
}

// runJob: collect expires one disk and fails at another, reconcile has nothing
// to do, guard is running already. A confirmed clock stops collect.
func runJob(w http.ResponseWriter, r *http.Request) {
	var in wire.JobRequest
	if err := decode(r, &in); err != nil {
		refuse(w, wire.ProblemOf(err))
		return
	}
	rep := quarantine.Report{Job: r.PathValue("job"), DryRun: in.DryRun, Actor: "ops", StartedAt: at("2026-11-20T08:00:00Z"), EndedAt: at("2026-11-20T08:00:01Z"), Items: []quarantine.ReportItem{}}
	switch rep.Job {
	case quarantine.JobCollect:
		rep.Items = []quarantine.ReportItem{
			{Disk: webID, Pool: "vms", Name: "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3_disk", Act: "expire", Reason: "its time was over on 2026-11-19T14:05:02Z"},
			{Disk: strayID, Pool: "vms/ns1", Name: "tmp-\x1b[31mbuild", Act: "purge", Bytes: 4 << 20},
		}
		if !in.DryRun {
			rep.Items = append(rep.Items, quarantine.ReportItem{Disk: dataID, Pool: "volumes", Name: "volume-0d9c8b7a", Act: "purge", Bytes: 1536 << 20, Error: "unseal: busy: 1 watcher"})
		}
		if in.ConfirmClock {
			rep.Stopped = "the policy on disk does not load"
		}
	case quarantine.JobGuard:
		refuse(w, wire.ProblemOf(fmt.Errorf("job guard is running already: %w", quarantine.ErrBusy)))
		return
	}
	reply(w)(rep, nil)
}

func rebuilt() quarantine.Report {
	return quarantine.Report{Job: "rebuild", Actor: "boss", StartedAt: at("2026-11-20T08:00:00Z"), EndedAt: at("2026-11-20T08:00:05Z"),
		Items: []quarantine.ReportItem{{Disk: webID, Pool: "vms", Name: "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3_disk", Act: "adopt", Reason: "from its record"}}}
}

func explainDisk(w http.ResponseWriter, r *http.Request) {
	d, err := find(r.PathValue("id"))
	reply(w)(wire.Explanation{
		Disk:     d.Disk,
		Recorded: quarantine.Decision{Retain: 14 * 24 * time.Hour, Rule: "default", PolicyHash: "c0ffee", Reason: "no rule matched; default of default.yaml"},
		Now: quarantine.Decision{Retain: 90 * 24 * time.Hour, Rule: "watched", PolicyHash: "decaf0", Reason: `rule "watched" of watched.yaml: in_cidr(addresses[0], "192.0.2.0/24")`,
			Hold: &quarantine.PolicyHold{CaseID: "CERT-17", Reason: "under investigation"}},
		Trace: []policy.RuleTrace{
			{Rule: "short-lived", File: "default.yaml", Match: "lifetime < duration(\"1h\")", Retain: "3d", Outcome: policy.Failed, Error: "no such key: created"},
			{Rule: "watched", File: "watched.yaml", Match: `in_cidr(addresses[0], "192.0.2.0/24")`, Retain: "90d", Outcome: policy.Matched},
			{Rule: "default", File: "default.yaml", Retain: "14d", Outcome: policy.NotTried},
		},
	}, err)
}

func status() wire.Status {
	return wire.Status{
		Version: "1.2.3", StartedAt: at("2026-11-17T00:00:00Z"), Now: at("2026-11-20T08:00:30Z"), Ready: false,
		Reasons: []string{"notifications of prod: not connected"},
		Totals: []quarantine.Total{
			{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: "vms"}, State: quarantine.Quarantined, Disks: 41, Bytes: 410 << 30, Used: 55 << 30},
			{PoolRef: quarantine.PoolRef{FSID: fsid, Pool: "volumes"}, State: quarantine.Quarantined, Disks: 1, Bytes: 1536 << 20},
		},
		Guards:    guardStatuses(),
		Jobs:      []quarantine.LastRun{{Job: quarantine.JobCollect, StartedAt: at("2026-11-20T07:00:00Z"), EndedAt: at("2026-11-20T07:00:09Z"), LastSuccess: at("2026-11-20T07:00:09Z"), Acts: 12}},
		Policy:    wire.PolicyStatus{Digest: "c0ffee00c0ffee00c0ffee00c0ffee00"},
		Requests:  []quarantine.Request{openRequest()},
		Listeners: []wire.Connection{{Name: "prod"}},
		Watches:   []wire.Connection{{Name: "vms", Up: true}},
	}
}

func doctorFindings() []quarantine.Finding {
	return []quarantine.Finding{
		{Severity: quarantine.SeverityOK, Subject: "cluster main", Problem: "HEALTH_OK"},
		{Severity: quarantine.SeverityFault, Subject: "pool volumes", Problem: "rbd_move_to_trash_on_remove is not set on the pool: deleted disks are gone at once", Hint: "quarantinectl ceph guard on volumes"},
		{Severity: quarantine.SeverityWarn, Subject: "ceph keys", Problem: "not checked: no audit key is configured", Hint: "ceph auth ls -f json | quarantinectl doctor --ceph-auth -"},
	}
}

// coverageOf: prod lost one disk of four and misses another, dev is whole, and
// bare has no API.
func coverageOf(cloud string) ([]quarantine.Coverage, error) {
	prod := quarantine.Coverage{
		Cloud: "prod", From: at("2026-11-19T08:00:00Z"), To: at("2026-11-20T08:00:00Z"), Deletions: 4, Captured: 2, Lost: 1, Missed: 1, Unexplained: 1,
		OrphansAt: at("2026-11-20T07:50:00Z"),
		Verdicts: []quarantine.Verdict{
			{Verdict: quarantine.VerdictMissed, Image: "volume-1", Pool: "volumes", At: at("2026-11-20T07:00:00Z"), Reason: "it was live at 2026-11-20T07:00:00Z, and was removed without going through the trash"},
			{Verdict: quarantine.VerdictLost, Image: "7e4d3a52_disk", Pool: "vms", At: at("2026-11-20T06:00:00Z"), Kind: quarantine.KindDelete, ResourceName: "web-\x1b[31m1", Reason: "it never arrived"},
			{Verdict: quarantine.VerdictUnexplained, Image: "tmp", Pool: "vms", At: at("2026-11-20T05:00:00Z"), Reason: "no event and no cloud tells whose it was"},
		},
	}
	dev := quarantine.Coverage{Cloud: "dev", From: prod.From, To: prod.To, Deletions: 99999, Captured: 99999, Verdicts: []quarantine.Verdict{}}
	switch cloud {
	case "":
		return []quarantine.Coverage{dev, prod}, nil
	case "prod":
		return []quarantine.Coverage{prod}, nil
	case "dev":
		return []quarantine.Coverage{dev}, nil
	case "almost":
		dev.Missed = 1
		return []quarantine.Coverage{dev}, nil
	case "none":
		return []quarantine.Coverage{}, nil
	}
	return nil, fmt.Errorf("cloud %q with an API: %w", cloud, quarantine.ErrNotFound)
}

// simulate: a policy that keeps half as much, of five disks; with no other policy
// than the one in force nothing changes.
func simulate(w http.ResponseWriter, r *http.Request) {
	var in wire.SimulateRequest
	if err := decode(r, &in); err != nil {
		reply(w)(nil, err)
		return
	}
	s := quarantine.Simulation{From: at("2026-11-17T00:00:00Z"), To: at("2026-11-20T00:00:00Z"), At: at("2026-11-20T00:00:00Z"), Disks: 5,
		Points: []quarantine.SimulationPoint{}, Moves: []quarantine.SimulatedMove{}, Changes: []quarantine.SimulatedChange{}}
	if !in.OnDisk && in.Policies[0].Name == "same.yaml" {
		reply(w)(s, nil)
		return
	}
	for day, disks := range [][2]int64{{0, 0}, {3, 3}, {5, 2}, {4, 5}} {
		s.Points = append(s.Points, quarantine.SimulationPoint{At: s.From.AddDate(0, 0, day),
			Now: quarantine.Kept{Disks: disks[0], Bytes: disks[0] << 40}, Then: quarantine.Kept{Disks: disks[1], Bytes: disks[1] << 40}})
	}
	s.Shorter, s.Longer, s.Holds = 3, 1, 1
	s.Gone, s.Still = quarantine.Kept{Disks: 2, Bytes: 2 << 40}, quarantine.Kept{Disks: 1, Bytes: 1 << 40}
	s.Moves = []quarantine.SimulatedMove{
		{Rule: "default", ThenRule: "short-lived", Kept: quarantine.Kept{Disks: 3, Bytes: 3 << 40}, Shorter: 3},
		{Rule: "default", ThenRule: "watched", Kept: quarantine.Kept{Disks: 1, Bytes: 1 << 40}, Longer: 1},
	}
	if in.Changes > 0 {
		s.Changes = []quarantine.SimulatedChange{
			{Disk: "3fa1c09be2d47a55", OriginalName: "web-\x1b[31m1_disk", Pool: "vms", State: quarantine.Quarantined, Project: "physics", SizeBytes: 1 << 40,
				Rule: "default", Until: at("2026-12-01T00:00:00Z"), ThenRule: "short-lived", ThenUntil: at("2026-11-20T12:00:00Z")},
			{Disk: "5b2d0c91f7e3a846", OriginalName: "volume-1", Pool: "volumes", State: quarantine.Quarantined, SizeBytes: 1 << 40,
				Rule: "default", Until: at("2026-12-01T00:00:00Z"), ThenRule: "watched"},
		}
	}
	reply(w)(s, nil)
}

func pauseCollect(w http.ResponseWriter, r *http.Request) {
	var in wire.PauseRequest
	err := decode(r, &in)
	reply(w)(quarantine.Pause{By: "otto", Reason: in.Reason, Since: at("2026-11-20T08:00:00Z"), Until: in.Until}, err)
}

// resumeCollect finds a pause only where the reason says so.
func resumeCollect(w http.ResponseWriter, r *http.Request) {
	var in wire.ReasonRequest
	err := decode(r, &in)
	if err == nil && in.Reason == "none" {
		err = fmt.Errorf("%w: removals are not paused", quarantine.ErrRefused)
	}
	reply(w)(struct{}{}, err)
}
