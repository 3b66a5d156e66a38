package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"quarantine/internal/catalog"
	"quarantine/internal/ceph"
	"quarantine/internal/custody"
	"quarantine/internal/metrics"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// daemon is everything, wired.
type daemon struct {
	cfg       *config
	log       *slog.Logger
	clock     quarantine.Clock
	startedAt time.Time

	registry *ceph.Registry
	catalog  *catalog.Catalog
	custody  *custody.Log
	policies *policy.Store
	jobs     *jobs
	services services
	watches  []*ceph.TrashWatch
	buses    []bus
	events   []events
	// listMe asks for a look at everything: something may have been missed.
	listMe chan struct{}
	apis   []cloudAPI

	components []component
	// closers are called in reverse order.
	closers []func() error
}

// services are the domain's parts. Only collector can remove.
type services struct {
	recorder   *quarantine.Recorder
	adopter    *quarantine.Adopter
	applier    *quarantine.PolicyApplier
	holds      *quarantine.Holds
	restorer   *quarantine.Restorer
	clouder    *quarantine.CloudRestorer
	exporter   *quarantine.Exporter
	reconciler *quarantine.Reconciler
	guard      *quarantine.GuardKeeper
	seals      *quarantine.SealWatch
	flattener  *quarantine.Flattener
	isolator   *quarantine.Isolator
	intake     *quarantine.Intake
	inquirer   *quarantine.Inquirer
	collector  *quarantine.Collector
	approvals  *quarantine.Approvals
	cases      *quarantine.Cases
	standing   *quarantine.StandingHolds
	capacity   *quarantine.Capacity
	doctor     *doctor
	checker    *quarantine.Checker
}

// sealsAtOnce is how many seals a run of reconcile looks at, by opening their
// images: with the default schedule, four runs an hour, 190,000 a day.
const sealsAtOnce = 2000

// A check reads only, and few images at once, to be no burden. What no run of
// reconcile has adopted after an hour, by default the fourth, none will.
const (
	checkWorkers = 8
	checkSettle  = time.Hour
)

// build connects to everything and wires it. On error nothing stays open.
func build(ctx context.Context, cfg *config, log *slog.Logger, s seams) (_ *daemon, err error) {
	d := &daemon{cfg: cfg, log: log, clock: s.clock, startedAt: s.clock().UTC(), listMe: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	if d.policies, err = policy.NewStore(ctx, cfg.Policies); err != nil {
		return nil, fmt.Errorf("load the policies: %w", err)
	}
	if d.custody, err = custody.Open(cfg.Custody, log.With("component", "custody"), s.clock); err != nil {
		return nil, fmt.Errorf("open the custody log: %w", err)
	}
	d.closers = append(d.closers, d.custody.Close)
	if d.catalog, err = catalog.Open(ctx, cfg.Catalog, catalog.Options{}, log.With("component", "catalog")); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	d.closers = append(d.closers, d.catalog.Close)
	if err := d.policies.Keep(ctx, policy.Keeping{Custody: d.custody, History: d.custody, Marks: d.catalog, Clock: s.clock}); err != nil {
		// The one that was in force decides, where that is known.
		log.Error("the policies are not in force as they are on disk, and nothing is removed", "error", err)
	}
	if err := d.connect(ctx, s.steps); err != nil {
		return nil, err
	}
	if err := d.wireClouds(); err != nil {
		return nil, err
	}
	m := d.newMetrics()
	d.wireDomain(m, s.steps)
	// Before anything is adopted: a catalog that was lost must hold as before.
	if err := d.restoreHolds(ctx); err != nil {
		return nil, err
	}
	if err := d.wireBuses(m); err != nil {
		return nil, err
	}
	if err := d.wireServer(m, s.ready); err != nil {
		return nil, err
	}
	return d, nil
}

// connect connects to all clusters.
func (d *daemon) connect(ctx context.Context, steps quarantine.Steps) error {
	var clusters []*ceph.Cluster
	closeAll := func() error {
		var errs []error
		for _, c := range clusters {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	d.closers = append(d.closers, closeAll)
	for _, cc := range d.cfg.Clusters {
		c, err := ceph.Connect(ctx, ceph.ClusterConfig{
			Name: cc.Name, Conf: cc.Conf, User: cc.User, Keyring: cc.Keyring,
			OpTimeout: cc.OpTimeout.Duration, Workers: cc.Workers, Pools: cc.pools(), Clock: d.clock, Steps: steps,
		})
		if err != nil {
			return err
		}
		clusters = append(clusters, c)
	}
	var err error
	d.registry, err = ceph.NewRegistry(clusters...)
	return err
}

// pools translates the configuration's pools.
func (cc *clusterConfig) pools() []quarantine.Pool {
	var out []quarantine.Pool
	for _, p := range cc.Pools {
		out = append(out, quarantine.Pool{
			PoolRef: quarantine.PoolRef{Pool: p.Name, Namespace: p.Namespace},
			Cloud:   p.Cloud, Guarded: p.Guard == nil || *p.Guard, Protect: cc.Protect.Duration,
		})
	}
	if e := cc.Evidence; e != nil {
		out = append(out, quarantine.Pool{PoolRef: quarantine.PoolRef{Pool: e.Pool, Namespace: e.Namespace}, Guarded: true, Evidence: true, Protect: cc.Protect.Duration})
	}
	return out
}

// wireDomain makes the services, the watches and the cron.
func (d *daemon) wireDomain(obs *metrics.Metrics, steps quarantine.Steps) {
	log := d.log.With("component", "quarantine")
	ledger := quarantine.NewLedger(quarantine.LedgerConfig{
		Disks: d.catalog, Images: d.registry, Custody: d.custody, History: d.custody, Clock: d.clock, Log: log, Observer: obs, Steps: steps, Standing: d.catalog,
	})
	safety := quarantine.DefaultSafety()
	safety.Grace, safety.MaxClockJump = d.cfg.Collect.Grace.Duration, d.cfg.Collect.MaxClockJump.Duration
	safety.MaxDisks, safety.MaxBytes, safety.Workers = d.cfg.Collect.MaxDisks, d.cfg.Collect.MaxBytes, d.cfg.Collect.Workers
	d.cfg.Collect.pace(&safety)
	s := &d.services
	s.adopter = quarantine.NewAdopter(ledger, d.registry, d.catalog, d.policies, d.registry)
	s.recorder = quarantine.NewRecorder(s.adopter)
	s.holds = quarantine.NewHolds(ledger, d.registry, d.registry)
	s.restorer = quarantine.NewRestorer(ledger, d.registry, d.registry, d.registry)
	s.exporter = quarantine.NewExporter(ledger, d.registry)
	s.guard = quarantine.NewGuardKeeper(ledger, d.registry, d.registry, d.catalog)
	s.guard.Checked = obs.GuardChecked
	s.reconciler = quarantine.NewReconciler(s.adopter, d.registry, quarantine.ReconcileConfig{
		Workers: d.cfg.Capture.Workers, LostAfter: d.cfg.Reconcile.LostAfter.Duration, MeasureDisks: 500, Seen: d.catalog, Marks: d.catalog,
		Snapshots: d.registry, SealsAtOnce: sealsAtOnce, Tampered: obs.Tampered,
	})
	s.seals = quarantine.NewSealWatch(s.reconciler, d.registry, d.catalog)
	s.inquirer = quarantine.NewInquirer(s.recorder, s.reconciler, quarantine.InquirerConfig{
		Clouds: d.readers(), Inventory: d.catalog, Inquiries: d.catalog, Marks: d.catalog, Clock: d.clock,
		Log: d.log.With("component", "clouds"), Every: d.cfg.Inquire.Every.Duration, Settle: d.cfg.Inquire.Settle.Duration,
		Lookback: d.cfg.Inquire.Lookback.Duration, Keep: d.cfg.Inquire.Keep.Duration,
	})
	s.intake = quarantine.NewIntake(s.adopter, quarantine.IntakeConfig{
		Settle: d.cfg.Capture.Settle.Duration, Workers: d.cfg.Capture.Workers, MaxWaiting: 100_000,
	})
	// The one place where something that can remove is handed over.
	s.collector = quarantine.NewCollector(ledger, d.registry, ceph.NewRemover(d.registry, d.clock), d.registry, d.policies, d.catalog, safety)
	s.standing = quarantine.NewStandingHolds(s.adopter, d.catalog, sweepRequests)
	s.cases = quarantine.NewCases(s.holds, d.catalog, s.standing)
	s.applier = quarantine.NewPolicyApplier(s.adopter, d.policies, d.catalog, d.cfg.Capture.Workers)
	s.approvals = quarantine.NewApprovals(ledger, d.catalog, map[string]quarantine.RequestAct{
		quarantine.RequestPurgeEarly: s.collector.EarlyPurge(), quarantine.RequestShorten: s.holds.Shorten(), quarantine.RequestApplyPolicy: s.applier.Shorten(),
	}, d.cfg.Approvals.domain())
	s.capacity = quarantine.NewCapacity(d.registry, d.catalog, d.registry, d.cfg.watermarks(d.registry.Pools()))
	s.collector.MakeRoom(s.capacity)
	s.flattener = quarantine.NewFlattener(ledger, d.registry, d.registry, d.catalog, d.policies, d.registry, s.collector, quarantine.FlattenConfig{
		MaxDisks: d.cfg.Flatten.MaxDisks, BytesPerSecond: d.cfg.Flatten.BytesPerSecond, StopChecks: safety.StopChecks,
	})
	s.isolator = quarantine.NewIsolator(s.adopter, s.holds, d.registry, d.registry, d.registry, quarantine.IsolateConfig{
		MaxDisks: d.cfg.Isolate.MaxDisks, BytesPerSecond: d.cfg.Isolate.BytesPerSecond, StopChecks: safety.StopChecks,
	})
	s.clouder = quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
		Restorer: s.restorer, Clouds: d.writers(), Deletions: d.catalog, Snapshots: d.registry, Reader: d.registry,
		Discarder: s.collector, Marks: d.catalog,
	})

	d.jobs = &jobs{
		run: map[string]func(context.Context, string, quarantine.JobOptions) quarantine.Report{
			quarantine.JobCollect:   s.collector.Run,
			quarantine.JobReconcile: d.trusting(s.reconciler.Run),
			quarantine.JobGuard:     d.trusting(s.guard.Run),
			quarantine.JobFlatten:   d.trusting(s.flattener.Run),
			quarantine.JobIsolate:   d.trusting(s.isolator.Run),
		},
		marks: d.catalog, clock: d.clock, log: d.log.With("component", "cron"), finished: obs.JobFinished,
		prepare: d.reloadPolicies, busy: map[string]bool{},
	}
	schedules := map[string]string{
		quarantine.JobCollect: d.cfg.Collect.Schedule, quarantine.JobReconcile: d.cfg.Reconcile.Schedule, quarantine.JobGuard: d.cfg.Guard.Schedule,
		quarantine.JobFlatten: d.cfg.Flatten.Schedule, quarantine.JobIsolate: d.cfg.Isolate.Schedule,
	}
	if len(d.apis) > 0 {
		d.jobs.run[quarantine.JobClouds] = d.trusting(s.inquirer.RunJob)
		schedules[quarantine.JobClouds] = d.cfg.Inquire.Schedule
	}
	for _, p := range d.registry.Pools() {
		w := ceph.NewTrashWatch(d.registry, p.PoolRef, d.log.With("component", "watch"), s.intake.Offer, d.missed)
		w.Gone = s.seals.Gone
		d.watches = append(d.watches, w)
		d.components = append(d.components, component{name: "watch of " + d.poolName(p), intake: true, run: w.Run})
	}
	d.components = append(d.components,
		// Shut out by Ceph: the process ends, and systemd starts one with a
		// connection that works.
		component{name: "ceph", run: d.registry.Run},
		component{name: "memory", run: ceph.ReturnMemory},
		component{name: "intake", run: s.intake.Run},
		component{name: "inquirer", run: s.inquirer.Run},
		component{name: "approvals", run: s.approvals.Run},
		component{name: "standing holds", run: s.standing.Run},
		component{name: "first look", run: func(ctx context.Context) error { return d.catchUp(ctx, d.listMe) }},
		component{name: "watch of the guards", run: func(ctx context.Context) error { return s.guard.Watch(ctx, d.cfg.Guard.Watch.Duration) }},
		component{name: "capacity", run: func(ctx context.Context) error { return s.capacity.Watch(ctx, d.clock, log, obs.CapacitySampled) }},
		component{name: "watch of the seals", run: func(ctx context.Context) error { return s.seals.Run(ctx, d.cfg.Guard.Watch.Duration) }},
		component{name: "cron", run: func(ctx context.Context) error {
			return d.jobs.schedule(ctx, schedules, d.cfg.Jitter.Duration)
		}},
	)
	s.checker = quarantine.NewChecker(ledger, d.catalog, d.registry, d.registry, d.registry, d.registry, quarantine.CheckConfig{
		Workers: checkWorkers, Settle: checkSettle,
	})
	s.doctor = &doctor{
		clusters: d.registry, guard: s.guard, policy: d.policies, custody: d.custody, disks: d.catalog, jobs: d.jobs, paused: s.collector.Paused, clock: d.clock, capacity: s.capacity,
		requests: d.catalog, cases: d.catalog, standing: d.catalog, approvals: d.cfg.Approvals,
		listeners: d.busStates, watches: d.watchStates, audit: d.auditor(), sealFault: s.seals.Fault,
		clouds: func(ctx context.Context) ([]quarantine.Finding, error) { return d.cloudDoctor().look(ctx) },
	}
}

// restoreHolds gives the catalog the cases, the standing holds and the pause of
// removals that only the custody log has.
func (d *daemon) restoreHolds(ctx context.Context) error {
	if err := errors.Join(d.services.standing.Restore(ctx), d.services.cases.Restore(ctx), d.services.collector.RestorePause(ctx)); err != nil {
		return fmt.Errorf("take what was held and paused over from the custody log: %w", err)
	}
	return nil
}

// trusting has the clock's last time noted by the jobs that run often, so that
// the collector, which runs seldom, is not stopped by its own rarity.
func (d *daemon) trusting(run func(context.Context, string, quarantine.JobOptions) quarantine.Report) func(context.Context, string, quarantine.JobOptions) quarantine.Report {
	return func(ctx context.Context, actor string, o quarantine.JobOptions) quarantine.Report {
		if err := d.services.collector.ClockTrusted(ctx); err != nil {
			d.log.Warn("nothing will be removed until the clock is confirmed", "error", err, "hint", "quarantinectl run collect --confirm-clock")
		}
		return run(ctx, actor, o)
	}
}

// missed asks for a look, because a watch or a bus may have missed something.
func (d *daemon) missed() {
	select {
	case d.listMe <- struct{}{}:
	default: // asked for already
	}
}

// catchUp runs reconcile when a watch says that it may have missed something:
// at the start, and after every interruption.
func (d *daemon) catchUp(ctx context.Context, listMe <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-listMe:
		}
		// What came while nobody watched is adopted first, and explained then.
		for _, job := range []string{quarantine.JobReconcile, quarantine.JobClouds} {
			if d.jobs.run[job] == nil {
				continue
			}
			_, err := d.jobs.RunJob(ctx, "watch", job, quarantine.JobOptions{})
			if err != nil && !errors.Is(err, quarantine.ErrBusy) && ctx.Err() == nil {
				d.log.Error("look after a watch was set up", "job", job, "error", err)
			}
		}
	}
}

func (d *daemon) reloadPolicies(ctx context.Context) {
	if err := d.policies.Reload(ctx); err != nil {
		d.log.Error("the policies do not load; the old ones stay in force, and nothing is removed", "error", err)
	}
}

func (d *daemon) watchStates() map[string]bool {
	states := map[string]bool{}
	for i, p := range d.registry.Pools() {
		states[d.poolName(p)] = d.watches[i].Up()
	}
	return states
}

// poolName is the pool's name as people write it: with its cluster where there
// are several.
func (d *daemon) poolName(p quarantine.Pool) string {
	if len(d.cfg.Clusters) > 1 {
		return p.Cluster + ":" + p.PoolRef.String()
	}
	return p.PoolRef.String()
}

// close closes everything that was opened, last first.
func (d *daemon) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// checkOnly is --check.
func checkOnly(cfg *config) error {
	_, err := policy.NewStore(context.Background(), cfg.Policies)
	return err
}
