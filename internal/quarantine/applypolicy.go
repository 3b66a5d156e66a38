package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PolicyInForce gives the policy by which disks are decided about.
type PolicyInForce interface {
	// InForce reads the policy again, and returns it with its digest. ErrRefused if
	// what is on disk may not come into force, or does not load.
	InForce(ctx context.Context) (Decider, string, error)
}

// RequestApplyPolicy has the disks in quarantine kept for the shorter times of the
// policy whose digest is the request's subject.
const RequestApplyPolicy = "apply-policy"

// actPolicyApplied is the act of a custody entry of a disk that a policy keeps for
// longer, or protects more, than it was promised.
const actPolicyApplied = "policy-applied"

// detailPolicy is a policy's digest, in a request and in custody entries.
const detailPolicy = "policy"

// PolicyApplier decides about the disks in quarantine anew, by the policy in force.
// What that keeps for longer, or protects more, is done at once. What it would keep
// for a shorter time takes two people: a request of the kind RequestApplyPolicy, by
// one, and another's approval.
//
// What is shortened has its record on the image renewed by the next reconcile run.
// Until then the record promises more than the row, and keeps the disk
// (recordAgrees).
type PolicyApplier struct {
	identity
	inForce PolicyInForce
	totals  Rows
	workers int
}

// NewPolicyApplier makes the PolicyApplier.
func NewPolicyApplier(a *Adopter, p PolicyInForce, t Rows, workers int) *PolicyApplier {
	return &PolicyApplier{identity: a.identity, inForce: p, totals: t, workers: workers}
}

// PolicyApplication is what came of applying a policy.
type PolicyApplication struct {
	Policy string `json:"policy"` // its digest
	Disks  int64  `json:"disks"`  // looked at
	// Longer counts those that are kept for longer now, Stricter those that are
	// protected more, and Protected those that it would have kept for a shorter time,
	// if nothing forbade that.
	Longer    int64 `json:"longer"`
	Stricter  int64 `json:"stricter"`
	Protected int64 `json:"protected"`
	// Shorter counts those that are to be kept for a shorter time: that waits for the
	// approval of Request.
	Shorter int64    `json:"shorter"`
	Request *Request `json:"request,omitempty"`
	// Failed counts those that could not be changed; Errors are of some of them.
	Failed int64    `json:"failed"`
	Errors []string `json:"errors,omitempty"`
}

// maxApplyErrors is how many errors are told of.
const maxApplyErrors = 10

// Apply does what keeps disks for longer, and counts what would keep them for a
// shorter time. It may be repeated. only, where not empty, is the digest of the policy
// that it is about: ErrRefused if another one is on disk. progress may be nil.
func (a *PolicyApplier) Apply(ctx context.Context, actor, reason, only string, progress Progress) (PolicyApplication, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return PolicyApplication{}, err
	}
	p, digest, err := a.inForce.InForce(ctx)
	if err != nil {
		return PolicyApplication{}, fmt.Errorf("apply the policy: %w", err)
	}
	if only != "" && only != digest {
		return PolicyApplication{}, refusedf("the policy on disk is %s now, and not %s that was looked at; look again", digest, only)
	}
	total, err := a.howMany(ctx)
	if err != nil {
		return PolicyApplication{}, fmt.Errorf("apply the policy: count the disks: %w", err)
	}
	res := PolicyApplication{Policy: digest}
	var mu sync.Mutex
	err = a.each(ctx, p, digest, func(d *Disk, re redecision) bool {
		res.Disks++
		if progress != nil && res.Disks%appliedAtOnce == 0 {
			progress(uint64(res.Disks), max(uint64(res.Disks), total))
		}
		switch {
		case re.shorter:
			res.Shorter++
			return false
		case re.protected != nil:
			res.Protected++
		}
		return re.changes(d) || len(d.Copies) > 0 // copies may lag behind, after a crash
	}, func(id string) {
		was, is, err := a.strengthen(ctx, actor, reason, id, p, digest)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			res.Failed++
			if len(res.Errors) < maxApplyErrors {
				res.Errors = append(res.Errors, err.Error())
			}
		case is.end().After(was.end()):
			res.Longer++
		case is.Version != was.Version:
			res.Stricter++
		}
	})
	return res, err
}

func (a *PolicyApplier) howMany(ctx context.Context) (n uint64, err error) {
	totals, err := a.totals.Totals(ctx)
	for _, t := range totals {
		if slices.Contains(atRest().States, t.State) {
			n += uint64(t.Disks)
		}
	}
	return n, err
}

// atRest selects the disks that a policy can be applied to.
func atRest() DiskFilter { return DiskFilter{States: []State{Quarantined, Expiring}} }

// appliedAtOnce is how many disks are gathered before they are worked on.
const appliedAtOnce = 500

// each decides about all disks, and calls do, in parallel, for those that want says.
// It ends when the policy in force becomes another one.
func (a *PolicyApplier) each(ctx context.Context, p Decider, digest string, want func(*Disk, redecision) bool, do func(id string)) error {
	pools := map[PoolRef]Pool{}
	for _, pool := range a.clusters.Pools() {
		pools[pool.PoolRef] = pool
	}
	now := a.ledger.clock().UTC()
	var ids []string
	work := func() error {
		if len(ids) == 0 {
			return nil
		}
		switch _, is, err := a.inForce.InForce(ctx); {
		case err != nil:
			return unread(err)
		case is != digest:
			return refusedf("the policy in force has changed meanwhile")
		}
		err := inParallel(ctx, a.workers, len(ids), func(i int) { do(ids[i]) })
		ids = ids[:0]
		return err
	}
	err := eachDisk(ctx, a.ledger.disks, atRest(), func(d *Disk) error {
		pool, ok := pools[d.Key.PoolRef()]
		if !ok {
			pool = Pool{PoolRef: d.Key.PoolRef()}
		}
		if want(d, redecide(d, p.Decide(FactsOf(*d, pool)), now)) {
			ids = append(ids, d.ID)
		}
		if len(ids) < appliedAtOnce {
			return nil
		}
		return work()
	})
	if err == nil {
		err = work()
	}
	if err != nil {
		return fmt.Errorf("apply the policy: %w", err)
	}
	return nil
}

// unread is the error of a policy that could not be read again: a file that is being
// written may be whole in a moment, so it ends no request.
func unread(err error) error { return fmt.Errorf("%w: read the policy again: %v", ErrUnavailable, err) }

// redecided returns the disk, and what the policy makes of it. The caller has its
// lock.
func (a *PolicyApplier) redecided(ctx context.Context, id string, p Decider) (Disk, redecision, error) {
	d, err := a.ledger.disks.Disk(ctx, id)
	if err != nil {
		return d, redecision{}, err
	}
	return d, redecide(&d, p.Decide(FactsOf(d, a.pool(d.Key.PoolRef()))), a.ledger.clock().UTC()), nil
}

// strengthen lets one disk have what the policy promises it beyond what it has, and
// then its copies.
func (a *PolicyApplier) strengthen(ctx context.Context, actor, reason, id string, p Decider, digest string) (was, is Disk, err error) {
	l := a.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return was, is, err
	}
	defer unlock()
	was, re, err := a.redecided(ctx, id, p)
	if err != nil || re.shorter {
		return was, was, err
	}
	next := re.next
	e := Entry{Act: actPolicyApplied, Actor: actor, Reason: reason, Detail: promised(&next, map[string]string{
		detailPolicy: digest, "rule": next.Decision.Rule, basisKept: was.RetainUntil.UTC().Format(time.RFC3339),
	})}
	if !re.changes(&was) {
		return was, was, a.copies(ctx, was, e)
	}
	if is, err = a.put(ctx, was, next, e); err != nil {
		return was, was, err
	}
	is = l.softSync(ctx, is)
	return was, is, a.copies(ctx, is, e)
}

// put writes the row, after the custody entry, and tells the log of new holds. A disk
// that was expiring, and is not due any more, goes back into quarantine.
func (a *PolicyApplier) put(ctx context.Context, was, next Disk, e Entry) (Disk, error) {
	l := a.ledger
	saved := was
	err := l.witnessed(ctx, was, e, func() (err error) {
		if was.State == Expiring {
			saved, err = l.move(ctx, was, Quarantined, Entry{Actor: e.Actor, Reason: e.Act + ": " + e.Reason}, func(n *Disk) {
				n.Holds, n.RetainUntil, n.Decision, n.RecordStale = next.Holds, next.RetainUntil, next.Decision, true
			})
			return err
		}
		next.RecordStale = true
		return l.around("catalog."+e.Act, func() (err error) {
			if saved, err = l.disks.PutDisk(ctx, next); err != nil {
				return fmt.Errorf("disk %s: write the catalog: %w", was.ID, err)
			}
			return nil
		})
	})
	if err == nil {
		for _, h := range next.Holds[len(was.Holds):] {
			l.note(ctx, saved, Entry{Act: "hold", Actor: h.By, Reason: h.Reason, Detail: map[string]string{"case": h.CaseID}})
		}
	}
	return saved, err
}

// copies keeps the copies of a disk for as long as the disk, and under its open
// holds.
func (a *PolicyApplier) copies(ctx context.Context, d Disk, e Entry) error {
	l := a.ledger
	one := func(id string) error {
		unlock, err := l.lock(ctx, id)
		if err != nil {
			return err
		}
		defer unlock()
		c, err := l.disks.Disk(ctx, id)
		if errors.Is(err, ErrNotFound) || err == nil && c.State != Quarantined && c.State != Expiring {
			return nil
		}
		if err != nil {
			return err
		}
		next := c
		next.RetainUntil = later(c.RetainUntil, d.RetainUntil)
		next.Holds = slices.Clone(c.Holds)
		for _, h := range d.OpenHolds() {
			if openHold(c.Holds, h.CaseID) < 0 {
				next.Holds = append(next.Holds, h)
			}
		}
		if next.RetainUntil.Equal(c.RetainUntil) && len(next.Holds) == len(c.Holds) {
			return nil
		}
		e.Detail = promised(&next, map[string]string{detailPolicy: e.Detail[detailPolicy], "copy_of": d.ID})
		saved, err := a.put(ctx, c, next, e)
		if err != nil {
			return err
		}
		l.softSync(ctx, saved)
		return nil
	}
	for _, ref := range d.Copies {
		if err := one(ref.Disk); err != nil {
			return fmt.Errorf("disk %s is changed, its copy is not: %w", d.ID, err)
		}
	}
	return nil
}

// applyPolicy is the act of requests of the kind RequestApplyPolicy: it keeps disks
// for the shorter times of the policy that two people agreed upon.
//
// What they agreed upon is the policy, by its digest, and the disks that it
// shortened when the request was made: a disk that came, was held or released since
// is left out, one that was extended is not shortened anyway, and of another policy
// in force nothing is done. Each disk is decided about once more, under its lock, and
// the custody log has the shortening before the row has it. Nothing is marked or
// removed here: that is the collector's, when the record on the image says the new
// date, too (shorten has why), and after its grace.
type applyPolicy struct{ applier *PolicyApplier }

// Shorten is the act of an approved application of a policy.
func (a *PolicyApplier) Shorten() RequestAct { return &applyPolicy{a} }

// lengthy: a million disks take their time; the sweep has it.
func (*applyPolicy) lengthy() {}

func (p *applyPolicy) Prepare(ctx context.Context, r *Request) error {
	policy, err := p.agreed(ctx, *r)
	if err != nil {
		return err
	}
	var disks, bytes int64
	err = p.applier.each(ctx, policy, r.Subject, func(d *Disk, re redecision) bool {
		if re.shorter {
			disks++
			bytes += d.SizeBytes
		}
		return false
	}, nil)
	switch {
	case err != nil:
		return err
	case disks == 0:
		return refusedf("policy %s keeps no disk for a shorter time than it was promised, or those that it does are protected", r.Subject)
	}
	r.Detail = map[string]string{"disks": fmt.Sprint(disks), "bytes": fmt.Sprint(bytes)}
	return nil
}

// agreed returns the policy that the request is about, while it is in force.
func (p *applyPolicy) agreed(ctx context.Context, r Request) (Decider, error) {
	policy, digest, err := p.applier.inForce.InForce(ctx)
	switch {
	case err != nil:
		return nil, err
	case digest != r.Subject:
		return nil, p.another(digest, r)
	}
	return policy, nil
}

func (p *applyPolicy) Check(ctx context.Context, r Request) error {
	_, err := p.agreed(ctx, r)
	return err
}

func (p *applyPolicy) Do(ctx context.Context, r Request) error {
	if r.RequestedBy == r.DecidedBy {
		return refusedf("request %s was approved by who made it", r.ID)
	}
	policy, digest, err := p.applier.inForce.InForce(ctx)
	switch {
	case err != nil:
		return unread(err)
	case digest != r.Subject:
		return p.another(digest, r)
	}
	// Again while there were some: what leaves the selection in the middle of it can
	// hide others.
	for first := true; ; first = false {
		var mu sync.Mutex
		var errs []error
		var failed, done atomic.Int64
		err := p.applier.each(ctx, policy, r.Subject, func(d *Disk, re redecision) bool {
			return re.shorter || first && p.did(&r, d)
		}, func(id string) {
			switch shorter, err := p.shortenOne(ctx, r, id, policy); {
			case err != nil && failed.Add(1) <= maxApplyErrors:
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			case shorter:
				done.Add(1)
			}
		})
		if n := failed.Load(); n > 0 {
			return errors.Join(err, fmt.Errorf("%w: %d disks are not shortened, %d are: %v", ErrUnavailable, n, done.Load(), errors.Join(errs...)))
		}
		if err != nil || done.Load() == 0 {
			return err
		}
	}
}

func (*applyPolicy) another(digest string, r Request) error {
	return refusedf("the policy in force is %s, and not %s any more; apply that, if it is what you want", digest, r.Subject)
}

func (p *applyPolicy) did(r *Request, d *Disk) bool {
	return d.Shortened != nil && d.Shortened.Request == r.ID
}

// changedSince reports whether the disk came into quarantine, was held or released,
// or was first explained, at that time or later.
func (d *Disk) changedSince(at time.Time) bool {
	return d.Deletion != nil && !d.Deletion.ReceivedAt.Before(at) || !d.QuarantinedAt.Before(at) || slices.ContainsFunc(d.Holds, func(h Hold) bool { return !h.PlacedAt.Before(at) || !h.Released.Before(at) })
}

// outdated reports whether a custody entry of a disk says that the request is not
// about it any more. It was shortened already: a catalog that was put back from a
// backup forgets that, and what people decided since. Or it came to rest, for the first
// time or again, since the request was made: then nobody has counted it.
func (r *Request) outdated(e Entry) bool {
	switch e.Act {
	case actShorten:
		return e.Outcome == OutcomeDone && e.Detail[detailRequest] == r.ID
	case "seal", "restore", "restore-undone", "kept", actUnevict: // a restore that failed, too
		return !e.At.Before(r.RequestedAt)
	}
	return false
}

// shortenOne reports whether it has shortened the disk.
func (p *applyPolicy) shortenOne(ctx context.Context, r Request, id string, policy Decider) (bool, error) {
	l := p.applier.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return false, err
	}
	defer unlock()
	d, re, err := p.applier.redecided(ctx, id, policy)
	if err != nil {
		return false, err
	}
	if p.did(&r, &d) {
		return false, p.tellEnd(ctx, r, d)
	}
	if !re.shorter || d.changedSince(r.RequestedAt) {
		return false, nil // it changed meanwhile
	}
	entries, err := l.past.Entries(ctx, d.ID)
	if err != nil || slices.ContainsFunc(entries, func(e Entry) bool { return r.outdated(e) }) {
		return false, err
	}
	next := re.next
	next.Shortened = &Shortening{Request: r.ID, RequestedBy: r.RequestedBy, ApprovedBy: r.DecidedBy, From: d.RetainUntil, To: next.RetainUntil, Policy: r.Subject}
	_, err = p.applier.put(ctx, d, next, p.entry(r, &next))
	return err == nil, err
}

func (p *applyPolicy) entry(r Request, d *Disk) Entry {
	return Entry{Act: actShorten, Actor: r.RequestedBy, Reason: r.Reason, Detail: promised(d, map[string]string{
		detailRequest: r.ID, detailKind: r.Kind, detailApproved: r.DecidedBy, basisKept: d.Shortened.From.UTC().Format(time.RFC3339),
		detailPolicy: r.Subject, "then_rule": d.Decision.Rule,
	})}
}

// tellEnd writes the end of a shortening that a crash kept from the log.
func (p *applyPolicy) tellEnd(ctx context.Context, r Request, d Disk) error {
	l := p.applier.ledger
	told, err := l.happened(ctx, d.ID, actShorten, r.ID)
	if err == nil && !told && d.RetainUntil.Equal(d.Shortened.To) {
		l.note(ctx, d, p.entry(r, &d))
	}
	return err
}
