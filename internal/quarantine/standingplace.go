package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// StandingHolds places and releases standing holds, and looks after what slipped by
// them. The adopter and the recorder apply them (identity.holdBy): within the
// adoption, before the disk is quarantined, and whenever a Deletion explains a disk
// anew.
type StandingHolds struct {
	identity
	store StandingStore
	every time.Duration

	sweeping sync.Mutex
	// swept are the standing holds that need no other look.
	swept map[string]bool
}

// NewStandingHolds makes the service. every is how often Run sweeps.
func NewStandingHolds(a *Adopter, store StandingStore, every time.Duration) *StandingHolds {
	return &StandingHolds{identity: a.identity, store: store, every: every, swept: map[string]bool{}}
}

// Place makes a standing hold. One for the same case and selector that is open is
// success and changes nothing. ErrInvalid for a selector that is none.
func (h *StandingHolds) Place(ctx context.Context, actor string, s StandingHold) (StandingHold, error) {
	err := errors.Join(required(actor, "who"), required(s.CaseID, "the case id"), required(s.Reason, "a reason"), required(s.Value, "the value"))
	now := h.ledger.clock().UTC().Truncate(time.Second)
	switch {
	case err != nil:
		return s, err
	case s.Value != strings.TrimSpace(s.Value) || strings.ContainsFunc(s.Value, func(r rune) bool { return !unicode.IsPrint(r) }):
		// It would match nothing, and nobody would see that it does not.
		return s, invalidf("the value %q has spaces at its ends, or characters that cannot be seen; an id has none", s.Value)
	case !slices.Contains(StandingKinds(), s.Kind):
		return s, invalidf("%q is none of %v", s.Kind, StandingKinds())
	case s.Kind == StandingAddress && plainAddress(s.Value) == "":
		return s, invalidf("%q is neither an IP nor a MAC address", s.Value)
	case !s.Until.IsZero() && !s.Until.After(now):
		return s, invalidf("a standing hold until %s is over already", s.Until.UTC().Format(time.RFC3339))
	}
	unlock, err := h.ledger.lock(ctx, "standing")
	if err != nil {
		return s, err
	}
	defer unlock()
	all, err := h.store.StandingHolds(ctx)
	if err != nil {
		return s, err
	}
	for _, o := range all {
		if o.Open(now) && o.CaseID == s.CaseID && o.Kind == s.Kind && o.Value == s.Value && o.Until.Equal(s.Until) {
			return o, nil
		}
	}
	// How many there are tells it from one that was released in this moment.
	s.ID = digest("standing", s.CaseID, string(s.Kind), s.Value, h.ledger.clock().UTC().Format(time.RFC3339Nano), fmt.Sprint(len(all)))
	s.By, s.At, s.ReleasedAt, s.ReleasedBy, s.ReleaseReason, s.Version = actor, now, time.Time{}, "", "", 0
	if !s.Until.IsZero() {
		s.Until = s.Until.UTC().Truncate(time.Second)
	}
	e := Entry{Act: actStandingHold, Actor: actor, Reason: s.Reason, Detail: map[string]string{
		detailStanding: s.ID, "case": s.CaseID, detailKind: string(s.Kind), "value": s.Value,
	}}
	if !s.Until.IsZero() {
		e.Detail[detailUntil] = s.Until.Format(time.RFC3339)
	}
	return h.put(ctx, s, e)
}

// The acts of custody entries about standing holds, which are about no disk.
const (
	actStandingHold    = "standing-hold"
	actStandingRelease = "standing-release"
)

func (h *StandingHolds) put(ctx context.Context, s StandingHold, e Entry) (StandingHold, error) {
	saved := s
	err := h.ledger.witnessed(ctx, Disk{}, e, func() (err error) {
		saved, err = h.store.PutStandingHold(ctx, s)
		return err
	})
	h.ledger.standing.forget()
	if err != nil {
		return s, fmt.Errorf("standing hold %s: %w", s.ID, err)
	}
	return saved, nil
}

// Release ends a standing hold. What it has held stays held. ErrNotFound if there is
// none, or it was released.
func (h *StandingHolds) Release(ctx context.Context, actor, id, reason string) (StandingHold, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return StandingHold{}, err
	}
	unlock, err := h.ledger.lock(ctx, "standing")
	if err != nil {
		return StandingHold{}, err
	}
	defer unlock()
	all, err := h.store.StandingHolds(ctx)
	if err != nil {
		return StandingHold{}, err
	}
	i := slices.IndexFunc(all, func(s StandingHold) bool { return s.ID == id && s.ReleasedAt.IsZero() })
	if i < 0 {
		return StandingHold{}, fmt.Errorf("open standing hold %s: %w", id, ErrNotFound)
	}
	s := all[i]
	s.ReleasedBy, s.ReleasedAt, s.ReleaseReason = actor, h.ledger.clock().UTC().Truncate(time.Second), reason
	return h.put(ctx, s, Entry{Act: actStandingRelease, Actor: actor, Reason: reason, Detail: map[string]string{detailStanding: s.ID, "case": s.CaseID}})
}

// All returns all standing holds, the oldest first, released ones too.
func (h *StandingHolds) All(ctx context.Context) ([]StandingHold, error) {
	return h.store.StandingHolds(ctx)
}

// Restore gives the catalog the standing holds that the custody log has and it lacks,
// as when it was lost. It is called before anything is adopted. Of a log that is
// damaged what can be read is taken: it holds more at worst.
func (h *StandingHolds) Restore(ctx context.Context) error {
	known, err := h.store.StandingHolds(ctx)
	if err != nil {
		return err
	}
	entries, logErr := h.ledger.past.Entries(ctx, "")
	if logErr != nil {
		h.ledger.log.Error("custody log cannot be read; standing holds may be missing", "error", logErr)
	}
	var told []StandingHold
	for _, e := range entries {
		id := e.Detail[detailStanding]
		switch i := slices.IndexFunc(told, func(s StandingHold) bool { return s.ID == id }); {
		// An intent counts: whether the row was written is what nobody knows now.
		case e.Act == actStandingHold && i < 0 && (e.Outcome == OutcomeDone || e.Outcome == OutcomeIntent):
			s := StandingHold{
				ID: id, CaseID: e.Detail["case"], Reason: e.Reason, Kind: StandingKind(e.Detail[detailKind]), Value: e.Detail["value"],
				By: e.Actor, At: e.At.UTC().Truncate(time.Second),
			}
			if until, err := time.Parse(time.RFC3339, e.Detail[detailUntil]); err == nil {
				s.Until = until.UTC()
			}
			told = append(told, s)
		case e.Act == actStandingRelease && i >= 0 && e.Outcome == OutcomeDone:
			told[i].ReleasedBy, told[i].ReleasedAt, told[i].ReleaseReason = e.Actor, e.At.UTC().Truncate(time.Second), e.Reason
		}
	}
	defer h.ledger.standing.forget()
	for _, s := range told {
		if slices.ContainsFunc(known, func(k StandingHold) bool { return k.ID == s.ID }) {
			continue
		}
		if _, err := h.store.PutStandingHold(ctx, s); err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("standing hold %s, from the custody log: %w", s.ID, err)
		}
		h.ledger.log.Warn("standing hold taken over from the custody log", "standing", s.ID, "case", s.CaseID, "open", s.ReleasedAt.IsZero())
	}
	return nil
}

// Sweep looks again at disks that a standing hold may have missed: those that were
// adopted while it could not be read, and those whose adoption was under way while it
// was placed. Each hold is looked after once it is a minute old, in each process.
func (h *StandingHolds) Sweep(ctx context.Context) error {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	all, err := h.ledger.standing.holds(ctx)
	if err != nil {
		return err
	}
	errs := []error{h.sweepSome(ctx, all, DiskFilter{HoldsUnchecked: true})}
	now := h.ledger.clock()
	for _, s := range all {
		if h.swept[s.ID] || !s.Open(now) {
			continue
		}
		err := h.sweepSome(ctx, all, s.filter())
		errs = append(errs, err)
		h.swept[s.ID] = err == nil && now.Sub(s.At) > time.Minute
	}
	return errors.Join(errs...)
}

// sweepSome holds what is missed among the disks that the filter selects.
func (h *StandingHolds) sweepSome(ctx context.Context, all []StandingHold, f DiskFilter) error {
	f.States = []State{Pending, Quarantined, Expiring, Restoring}
	var missed []string
	for f.Limit = pageOfDisks; ; f.Offset += f.Limit {
		page, err := h.ledger.disks.FindDisks(ctx, f)
		if err != nil {
			return fmt.Errorf("find the disks that standing holds may have missed: %w", err)
		}
		for _, d := range page {
			if h.missed(all, &d) {
				missed = append(missed, d.ID)
			}
		}
		if len(page) < f.Limit {
			break
		}
	}
	var errs []error
	for _, id := range missed {
		if err := h.holdOne(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("disk %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// filter selects the disks that it may match and that may have been adopted before
// everybody knew of it. Those that died later were.
func (s *StandingHold) filter() DiskFilter {
	f := DiskFilter{DeletedFrom: s.At.Add(-MaxGap), DeletedTo: s.At.Add(time.Hour)}
	switch s.Kind {
	case StandingUser, StandingDeleter:
		f.User = s.Value
	case StandingProject:
		f.Project = s.Value
	case StandingVM:
		f.VM = s.Value
	case StandingAddress:
		f.Address = s.Value
	case StandingCloud:
		// Of an unexplained disk only its pool tells the cloud (Matches).
	}
	return f
}

func (h *StandingHolds) missed(all []StandingHold, d *Disk) bool {
	return d.HoldsUnchecked || slices.ContainsFunc(all, func(s StandingHold) bool {
		return s.ReleasedAt.IsZero() && !s.held(d) && s.Matches(d, h.cloudOf(d.Key.PoolRef()))
	})
}

// holdOne places what is missing on one disk. One that was expiring goes back into
// quarantine.
func (h *StandingHolds) holdOne(ctx context.Context, id string) error {
	l := h.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil || !d.State.InQuarantine() || d.State == Purging {
		return err
	}
	next := d
	placed := h.holdBy(ctx, &next, l.clock())
	if next.HoldsUnchecked {
		return errUnchecked
	}
	next.RecordStale = true
	var saved Disk
	if d.State == Expiring && next.Held() {
		saved, err = l.move(ctx, d, Quarantined, Entry{Actor: "standing holds", Reason: "a standing hold is on it"}, func(n *Disk) {
			n.Holds, n.HoldsUnchecked, n.RecordStale = next.Holds, false, true
		})
	} else {
		saved, err = l.disks.PutDisk(ctx, next)
	}
	if err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	l.noteAll(ctx, saved, placed)
	if saved.State == Quarantined || saved.State == Expiring {
		l.softSync(ctx, saved)
	}
	return nil
}

// Run sweeps at once, and then every now and then, until ctx ends.
func (h *StandingHolds) Run(ctx context.Context) error {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		if err := h.Sweep(ctx); err != nil && ctx.Err() == nil {
			h.ledger.log.Error("standing holds", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
