package quarantine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Approvals keeps the acts that take two people: one asks, another approves, and
// the approval performs the act.
//
// The order of the steps, and why:
//
//  1. the custody log has who asked, then the catalog has the request;
//  2. the act is checked, and the approval refused where it could not be done: the
//     request stays open, and somebody may mend what is in the way;
//  3. the custody log has who approved, then the row becomes approved. Nothing is
//     done before both are durable: an act whose approval nobody can prove is worse
//     than one that is late;
//  4. the act is done. It checks everything once more, under the disk's own lock,
//     and its custody entry names the request;
//  5. the row becomes done, or refused with the reason.
//
// After a crash between 3 and 5 the sweep performs the act again; the entry of 4
// tells whether it was done. No act begins once its request has expired.
type Approvals struct {
	ledger   *Ledger
	requests Requests
	acts     map[string]RequestAct
	cfg      ApprovalsConfig
	woken    chan struct{} // has one when a lengthy act waits
}

// ApprovalsConfig tunes the Approvals.
type ApprovalsConfig struct {
	// Expire is how long a request may wait for its approval, and for its act.
	Expire time.Duration
	// Alone lets whoever may approve have a disk purged early without a second
	// person. A shortening takes two in any case.
	Alone bool
	// Every is how often it is looked for requests to expire or to go on with.
	Every time.Duration
}

// NewApprovals makes the service. acts are the kinds of requests there are.
func NewApprovals(l *Ledger, requests Requests, acts map[string]RequestAct, cfg ApprovalsConfig) *Approvals {
	return &Approvals{ledger: l, requests: requests, acts: maps.Clone(acts), cfg: cfg, woken: make(chan struct{}, 1)}
}

// Wish is what somebody asks for.
type Wish struct {
	Kind    string
	Subject string
	Reason  string
	// Until is the new date of a shortening.
	Until time.Time
	// MayApprove says that the person might approve others' requests.
	MayApprove bool
}

// Ask makes a request. ErrInvalid for one of no known kind, ErrExists if one of
// this kind about the subject is open, ErrRefused where the act could not be done
// anyway. Where one person is enough, it is done at once.
func (a *Approvals) Ask(ctx context.Context, actor string, w Wish) (Request, error) {
	if err := errors.Join(required(actor, "who"), required(w.Reason, "a reason"), required(w.Subject, "the subject")); err != nil {
		return Request{}, err
	}
	act := a.acts[w.Kind]
	if act == nil {
		return Request{}, invalidf("there are no requests of the kind %q", w.Kind)
	}
	// Two that ask for the same at once are one request.
	unlock, err := a.ledger.lock(ctx, "ask/"+w.Kind+"/"+w.Subject)
	if err != nil {
		return Request{}, err
	}
	defer unlock()
	if err := a.noneOpen(ctx, w); err != nil {
		return Request{}, err
	}
	now := a.ledger.clock().UTC()
	r := Request{
		ID: digest("request", w.Kind, w.Subject, actor, now.Format(time.RFC3339Nano)), Kind: w.Kind, Subject: w.Subject, Reason: w.Reason,
		RequestedBy: actor, RequestedAt: now.Truncate(time.Second), ExpiresAt: now.Add(a.cfg.Expire).Truncate(time.Second), State: RequestOpen,
	}
	if !w.Until.IsZero() {
		r.Detail = map[string]string{detailUntil: w.Until.UTC().Truncate(time.Second).Format(time.RFC3339)}
	}
	if err := act.Prepare(ctx, &r); err != nil {
		return Request{}, err
	}
	r, err = a.put(ctx, r, r.entry(actRequest, actor, w.Reason))
	if err != nil || !a.cfg.Alone || !w.MayApprove || w.Kind != RequestPurgeEarly {
		return r, err
	}
	return a.approve(ctx, actor, r.ID, "asked for alone: approvals are not required", true)
}

func (a *Approvals) noneOpen(ctx context.Context, w Wish) error {
	there, err := a.requests.FindRequests(ctx, RequestFilter{States: []RequestState{RequestOpen, RequestApproved}, Kind: w.Kind, Subject: w.Subject})
	if err != nil {
		return fmt.Errorf("look for open requests: %w", err)
	}
	for _, r := range there {
		if !a.over(r) {
			return fmt.Errorf("request %s for the same, by %s, is %s: %w", r.ID, r.RequestedBy, r.State, ErrExists)
		}
	}
	return nil
}

// over reports whether the request's time is over.
func (a *Approvals) over(r Request) bool { return !a.ledger.clock().Before(r.ExpiresAt) }

// put writes the custody entry, and then the row.
func (a *Approvals) put(ctx context.Context, r Request, e Entry) (Request, error) {
	saved := r
	err := a.ledger.witnessed(ctx, Disk{ID: r.toldUnder()}, e, func() (err error) {
		return a.ledger.around("catalog.request."+string(r.State), func() (err error) {
			saved, err = a.requests.PutRequest(ctx, r)
			return err
		})
	})
	if err != nil {
		return r, fmt.Errorf("request %s: %s: %w", r.ID, e.Act, err)
	}
	return saved, nil
}

// Approve agrees to another person's request and performs its act. ErrRefused for
// one's own, for one that is not open any more, and where the act cannot be done;
// another error means that it is approved, and that the sweep goes on with it.
func (a *Approvals) Approve(ctx context.Context, actor, id, reason string) (Request, error) {
	return a.approve(ctx, actor, id, reason, false)
}

func (a *Approvals) approve(ctx context.Context, actor, id, reason string, alone bool) (Request, error) {
	return a.decide(ctx, actor, id, reason, actApprove, func(r Request, e Entry) (Request, error) {
		if r.RequestedBy == actor && !alone {
			return r, a.ledger.refuse(ctx, Disk{ID: r.toldUnder()}, e, refusedf("request %s is your own; it takes another person to approve it", id))
		}
		if r, err := a.endedBefore(ctx, r); err != nil {
			return r, err
		}
		act := a.acts[r.Kind]
		if act == nil {
			return r, refusedf("request %s is of the kind %q, which this program does not know", id, r.Kind)
		}
		if err := act.Check(ctx, r); err != nil {
			return r, a.ledger.refuse(ctx, Disk{ID: r.toldUnder()}, e, err)
		}
		r.State = RequestApproved
		r, err := a.put(ctx, decided(r, actor, reason, a.ledger.clock()), e)
		if err != nil {
			return r, err
		}
		if _, later := act.(lengthyAct); later {
			a.wake()
			return r, nil
		}
		return a.perform(context.WithoutCancel(ctx), r)
	})
}

// endedBefore refuses a request that the catalog has as open and the custody log as
// decided or expired: the catalog was put back from a backup, and a no, or a use, that
// came later must not be forgotten with it. The row is brought up to date. A log that
// cannot be read refuses too.
func (a *Approvals) endedBefore(ctx context.Context, r Request) (Request, error) {
	entries, err := a.ledger.past.Entries(ctx, r.toldUnder())
	if err != nil {
		return r, fmt.Errorf("read from the custody log what became of request %s: %w", r.ID, err)
	}
	states := map[string]RequestState{actApprove: RequestRefused, "deny": RequestDenied, "withdraw": RequestWithdrawn, "request-expired": RequestExpired}
	if err := a.ensureTold(ctx, r, entries, r.entry(actRequest, r.RequestedBy, r.Reason)); err != nil {
		return r, a.end(ctx, r, err)
	}
	for _, e := range entries {
		state, ends := states[e.Act]
		if !ends || e.Outcome != OutcomeDone || e.Detail[detailRequest] != r.ID {
			continue
		}
		refused := refusedf("request %s is open in the catalog, but by the custody log (%s at %s) it is not: the catalog was put back from a backup; ask anew",
			r.ID, e.Act, e.At.UTC().Format(time.RFC3339))
		r.State, r.Outcome = state, refused.Error()
		saved, err := a.requests.PutRequest(ctx, r)
		if err != nil {
			return r, errors.Join(refused, fmt.Errorf("request %s: write what came of it: %w", r.ID, err))
		}
		return saved, refused
	}
	return r, nil
}

// ensureTold refuses a request of which the custody log does not know who asked, or
// who approved: a row can be written by whoever has the catalog. Where a crash kept
// the end of that act from the log, it is written now; else nobody could prove later
// that two people agreed.
func (a *Approvals) ensureTold(ctx context.Context, r Request, entries []Entry, by Entry) error {
	begun := false
	for _, e := range entries {
		if e.Act != by.Act || e.Actor != by.Actor || !maps.Equal(e.Detail, by.Detail) {
			continue // also of what was not asked for so
		}
		if d := e.At.Sub(r.RequestedAt); by.Act == actRequest && (d < -time.Second || d > time.Minute) {
			continue
		}
		if e.Outcome == OutcomeDone {
			return nil
		}
		begun = e.Outcome == OutcomeIntent // and not one that failed
	}
	if !begun {
		return refusedf("request %s: the custody log does not have that %s did so (%s); ask anew", r.ID, by.Actor, by.Act)
	}
	a.ledger.note(ctx, Disk{ID: r.toldUnder()}, by)
	return nil
}

// Deny ends a request with a no.
func (a *Approvals) Deny(ctx context.Context, actor, id, reason string) (Request, error) {
	return a.decide(ctx, actor, id, reason, "deny", func(r Request, e Entry) (Request, error) {
		r.State = RequestDenied
		return a.put(ctx, decided(r, actor, reason, a.ledger.clock()), e)
	})
}

// Withdraw ends one's own request.
func (a *Approvals) Withdraw(ctx context.Context, actor, id, reason string) (Request, error) {
	return a.decide(ctx, actor, id, reason, "withdraw", func(r Request, e Entry) (Request, error) {
		if r.RequestedBy != actor {
			return r, refusedf("request %s is %s's, who alone can withdraw it; an admin can deny it", id, r.RequestedBy)
		}
		r.State = RequestWithdrawn
		return a.put(ctx, decided(r, actor, reason, a.ledger.clock()), e)
	})
}

func decided(r Request, actor, reason string, now time.Time) Request {
	r.DecidedBy, r.DecidedAt, r.DecisionReason = actor, now.UTC().Truncate(time.Second), reason
	return r
}

// decide does something with a request that is open, alone.
func (a *Approvals) decide(ctx context.Context, actor, id, reason, act string, do func(Request, Entry) (Request, error)) (Request, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return Request{}, err
	}
	unlock, err := a.ledger.lock(ctx, "request/"+id)
	if err != nil {
		return Request{}, err
	}
	defer unlock()
	r, err := a.requests.Request(ctx, id)
	switch {
	case err != nil:
		return r, err
	case r.State != RequestOpen:
		return r, refusedf("request %s is %s", id, r.State)
	case a.over(r):
		if r, err = a.expire(ctx, r, ""); err != nil {
			return r, err
		}
		return r, refusedf("request %s expired at %s; ask anew", id, r.ExpiresAt.Format(time.RFC3339))
	}
	return do(r, r.entry(act, actor, reason))
}

func (a *Approvals) expire(ctx context.Context, r Request, outcome string) (Request, error) {
	r.State, r.Outcome = RequestExpired, outcome
	return a.put(ctx, r, r.entry("request-expired", "approvals", "nobody approved it, or it could not be done, in time"))
}

// perform does the act of an approved request. The caller has its lock.
func (a *Approvals) perform(ctx context.Context, r Request) (Request, error) {
	act := a.acts[r.Kind]
	_, lengthy := act.(lengthyAct) // it was begun in time, and may take longer
	switch {
	case a.over(r) && !lengthy:
		return a.expire(ctx, r, "it was approved, and its end was not noted before it expired; the custody log has what was done")
	case act == nil:
		return r, refusedf("request %s is of the kind %q, which this program does not know", r.ID, r.Kind)
	}
	err := act.Do(ctx, r)
	next := r
	switch {
	case err == nil:
		next.State, next.Outcome, next.DoneAt = RequestDone, "", a.ledger.clock().UTC().Truncate(time.Second)
	case errors.Is(err, ErrRefused), errors.Is(err, ErrInvalid), errors.Is(err, ErrNotFound):
		next.State, next.Outcome = RequestRefused, err.Error()
	default:
		next.Outcome = err.Error()
		err = fmt.Errorf("request %s is approved, and is gone on with until it expires: %w", r.ID, err)
	}
	saved, perr := a.requests.PutRequest(ctx, next)
	if perr != nil {
		return next, errors.Join(err, fmt.Errorf("request %s: write what came of it: %w", r.ID, perr))
	}
	return saved, err
}

// Sweep expires the requests whose time is over, and goes on with those that were
// approved and not done.
func (a *Approvals) Sweep(ctx context.Context) error {
	there, err := a.requests.FindRequests(ctx, RequestFilter{States: []RequestState{RequestOpen, RequestApproved}})
	if err != nil {
		return fmt.Errorf("find the requests to look after: %w", err)
	}
	var errs []error
	for _, r := range there {
		errs = append(errs, a.sweepOne(ctx, r.ID))
	}
	return errors.Join(errs...)
}

func (a *Approvals) sweepOne(ctx context.Context, id string) error {
	unlock, err := a.ledger.lock(ctx, "request/"+id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := a.requests.Request(ctx, id)
	switch {
	case err != nil:
		return err
	case r.State == RequestApproved:
		err = a.goOn(ctx, r)
	case r.State == RequestOpen && a.over(r):
		_, err = a.expire(ctx, r, "")
	}
	return err
}

// goOn performs the act of a request that was approved, and was not done.
func (a *Approvals) goOn(ctx context.Context, r Request) error {
	entries, err := a.ledger.past.Entries(ctx, r.toldUnder())
	if err != nil {
		return fmt.Errorf("read from the custody log who approved request %s: %w", r.ID, err)
	}
	err = a.ensureTold(ctx, r, entries, r.entry(actRequest, r.RequestedBy, r.Reason))
	if err == nil {
		err = a.ensureTold(ctx, r, entries, r.entry(actApprove, r.DecidedBy, r.DecisionReason))
	}
	if err != nil {
		return a.end(ctx, r, err)
	}
	_, err = a.perform(ctx, r)
	return err
}

// end makes a request refused for good, and returns why.
func (a *Approvals) end(ctx context.Context, r Request, why error) error {
	r.State, r.Outcome = RequestRefused, why.Error()
	_, err := a.requests.PutRequest(ctx, r)
	return errors.Join(why, err)
}

// Run sweeps at once, and then every now and then, until ctx ends.
func (a *Approvals) Run(ctx context.Context) error {
	tick := time.NewTicker(a.cfg.Every)
	defer tick.Stop()
	for {
		if err := a.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.ledger.log.Error("requests", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.woken:
		}
	}
}

// wake has Run sweep at once.
func (a *Approvals) wake() {
	select {
	case a.woken <- struct{}{}:
	default: // it will
	}
}
