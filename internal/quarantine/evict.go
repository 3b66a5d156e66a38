package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// room is what a pass of the Collector knows about the pools' room.
type room struct {
	*Capacity
	// readable are the pools whose figures this pass could read and trust.
	readable map[PoolRef]bool
	// back are the disks that this pass gives back.
	back map[string]bool
}

// MakeRoom has the passes evict from pools that are too full. It is called before
// the first pass.
func (c *Collector) MakeRoom(capacity *Capacity) { c.room = &room{Capacity: capacity} }

// makeRoom is the first phase of a pass. In each pool that is too full it marks
// disks as expiring before their time, as PlanEviction says; they go in a later
// pass, after the same grace as any other, by purge and all its checks. It removes
// nothing itself.
//
// It comes before the purges because Ceph's figures are some seconds old: here they
// agree with what the catalog says is on its way out. A crash between two marks
// leaves some marked and the others not; the next pass counts those that are, and
// goes on.
//
// What an earlier pass evicted and what there is room for again, because others
// went meanwhile, or because the watermarks were raised or taken away, is given
// back, the lightest project's first: a promise is broken only while it has to be.
// The pool is then no fuller than the low watermark, so nothing goes to and fro. An
// evicted disk is purged only in a pass that could read how full its pool is, and
// still needs it gone.
func (c *Collector) makeRoom(ctx context.Context, rep *Report, now time.Time) error {
	if c.room == nil {
		return nil
	}
	c.room.readable, c.room.back = map[PoolRef]bool{}, map[string]bool{}
	states, err := c.room.looks(ctx, now)
	if err != nil {
		return err
	}
	// One after another: what goes from one pool helps those that share its OSDs.
	for i := range states {
		st := &states[i]
		c.room.judge(states, i, now)
		c.room.readable[st.Ref()] = st.Fault == "" || st.Watermarks.High <= 0
		if st.Fault != "" && st.Watermarks.High > 0 {
			rep.Items = append(rep.Items, ReportItem{Pool: st.Pool, Act: "capacity", Reason: "nothing is evicted there for the pool's fill", Error: st.Fault})
		}
		if err := c.giveBack(ctx, rep, st); err != nil {
			return err
		}
		if err := c.evict(ctx, rep, st); err != nil {
			return err
		}
	}
	return nil
}

// giveBack takes evictions back that are needed no more, or that a decision made
// since then forbids.
func (c *Collector) giveBack(ctx context.Context, rep *Report, st *PoolState) error {
	evicted, err := c.room.shares.Evicted(ctx, st.query)
	if err != nil {
		return fmt.Errorf("find what was evicted in %s: %w", st.Pool, err)
	}
	weight := map[string]int64{}
	for _, s := range st.shares {
		weight[s.Project] = s.Staying()
	}
	slices.SortFunc(evicted, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(weight[a.Project], weight[b.Project]), cmp.Compare(a.Project, b.Project),
			b.DeletedAt.Compare(a.DeletedAt), cmp.Compare(b.ID, a.ID))
	})
	var back []Candidate
	for _, d := range evicted {
		if !d.Firm && max(0, d.UsedBytes) > st.surplus {
			continue
		}
		if !d.Firm {
			st.surplus -= max(0, d.UsedBytes)
		}
		c.room.back[d.ID] = true
		st.Going -= max(0, d.UsedBytes)
		back = append(back, d)
	}
	return c.eachCandidate(ctx, rep, back, func(d Disk) ReportItem {
		item := c.item(d, "evict-undone", "there is room for it again, or a decision keeps it")
		if !rep.DryRun {
			if err := c.unevict(ctx, d.ID, rep.Actor, item.Reason); err != nil {
				item.Error = err.Error()
			}
		}
		return item
	})
}

func (c *Collector) unevict(ctx context.Context, id, actor, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return err
	}
	if d.State != Expiring || d.EarlyBy != EarlyByCapacity {
		return refusedf("disk %s is %s now, and not evicted", id, d.State)
	}
	if d, err = l.move(ctx, d, Quarantined, Entry{Act: actUnevict, Actor: actor, Reason: reason}, nil); err != nil {
		return err
	}
	l.softSync(ctx, d)
	return nil
}

// evict plans for one pool, and marks what goes.
func (c *Collector) evict(ctx context.Context, rep *Report, st *PoolState) error {
	if st.Need <= 0 {
		return nil
	}
	look := func(ctx context.Context, id string, q ShareQuery) (Disk, error) {
		d, err := c.evictable(ctx, id, q)
		if errors.Is(err, errNoReading) && !rep.DryRun {
			err = c.renew(ctx, id, err) // else whoever spoils his records would never yield
		}
		return d, err
	}
	lists := map[string]*evictables{}
	plan, err := PlanEviction(st.Need, st.shares, func(project string) (Candidate, bool, error) {
		list := lists[project]
		if list == nil {
			list = &evictables{
				shares: c.room.shares, look: look, workers: c.safety.Workers, query: st.query, project: project,
				refused: func(d Disk) ReportItem { return c.item(d, "evict", "looked at to make room in pool "+st.Pool) },
			}
			lists[project] = list
		}
		return list.next(ctx)
	})
	if err != nil {
		return err
	}
	for _, s := range st.shares {
		if list := lists[s.Project]; list != nil {
			rep.Items = append(rep.Items, list.passed...)
		}
	}
	if short := plan.Short(); short > 0 {
		rep.Items = append(rep.Items, ReportItem{Pool: st.Pool, Act: "capacity", Bytes: short, Reason: st.Why, Error: shortage(st, &plan)})
	}
	// What is left over comes in the next pass; it is not more than one can do.
	goes := plan.Disks[:min(len(plan.Disks), 5*max(c.safety.MaxDisks, 0))]
	for _, d := range goes {
		st.Going += d.UsedBytes
	}
	return c.eachCandidate(ctx, rep, goes, func(d Disk) ReportItem {
		item := c.item(d, "evict", evictReason(st, &plan, ShareOf(&d)))
		if !rep.DryRun {
			if err := c.evictOne(ctx, d.ID, st.query, rep.Actor, item.Reason); err != nil {
				item.Error = err.Error()
			}
		}
		return item
	})
}

// evictReason says why a disk of the project goes.
func evictReason(st *PoolState, plan *EvictionPlan, project string) string {
	for _, s := range st.shares {
		if s.Project == project {
			return fmt.Sprintf("%s; %s has %s of the %s there, and the fair share is %s", st.Why, ShareName(project), FormatBytes(s.Staying()), FormatBytes(st.Staying), FormatBytes(plan.Level))
		}
	}
	return st.Why
}

// ShareName is a share as people are shown it.
func ShareName(project string) string {
	if project == "" {
		return "what nothing explains"
	}
	return "project " + project
}

// shortage says what keeps the pool too full.
func shortage(st *PoolState, plan *EvictionPlan) string {
	text := fmt.Sprintf("%s have to go, and %s may not: of those above the fair share of %s, holds keep", FormatBytes(plan.Need), FormatBytes(plan.Short()), FormatBytes(plan.Level))
	var over Share
	var most string
	var mostBytes int64
	for _, s := range st.shares {
		if above := s.Staying() - plan.Level; above > 0 {
			over.Held += s.Held
			over.Compliance += s.Compliance
			over.Young += s.Young
			over.Unmeasured += s.Unmeasured
			if above > mostBytes {
				most, mostBytes = ShareName(s.Project), above
			}
		}
	}
	text += fmt.Sprintf(" %s, compliance %s, least times %s, and %s are not measured", FormatBytes(over.Held), FormatBytes(over.Compliance), FormatBytes(over.Young), FormatBytes(st.Unmeasured))
	if most != "" {
		text += fmt.Sprintf("; the heaviest is %s, %s above it", most, FormatBytes(mostBytes))
	}
	return text
}

// eachCandidate works the disks off in pieces, so that their rows are not all in
// memory.
func (c *Collector) eachCandidate(ctx context.Context, rep *Report, all []Candidate, work func(Disk) ReportItem) error {
	for piece := range slices.Chunk(all, pageOfDisks) {
		disks := make([]Disk, 0, len(piece))
		for _, d := range piece {
			row, err := c.ledger.disks.Disk(ctx, d.ID)
			if err != nil {
				return fmt.Errorf("read disk %s: %w", d.ID, err)
			}
			disks = append(disks, row)
		}
		if _, err := c.parallel(ctx, rep, disks, c.mayRemove, work); err != nil {
			return err
		}
	}
	return nil
}

// evictOne marks one disk.
func (c *Collector) evictOne(ctx context.Context, id string, q ShareQuery, actor, reason string) error {
	unlock, err := c.ledger.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := c.evictable(ctx, id, q)
	if err != nil {
		return c.renewal(ctx, d, err)
	}
	if now := c.ledger.clock(); now.Before(q.Now) {
		// The mark would be older than it is, and the grace over too soon. One whose
		// time is over is safe from that: by such a clock it is not.
		return refusedf("the clock went back to %s while the pass was under way", now.UTC().Format(time.RFC3339))
	}
	_, err = c.mark(ctx, d, Entry{Act: "expire", Actor: actor, Reason: reason}, EarlyByCapacity)
	return err
}

// evictable reads the disk again and returns it if it may be evicted, or why not.
func (c *Collector) evictable(ctx context.Context, id string, q ShareQuery) (Disk, error) {
	d, err := c.ledger.disks.Disk(ctx, id)
	if err != nil {
		return d, err
	}
	if err := spared(&d, q); err != nil {
		return d, err
	}
	switch {
	case d.State != Quarantined:
		return d, refusedf("disk %s is %s now", id, d.State)
	case q.Fill && d.DataPool != "":
		return d, refusedf("disk %s has its data in pool %s, and would make no room in %s", id, d.DataPool, q.Pool)
	case c.ledger.inUse(id):
		return d, fmt.Errorf("disk %s is being read: %w", id, ErrBusy)
	}
	if _, err := c.inTrash(ctx, &d, c.trash.FindInTrash); err != nil {
		return d, err
	}
	seenOn, err := c.remover.Inspect(ctx, d.Key)
	if err != nil {
		return d, fmt.Errorf("ask what speaks against the eviction of disk %s: %w", id, err)
	}
	if len(seenOn.Dependents) > 0 {
		return d, fmt.Errorf("disk %s: %w: %v depend on it", id, ErrBusy, seenOn.Dependents)
	}
	// It could not be marked, and another of its project must make the room.
	return d, c.recordAgrees(&d, seenOn.Record)
}

// spared returns what spares the disk from eviction, or nil.
func spared(d *Disk, q ShareQuery) error {
	if d.DeletedAt.After(q.Born) || d.QuarantinedAt.After(q.Born) {
		return refusedf("disk %s is younger than the least age of what is evicted", d.ID)
	}
	if d.Decision.Mode == Compliance { // also over, and kept as one of the last of its kind
		return refusedf("disk %s is kept under compliance", d.ID)
	}
	return mayCutShort(d, q.Now)
}

// mayPurgeEvicted returns why an evicted disk is not purged in this pass, or nil.
func (c *Collector) mayPurgeEvicted(d *Disk, now time.Time) error {
	if d.EarlyBy != EarlyByCapacity || d.over(now) {
		return nil
	}
	pool := d.Key.PoolRef()
	pool.Namespace = ""
	switch {
	case c.room == nil || !c.room.readable[pool]:
		return refusedf("disk %s was evicted, and it is not known whether pool %s still has too little room", d.ID, pool.Pool)
	case c.room.back[d.ID]:
		return refusedf("disk %s was evicted, and there is room for it again", d.ID)
	}
	return spared(d, ShareQuery{Now: now, Born: now})
}

// evictables is a project's list, the longest dead first, without those that cannot
// go just now.
type evictables struct {
	shares  Shares
	look    func(ctx context.Context, id string, q ShareQuery) (Disk, error)
	refused func(Disk) ReportItem
	workers int
	query   ShareQuery
	project string

	ready  []Candidate
	after  Candidate
	pages  int
	ended  bool
	passed []ReportItem // those that cannot go, and why
}

// next returns the next disk that can go. They are looked at a page at a time; the
// first pages are small, because of many projects only one disk is wanted.
func (e *evictables) next(ctx context.Context) (Candidate, bool, error) {
	for len(e.ready) == 0 && !e.ended {
		limit := min(4<<(2*min(e.pages, 3)), pageOfDisks)
		e.pages++
		page, err := e.shares.Evictable(ctx, e.query, e.project, e.after, limit)
		if err != nil {
			return Candidate{}, false, err
		}
		if e.ended = len(page) < limit; len(page) == 0 {
			break
		}
		e.after = page[len(page)-1]
		disks, errs := make([]Disk, len(page)), make([]error, len(page))
		if err := inParallel(ctx, e.workers, len(page), func(i int) {
			disks[i], errs[i] = e.look(ctx, page[i].ID, e.query)
		}); err != nil {
			return Candidate{}, false, err
		}
		for i, d := range page {
			switch err := errs[i]; {
			case err == nil:
				e.ready = append(e.ready, d)
			case errors.Is(err, ErrUnavailable):
				return Candidate{}, false, err
			default:
				item := e.refused(disks[i])
				item.Disk, item.Error = d.ID, err.Error()
				e.passed = append(e.passed, item)
			}
		}
	}
	if len(e.ready) == 0 {
		return Candidate{}, false, nil
	}
	d := e.ready[0]
	e.ready = e.ready[1:]
	return d, true, nil
}
