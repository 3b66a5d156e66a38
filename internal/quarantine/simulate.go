package quarantine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Decider is a policy that need not be in force.
type Decider interface {
	// Decide is pure: the same facts and policy give the same decision.
	Decide(f Facts) Decision
}

// SimulationOptions say what is simulated.
type SimulationOptions struct {
	// From and To bound the points, and To the history: disks that died later
	// are left out.
	From, To time.Time
	// Step is the time between two points; there are at most maxPoints.
	Step time.Duration
	// Changes is how many changed disks are named; the shortened come first.
	Changes int
	// Apply asks something else: what putting the other policy in force, and applying
	// it (PolicyApplier), would change now for the disks in quarantine.
	Apply bool
}

// maxPoints and maxChanges bound the answer.
const (
	maxPoints  = 1000
	maxChanges = 10_000
)

// Kept is what is kept at one time.
type Kept struct {
	Disks int64 `json:"disks"`
	Bytes int64 `json:"bytes"`      // provisioned
	Used  int64 `json:"used_bytes"` // allocated, where measured
}

func (k *Kept) add(d *Disk, n int64) {
	k.Disks += n
	k.Bytes += n * d.SizeBytes
	if d.UsedBytes > 0 {
		k.Used += n * d.UsedBytes
	}
}

func (k *Kept) sum(other Kept) {
	k.Disks, k.Bytes, k.Used = k.Disks+other.Disks, k.Bytes+other.Bytes, k.Used+other.Used
}

// SimulationPoint compares one time.
type SimulationPoint struct {
	At time.Time `json:"at"`
	// Now is as it was, or is promised, Then as the other policy would have it.
	Now  Kept `json:"now"`
	Then Kept `json:"then"`
}

// SimulatedChange is a disk that the other policy keeps for another time.
type SimulatedChange struct {
	Disk         string    `json:"disk"`
	OriginalName string    `json:"original_name"`
	Pool         string    `json:"pool"`
	State        State     `json:"state"`
	Project      string    `json:"project,omitempty"` // name, or id
	Resource     string    `json:"resource,omitempty"`
	SizeBytes    int64     `json:"size_bytes"`
	Rule         string    `json:"rule"`      // that decided
	ThenRule     string    `json:"then_rule"` // that would
	Until        time.Time `json:"until,omitzero"`
	ThenUntil    time.Time `json:"then_until,omitzero"` // zero: no end is known (a hold, the last of a kind)
}

// SimulatedMove sums up the disks that one rule decided about, and another one
// would.
type SimulatedMove struct {
	Rule     string `json:"rule"`
	ThenRule string `json:"then_rule"`
	Kept            // the disks
	Shorter  int64  `json:"shorter"` // of the disks
	Longer   int64  `json:"longer"`
}

// Simulation compares what a policy would have kept with what was.
type Simulation struct {
	// Policy is the digest of the policy on disk, where that was simulated.
	Policy string            `json:"policy,omitempty"`
	From   time.Time         `json:"from"`
	To     time.Time         `json:"to"`
	At     time.Time         `json:"at"`    // the present
	Disks  int64             `json:"disks"` // of the history
	Points []SimulationPoint `json:"points"`
	Moves  []SimulatedMove   `json:"moves"`

	Shorter int64 `json:"shorter"` // disks that would be kept for a shorter time
	Longer  int64 `json:"longer"`
	// Stricter, of an application, counts those whose date stays and that would be
	// protected more; Protected those that keep a longer time because of a hold, of
	// compliance, or because nobody could look for holds.
	Stricter  int64 `json:"stricter,omitempty"`
	Protected int64 `json:"protected,omitempty"`
	// Gone would be gone by now and are kept, Still would be kept and are gone,
	// or may go.
	Gone  Kept `json:"gone"`
	Still Kept `json:"still"`
	// Holds counts those that a person placed when the disk would have been gone.
	Holds int64 `json:"holds"`

	// Changes names changed disks, the most shortened first; there may be more
	// (Shorter, Longer).
	Changes []SimulatedChange `json:"changes"`
}

// Simulator replays the catalog's history under another policy. It changes
// nothing. How full pools would be it does not model, nor what would be evicted from
// them.
type Simulator struct {
	disks    Disks
	clusters Clusters
	clock    Clock
	running  sync.Mutex
}

// NewSimulator makes a Simulator.
func NewSimulator(d Disks, c Clusters, clock Clock) *Simulator {
	return &Simulator{disks: d, clusters: c, clock: clock}
}

// Simulate decides about every disk of the history anew, as at its capture, and
// compares how long it is kept. What people did stays as it was: extensions,
// holds, restores and early purges, as far as the other policy lets one go early; a
// hold that a policy placed belongs to that policy. The last of a kind are kept until so many newer ones of it died, whether or
// not these stay. An earlier, longer promise counts as an extension. The grace between
// expire and purge, and when the collector ran, are in neither side.
//
// ErrBusy while another one runs, ErrInvalid for a period that is none.
func (s *Simulator) Simulate(ctx context.Context, other Decider, o SimulationOptions) (Simulation, error) {
	now := s.clock().UTC()
	r := rerun{disks: s.disks, other: other, o: o, now: now, pools: map[PoolRef]Pool{}, moves: map[[2]string]*SimulatedMove{},
		sim: Simulation{From: o.From.UTC(), To: o.To.UTC(), At: now, Points: []SimulationPoint{}, Moves: []SimulatedMove{}, Changes: []SimulatedChange{}}}
	switch {
	case !o.From.Before(o.To):
		return r.sim, invalidf("the period from %s to %s is empty", r.sim.From.Format(time.RFC3339), r.sim.To.Format(time.RFC3339))
	case o.Step <= 0 || o.To.Sub(o.From)/o.Step >= maxPoints:
		return r.sim, invalidf("a step of %s gives more than %d points, or none", FormatDuration(o.Step), maxPoints)
	case o.Changes < 0 || o.Changes > maxChanges:
		return r.sim, invalidf("at most %d changes are named", maxChanges)
	}
	if !s.running.TryLock() {
		return r.sim, fmt.Errorf("simulate a policy: another one is being simulated: %w", ErrBusy)
	}
	defer s.running.Unlock()
	for _, p := range s.clusters.Pools() {
		r.pools[p.PoolRef] = p
	}
	for at := r.sim.From; !at.After(r.sim.To); at = at.Add(o.Step) {
		r.sim.Points = append(r.sim.Points, SimulationPoint{At: at})
	}
	history := DiskFilter{DeletedTo: o.To}
	if o.Apply {
		history = atRest()
	}
	if err := eachDisk(ctx, s.disks, history, func(d *Disk) error { return r.add(ctx, d) }); err != nil {
		return r.sim, fmt.Errorf("simulate a policy: read the history: %w", err)
	}
	return r.end(), nil
}

// rerun is the work of one simulation.
type rerun struct {
	disks Disks
	other Decider
	o     SimulationOptions
	now   time.Time
	pools map[PoolRef]Pool
	sim   Simulation
	moves map[[2]string]*SimulatedMove
}

// forever is the end of what a hold keeps.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// add replays one disk.
func (r *rerun) add(ctx context.Context, d *Disk) error {
	if d.State == Lost {
		return nil // a lost one was never kept
	}
	pool, ok := r.pools[d.Key.PoolRef()]
	if !ok {
		pool = Pool{PoolRef: d.Key.PoolRef()}
	}
	dec := r.other.Decide(FactsOf(*d, pool))
	r.sim.Disks++
	if r.o.Apply {
		r.apply(d, dec)
		return nil
	}
	gone, err := displaced(ctx, r.disks, d, d.Decision.KeepLast)
	if err != nil {
		return err
	}
	was, _ := lasts(d, later(d.RetainUntil, gone), nil)
	if dec.KeepLast != d.Decision.KeepLast {
		if gone, err = displaced(ctx, r.disks, d, dec.KeepLast); err != nil {
			return err
		}
	}
	until := promise(d, dec)
	if d.RetainUntil.After(promise(d, d.Decision)) {
		until = later(until, d.RetainUntil) // extended
	}
	until = later(until, d.ExtendedUntil) // also where a policy promised more since
	if dec.Hold != nil {
		until = forever
	}
	then, missed := lasts(d, later(until, gone), &dec)
	r.sim.Holds += missed
	r.note(d, dec, was, then)
	return nil
}

// apply tells what applying the policy to a disk would change. The last of a kind
// it leaves out: what is compared is the date.
func (r *rerun) apply(d *Disk, dec Decision) {
	re := redecide(d, dec, r.now)
	was, then := d.end(), re.next.end()
	if re.protected != nil {
		r.sim.Protected++
	}
	if re.changes(d) && was.Equal(then) {
		r.sim.Stricter++
	}
	is := d.Decision
	if re.changes(d) {
		is = re.next.Decision
	}
	r.note(d, is, was, then)
}

// note puts the disk into the answer.
func (r *rerun) note(d *Disk, dec Decision, was, then time.Time) {
	r.plot(d, was, func(p *SimulationPoint) *Kept { return &p.Now })
	r.plot(d, then, func(p *SimulationPoint) *Kept { return &p.Then })
	switch {
	case was.After(r.now) && !then.After(r.now):
		r.sim.Gone.add(d, 1)
	case !was.After(r.now) && then.After(r.now):
		r.sim.Still.add(d, 1)
	}
	r.compare(d, dec, was, then)
}

// plot notes the disk at the first point of its time, and takes it off at the
// first behind; end sums that up.
func (r *rerun) plot(d *Disk, until time.Time, side func(*SimulationPoint) *Kept) {
	points := r.sim.Points
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(points, t, func(p SimulationPoint, t time.Time) int { return p.At.Compare(t) })
		return i
	}
	from, to := at(d.DeletedAt), at(until)
	if from >= to {
		return
	}
	side(&points[from]).add(d, 1)
	if to < len(points) {
		side(&points[to]).add(d, -1)
	}
}

// lasts is the end of the disk's time, if it is kept until then and longer for
// its holds: those of people, and without another decision those of policies.
// missed counts the holds of people that came too late.
func lasts(d *Disk, until time.Time, other *Decision) (end time.Time, missed int64) {
	holds := slices.Clone(d.Holds)
	slices.SortStableFunc(holds, func(a, b Hold) int { return a.PlacedAt.Compare(b.PlacedAt) })
	for _, h := range holds {
		byPolicy := strings.HasPrefix(h.By, byPolicy)
		switch {
		case byPolicy && other != nil:
		case !byPolicy && !h.PlacedAt.Before(until):
			missed++
		case h.Open():
			until = forever
		default:
			until = later(until, h.Released)
		}
	}
	if early := d.PurgedAt; d.EarlyBy != "" && !early.IsZero() && (other == nil || other.Mode != Compliance) {
		if other != nil && other.Min > 0 {
			early = later(early, promise(d, Decision{Retain: other.Min}))
		}
		if early.Before(until) {
			until = early
		}
	}
	if d.State == Restored && d.RestoredAt.Before(until) {
		until = d.RestoredAt
	}
	return until, missed
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// compare counts a disk whose time changes, and keeps it if it is among the most
// changed.
func (r *rerun) compare(d *Disk, dec Decision, was, then time.Time) {
	change := then.Compare(was)
	if change == 0 && d.Decision.Rule == dec.Rule {
		return
	}
	m := r.moves[[2]string{d.Decision.Rule, dec.Rule}]
	if m == nil {
		m = &SimulatedMove{Rule: d.Decision.Rule, ThenRule: dec.Rule}
		r.moves[[2]string{m.Rule, m.ThenRule}] = m
	}
	m.add(d, 1)
	switch {
	case change < 0:
		m.Shorter++
		r.sim.Shorter++
	case change > 0:
		m.Longer++
		r.sim.Longer++
	default:
		return
	}
	if r.o.Changes == 0 {
		return
	}
	c := SimulatedChange{Disk: d.ID, OriginalName: d.OriginalName, Pool: d.Key.PoolRef().String(), State: d.State, SizeBytes: d.SizeBytes,
		Rule: d.Decision.Rule, ThenRule: dec.Rule, Until: was, ThenUntil: then}
	if del := d.Deletion; del != nil {
		c.Project, c.Resource = cmp.Or(del.Project.Name, del.Project.ID), cmp.Or(del.ResourceName, del.ResourceID)
	}
	r.sim.Changes = append(r.sim.Changes, c)
	if len(r.sim.Changes) >= 2*r.o.Changes {
		r.trim()
	}
}

// trim keeps the most shortened, then the least lengthened.
func (r *rerun) trim() {
	slices.SortStableFunc(r.sim.Changes, func(a, b SimulatedChange) int {
		return cmp.Or(cmp.Compare(a.ThenUntil.Sub(a.Until), b.ThenUntil.Sub(b.Until)), cmp.Compare(a.Disk, b.Disk))
	})
	r.sim.Changes = r.sim.Changes[:min(len(r.sim.Changes), r.o.Changes)]
}

// end completes the answer.
func (r *rerun) end() Simulation {
	for i := 1; i < len(r.sim.Points); i++ {
		before, p := &r.sim.Points[i-1], &r.sim.Points[i]
		p.Now.sum(before.Now)
		p.Then.sum(before.Then)
	}
	r.trim()
	for i := range r.sim.Changes {
		c := &r.sim.Changes[i]
		for _, t := range []*time.Time{&c.Until, &c.ThenUntil} {
			if t.Equal(forever) {
				*t = time.Time{}
			}
		}
	}
	for _, m := range r.moves {
		r.sim.Moves = append(r.sim.Moves, *m)
	}
	slices.SortFunc(r.sim.Moves, func(a, b SimulatedMove) int {
		return cmp.Or(cmp.Compare(b.Shorter, a.Shorter), cmp.Compare(b.Disks, a.Disks), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.ThenRule, b.ThenRule))
	})
	return r.sim
}
