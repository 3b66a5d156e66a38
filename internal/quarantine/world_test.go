package quarantine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// tb is what the tests of this package need of *testing.T and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(f func())
}

const (
	day     = 24 * time.Hour
	protect = 10 * 365 * day
	grace   = day
	retain  = 14 * day
	// unexplainedRetain is how long the test policy keeps a disk without a
	// deletion.
	unexplainedRetain = 7 * day
)

// world is the whole application over a Ceph in memory, without its adapters
// to clouds: every service, the catalog and the custody log, and a clock that
// only the test moves. It outlives its process: restart makes new services
// over what a process leaves behind.
type world struct {
	t    tb
	ctx  context.Context
	ceph *fakeceph.Ceph
	// store is the catalog, custody the custody log.
	store   *store
	custody *custody
	policy  *policy
	obs     *observer
	log     *syncBuffer
	safety  quarantine.Safety
	lost    time.Duration // LostAfter
	alone   bool          // approvals are not required
	// watermarks are those of pools from which disks may be evicted.
	watermarks map[quarantine.PoolRef]quarantine.Watermarks

	clockMu sync.Mutex
	time    time.Time

	// The process and its services; restart replaces them all.
	proc       *process
	ledger     *quarantine.Ledger
	adopter    *quarantine.Adopter
	recorder   *quarantine.Recorder
	holds      *quarantine.Holds
	restorer   *quarantine.Restorer
	exporter   *quarantine.Exporter
	collector  *quarantine.Collector
	applier    *quarantine.PolicyApplier
	approvals  *quarantine.Approvals
	standing   *quarantine.StandingHolds
	cases      *quarantine.Cases
	capacity   *quarantine.Capacity
	reconciler *quarantine.Reconciler
	flattener  *quarantine.Flattener
	guard      *quarantine.GuardKeeper
	inquirer   *quarantine.Inquirer
	seals      *quarantine.SealWatch
	cloud      *fakeCloud

	// died is what each disk held when the cloud removed it.
	died map[quarantine.Key][]byte
}

var (
	unguarded = quarantine.PoolRef{FSID: "fsid-1", Pool: "raw"}
	images    = quarantine.PoolRef{FSID: "fsid-1", Pool: "images"}
)

func pools() []quarantine.Pool {
	return []quarantine.Pool{
		{PoolRef: vms, Cluster: "ceph", Cloud: "os", Guarded: true, Protect: protect},
		{PoolRef: vols, Cluster: "ceph", Cloud: "os", Guarded: true, Protect: protect},
		{PoolRef: unguarded, Cluster: "ceph", Cloud: "os", Protect: protect},
		{PoolRef: images, Cluster: "ceph", Cloud: "os", Guarded: true, Protect: protect},
	}
}

func newWorld(t tb) *world {
	t.Helper()
	w := &world{
		t: t, ctx: context.Background(), time: t0, policy: newPolicy(), log: &syncBuffer{}, custody: newCustody(t),
		safety: quarantine.DefaultSafety(), lost: time.Hour, died: map[quarantine.Key][]byte{},
	}
	w.safety.Grace, w.safety.Workers = grace, 4
	w.obs = &observer{last: map[string]quarantine.State{}, t: t}
	w.ceph = fakeceph.New(w.now, pools()...)
	w.store = openStore(t)
	w.cloud = newFakeCloud("os")
	w.restart()
	return w
}

// restart starts the program again over what the last process left.
func (w *world) restart() {
	if w.proc != nil {
		w.proc.exit()
	}
	p := &process{}
	w.proc = p
	w.ceph.Before(func(k fakeceph.Call) error { return p.point("ceph." + k.Verb + ".before") })
	w.ceph.After(func(k fakeceph.Call) error { return p.point("ceph." + k.Verb + ".after") })
	cat := &guardedStore{store: w.store, p: p}
	w.ledger = quarantine.NewLedger(quarantine.LedgerConfig{
		Disks: cat, Images: w.ceph, Custody: &guardedCustody{w.custody, p}, History: w.custody, Clock: w.now,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Observer: w.obs, Steps: p.point, Standing: cat,
	})
	w.adopter = quarantine.NewAdopter(w.ledger, w.ceph, cat, w.policy, w.ceph)
	w.recorder = quarantine.NewRecorder(w.adopter)
	w.holds = quarantine.NewHolds(w.ledger, w.ceph, w.ceph)
	w.restorer = quarantine.NewRestorer(w.ledger, w.ceph, w.ceph, w.ceph)
	w.exporter = quarantine.NewExporter(w.ledger, w.ceph)
	w.collector = quarantine.NewCollector(w.ledger, w.ceph, w.ceph.Remover(), w.ceph, w.policy, cat, w.safety)
	w.applier = quarantine.NewPolicyApplier(w.adopter, w.policy, cat, w.safety.Workers)
	w.approvals = quarantine.NewApprovals(w.ledger, cat, map[string]quarantine.RequestAct{
		quarantine.RequestPurgeEarly: w.collector.EarlyPurge(), quarantine.RequestShorten: w.holds.Shorten(), quarantine.RequestApplyPolicy: w.applier.Shorten(),
	}, quarantine.ApprovalsConfig{Expire: 3 * day, Alone: w.alone})
	w.standing = quarantine.NewStandingHolds(w.adopter, cat, time.Minute)
	w.cases = quarantine.NewCases(w.holds, cat, w.standing)
	w.capacity = quarantine.NewCapacity(w.ceph, cat, w.ceph, quarantine.CapacityConfig{Pools: w.watermarks, MinAge: quarantine.DefaultMinAge, Grace: w.safety.Grace})
	w.collector.MakeRoom(w.capacity)
	w.reconciler = quarantine.NewReconciler(w.adopter, w.ceph, quarantine.ReconcileConfig{Workers: w.safety.Workers, LostAfter: w.lost, MeasureDisks: 100, Seen: cat, Marks: cat,
		Snapshots: w.ceph, SealsAtOnce: 100, Tampered: w.obs.Tampered})
	w.seals = quarantine.NewSealWatch(w.reconciler, w.ceph, cat)
	w.flattener = quarantine.NewFlattener(w.ledger, w.ceph, w.ceph, cat, w.policy, w.ceph, w.collector, quarantine.FlattenConfig{MaxDisks: 100})
	w.guard = quarantine.NewGuardKeeper(w.ledger, w.ceph, w.ceph, cat)
	w.inquirer = quarantine.NewInquirer(w.recorder, w.reconciler, quarantine.InquirerConfig{
		Clouds: []quarantine.CloudReader{w.cloud}, Inventory: cat, Inquiries: cat, Marks: cat, Clock: w.now,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Every: time.Minute, Lookback: 7 * day, Keep: 90 * day,
	})
}

func (w *world) now() time.Time {
	w.clockMu.Lock()
	defer w.clockMu.Unlock()
	return w.time
}

// jump moves the clock in one step.
func (w *world) jump(d time.Duration) {
	w.clockMu.Lock()
	defer w.clockMu.Unlock()
	w.time = w.time.Add(d)
}

// pass lets time go by in steps of half a day at most; after each the cron
// jobs tell the clock, as they do in the daemon.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for d > 0 {
		step := min(d, day/2)
		w.jump(step)
		d -= step
		if err := w.collector.ClockTrusted(w.ctx); err != nil {
			w.t.Fatalf("clock: %v", err)
		}
	}
}

// process is one life of the program. Every act of it comes by point, which
// can end it there.
type process struct {
	mu     sync.Mutex
	dead   bool
	points []string // seen so far
	// at is the number of the point at which fault happens; points are
	// counted from 1, and 0 is never.
	at    int
	fault error // nil: the process is killed
	// onPoint, where not nil, is called at each point.
	onPoint func(name string)
}

// point counts the act. In a process that was killed nothing goes on: the
// goroutine ends here, and the domain's code sees no error that it could act
// on.
func (p *process) point(name string) error {
	p.mu.Lock()
	p.points = append(p.points, name)
	if !p.dead && p.at == len(p.points) {
		if p.fault != nil {
			p.mu.Unlock()
			return fmt.Errorf("at %s: %w", name, p.fault)
		}
		p.dead = true
	}
	dead, told := p.dead, p.onPoint
	p.mu.Unlock()
	if told != nil && !dead {
		told(name)
	}
	if dead {
		runtime.Goexit()
	}
	return nil
}

func (p *process) exit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

// run performs an act of the process to its end or its death.
func (w *world) run(act func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		act()
	}()
	<-done
}

// policy keeps disks for a time that the test can change, by rule.
type policy struct {
	mu     sync.Mutex
	decide func(quarantine.Facts) quarantine.Decision
	err    error
	digest string // changed by the test with what decide is
}

func newPolicy() *policy {
	return &policy{decide: func(f quarantine.Facts) quarantine.Decision {
		if f.Deletion == nil {
			return quarantine.Decision{Retain: unexplainedRetain, Rule: "unexplained", Reason: "no deletion explains it"}
		}
		return quarantine.Decision{Retain: retain, Rule: "default", Reason: "nothing else applies"}
	}}
}

func (p *policy) Decide(f quarantine.Facts) quarantine.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decide(f)
}

func (p *policy) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// use makes the policy one rule for everything.
func (p *policy) use(d quarantine.Decision) {
	p.force(func(quarantine.Facts) quarantine.Decision { return d })
}

// force puts another policy in force.
func (p *policy) force(decide func(quarantine.Facts) quarantine.Decision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide, p.digest = decide, p.digest+"x"
}

func (p *policy) InForce(context.Context) (quarantine.Decider, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, "", fmt.Errorf("%w: %w", quarantine.ErrRefused, p.err)
	}
	return decides(p.decide), "policy-" + p.digest, nil
}

// decides is a policy that does not change.
type decides func(quarantine.Facts) quarantine.Decision

func (d decides) Decide(f quarantine.Facts) quarantine.Decision { return d(f) }

// observer notes every move and insists that it is legal and goes on from
// where the disk was.
type observer struct {
	t             tb
	mu            sync.Mutex
	last          map[string]quarantine.State
	moves         []string
	captured      int
	custodyFailed int
	tampered      []string
}

func (o *observer) Moved(d *quarantine.Disk, from quarantine.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !quarantine.CanMove(from, d.State) {
		o.t.Errorf("disk %s moved from %q to %q", d.ID, from, d.State)
	}
	o.last[d.ID] = d.State
	o.moves = append(o.moves, string(from)+">"+string(d.State))
}

func (o *observer) Captured(time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.captured++
}

func (o *observer) Tampered(act string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tampered = append(o.tampered, act)
}

func (o *observer) CustodyFailed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.custodyFailed++
}

// syncBuffer is where the log goes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// errors returns the log's lines of level ERROR.
func (s *syncBuffer) errors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for line := range strings.Lines(s.b.String()) {
		if strings.Contains(line, "level=ERROR") {
			out = append(out, line)
		}
	}
	return out
}
