package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Case is what holds are placed for.
type Case struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// People are those who may be asked about it.
	People []string `json:"people,omitempty"`
	// Deadline is when somebody should look whether it is still needed; zero: never.
	// Nothing is released when it passes.
	Deadline    time.Time `json:"deadline,omitzero"`
	OpenedBy    string    `json:"opened_by"`
	OpenedAt    time.Time `json:"opened_at"`
	ClosedBy    string    `json:"closed_by,omitempty"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	CloseReason string    `json:"close_reason,omitempty"`
	// Version counts the changes of the row. It lives in the catalog only.
	Version int64 `json:"-"`
}

// Open reports whether the case is open.
func (c *Case) Open() bool { return c.ClosedAt.IsZero() }

// Overdue reports whether the case is open beyond its deadline.
func (c *Case) Overdue(now time.Time) bool {
	return c.Open() && !c.Deadline.IsZero() && !now.Before(c.Deadline)
}

// CaseStore is the part of the catalog that keeps cases. The holds are on the disks:
// a catalog that is lost forgets titles and people only, and those are in the custody
// log.
type CaseStore interface {
	// Case returns the case of that id. ErrNotFound.
	Case(ctx context.Context, id string) (Case, error)
	// Cases returns all cases, the oldest first.
	Cases(ctx context.Context) ([]Case, error)
	// PutCase writes the case if the catalog's version of it is c.Version (zero:
	// there is none yet). ErrConflict if somebody was faster.
	PutCase(ctx context.Context, c Case) (Case, error)
}

// Cases opens and closes cases, and places holds for them.
type Cases struct {
	*Holds
	store    CaseStore
	standing *StandingHolds
}

// NewCases makes the service.
func NewCases(h *Holds, store CaseStore, standing *StandingHolds) *Cases {
	return &Cases{Holds: h, store: store, standing: standing}
}

// Hold is Holds.Hold. A case that nobody has opened is opened, with the reason as its
// title, and one that was closed is open again: who holds in a hurry must not be
// stopped, nor be by a catalog that cannot write a case.
func (s *Cases) Hold(ctx context.Context, actor, id, caseID, reason string) (Disk, error) {
	if err := errors.Join(required(actor, "who"), required(caseID, "the case id"), required(reason, "a reason")); err != nil {
		return Disk{}, err
	}
	unlock, err := s.lockCase(ctx, caseID)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := s.Holds.Hold(ctx, actor, id, caseID, reason)
	if err != nil {
		return d, err
	}
	s.ensure(ctx, actor, caseID, reason)
	return d, nil
}

// PlaceStanding is StandingHolds.Place, for a case that is opened as by Hold.
func (s *Cases) PlaceStanding(ctx context.Context, actor string, w StandingHold) (StandingHold, error) {
	unlock, err := s.lockCase(ctx, w.CaseID)
	if err != nil {
		return w, err
	}
	defer unlock()
	h, err := s.standing.Place(ctx, actor, w)
	if err == nil {
		s.ensure(ctx, actor, w.CaseID, w.Reason)
	}
	return h, err
}

// lockCase keeps a case from being closed while a hold is placed for it.
func (s *Cases) lockCase(ctx context.Context, id string) (func(), error) {
	return s.ledger.lock(ctx, "case/"+id)
}

// ensure opens the case, if it is not.
func (s *Cases) ensure(ctx context.Context, actor, id, reason string) {
	c, err := s.store.Case(ctx, id)
	switch {
	case err == nil && c.Open():
		return
	case err == nil:
		c.ClosedAt, c.ClosedBy, c.CloseReason = time.Time{}, "", ""
		_, err = s.put(ctx, c, caseEntry("case-open", actor, "a hold was placed for it again", c))
	case errors.Is(err, ErrNotFound):
		c = Case{ID: id, Title: reason, OpenedBy: actor, OpenedAt: s.ledger.clock().UTC().Truncate(time.Second)}
		_, err = s.put(ctx, c, caseEntry("case-open", actor, "a hold was placed for it", c))
	}
	if err != nil {
		s.ledger.log.Warn("the hold is placed, and its case is not opened", "case", id, "error", err)
	}
}

func caseEntry(act, actor, reason string, c Case) Entry {
	e := Entry{Act: act, Actor: actor, Reason: reason, Detail: map[string]string{"case": c.ID, "title": c.Title}}
	for i, p := range c.People {
		e.Detail[fmt.Sprintf("person_%d", i+1)] = p
	}
	if !c.Deadline.IsZero() {
		e.Detail["deadline"] = c.Deadline.UTC().Format(time.RFC3339)
	}
	return e
}

func (s *Cases) put(ctx context.Context, c Case, e Entry) (Case, error) {
	saved := c
	err := s.ledger.witnessed(ctx, Disk{}, e, func() (err error) {
		saved, err = s.store.PutCase(ctx, c)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	return saved, nil
}

// OpenCase opens a case. ErrExists if there is one of that id, ErrInvalid without an
// id or a title.
func (s *Cases) OpenCase(ctx context.Context, actor string, c Case) (Case, error) {
	if err := errors.Join(required(actor, "who"), required(c.ID, "the case id"), required(c.Title, "a title")); err != nil {
		return c, err
	}
	unlock, err := s.lockCase(ctx, c.ID)
	if err != nil {
		return c, err
	}
	defer unlock()
	switch _, err := s.store.Case(ctx, c.ID); {
	case err == nil:
		return c, fmt.Errorf("case %s: %w", c.ID, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return c, err
	}
	c.OpenedBy, c.OpenedAt = actor, s.ledger.clock().UTC().Truncate(time.Second)
	c.ClosedBy, c.ClosedAt, c.CloseReason, c.Version = "", time.Time{}, "", 0
	return s.put(ctx, c, caseEntry("case-open", actor, c.Title, c))
}

// EditCase changes title, people and deadline. ErrNotFound.
func (s *Cases) EditCase(ctx context.Context, actor string, edited Case) (Case, error) {
	if err := errors.Join(required(actor, "who"), required(edited.Title, "a title")); err != nil {
		return edited, err
	}
	unlock, err := s.lockCase(ctx, edited.ID)
	if err != nil {
		return edited, err
	}
	defer unlock()
	c, err := s.store.Case(ctx, edited.ID)
	if err != nil {
		return c, err
	}
	c.Title, c.People, c.Deadline = edited.Title, edited.People, edited.Deadline
	return s.put(ctx, c, caseEntry("case-edit", actor, "", c))
}

// CloseCase closes a case. While it has holds, standing ones too, it is ErrRefused,
// unless release says that they are to be lifted: the standing ones first, so that
// nothing is held anew meanwhile. Where some could not be lifted the case stays open,
// and the next call goes on.
func (s *Cases) CloseCase(ctx context.Context, actor, id, reason string, release bool) (Case, error) {
	if err := errors.Join(required(actor, "who"), required(reason, "a reason")); err != nil {
		return Case{}, err
	}
	unlock, err := s.lockCase(ctx, id)
	if err != nil {
		return Case{}, err
	}
	defer unlock()
	c, err := s.store.Case(ctx, id)
	if err != nil {
		return c, err
	}
	if !c.Open() {
		return c, refusedf("case %s was closed at %s", id, c.ClosedAt.Format(time.RFC3339))
	}
	e := caseEntry("case-close", actor, reason, c)
	standing, err := s.openStanding(ctx, id)
	if err != nil {
		return c, err
	}
	if !release {
		disks, err := s.countHeld(ctx, id)
		if err != nil {
			return c, err
		}
		if disks+len(standing) > 0 {
			return c, s.ledger.refuse(ctx, Disk{}, e, refusedf("case %s holds %d disks and has %d standing holds", id, disks, len(standing)))
		}
	}
	for _, h := range standing {
		if _, err := s.standing.Release(ctx, actor, h.ID, reason); err != nil && !errors.Is(err, ErrNotFound) {
			return c, err
		}
	}
	// Until there is none: an adoption that was under way may have held another.
	for {
		held, err := s.heldBy(ctx, id, 0)
		if err != nil {
			return c, err
		}
		if len(held) == 0 {
			break
		}
		if err := s.releaseAll(ctx, actor, id, reason, held); err != nil {
			return c, fmt.Errorf("case %s stays open: %w", id, err)
		}
	}
	c.ClosedBy, c.ClosedAt, c.CloseReason = actor, s.ledger.clock().UTC().Truncate(time.Second), reason
	return s.put(ctx, c, e)
}

func (s *Cases) openStanding(ctx context.Context, id string) ([]StandingHold, error) {
	all, err := s.standing.All(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(h StandingHold) bool { return h.CaseID != id || !h.Open(s.ledger.clock()) }), nil
}

// heldBy returns some of the disks that the case holds, after the first offset.
func (s *Cases) heldBy(ctx context.Context, id string, offset int) ([]Disk, error) {
	disks, err := s.ledger.disks.FindDisks(ctx, DiskFilter{CaseID: id, States: []State{Pending, Quarantined, Expiring, Restoring}, Limit: pageOfDisks, Offset: offset})
	if err != nil {
		return nil, fmt.Errorf("find the disks that case %s holds: %w", id, err)
	}
	return disks, nil
}

func (s *Cases) countHeld(ctx context.Context, id string) (int, error) {
	for n := 0; ; {
		page, err := s.heldBy(ctx, id, n)
		if n += len(page); err != nil || len(page) < pageOfDisks {
			return n, err
		}
	}
}

func (s *Cases) releaseAll(ctx context.Context, actor, id, reason string, held []Disk) error {
	var errs []error
	for _, d := range held {
		if _, err := s.Release(ctx, actor, d.ID, id, reason); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%d of %d holds could not be lifted, e.g.: %w", len(errs), len(held), errs[0])
	}
	return nil
}

// CaseView is a case with what it holds.
type CaseView struct {
	Case
	Overdue bool `json:"overdue"`
	// Disks is how many it holds now.
	Disks    int            `json:"disks"`
	Standing []StandingHold `json:"standing"`
}

// ShowCase returns a case with what it holds. ErrNotFound.
func (s *Cases) ShowCase(ctx context.Context, id string) (CaseView, error) {
	c, err := s.store.Case(ctx, id)
	if err != nil {
		return CaseView{}, err
	}
	held, err := s.countHeld(ctx, id)
	if err != nil {
		return CaseView{}, err
	}
	standing, err := s.openStanding(ctx, id)
	return CaseView{Case: c, Overdue: c.Overdue(s.ledger.clock()), Disks: held, Standing: append([]StandingHold{}, standing...)}, err
}

// ListCases returns all cases, the oldest first.
func (s *Cases) ListCases(ctx context.Context) ([]Case, error) { return s.store.Cases(ctx) }

// Restore gives the catalog the cases that the custody log has and it lacks, as
// StandingHolds.Restore does.
func (s *Cases) Restore(ctx context.Context) error {
	known, err := s.store.Cases(ctx)
	if err != nil {
		return err
	}
	entries, logErr := s.ledger.past.Entries(ctx, "")
	if logErr != nil {
		s.ledger.log.Error("custody log cannot be read; cases may be missing", "error", logErr)
	}
	told := map[string]Case{}
	for _, e := range entries {
		id := e.Detail["case"]
		c, there := told[id]
		at := e.At.UTC().Truncate(time.Second)
		switch {
		case e.Outcome != OutcomeDone:
			continue
		case e.Act == "case-close" && there:
			c.ClosedBy, c.ClosedAt, c.CloseReason = e.Actor, at, e.Reason
		case e.Act == "case-open" || e.Act == "case-edit" && there:
			if !there {
				c = Case{ID: id, OpenedBy: e.Actor, OpenedAt: at}
			}
			c.Title, c.People, c.Deadline = e.Detail["title"], nil, time.Time{}
			for i := 1; e.Detail[fmt.Sprintf("person_%d", i)] != ""; i++ {
				c.People = append(c.People, e.Detail[fmt.Sprintf("person_%d", i)])
			}
			if t, err := time.Parse(time.RFC3339, e.Detail["deadline"]); err == nil {
				c.Deadline = t.UTC()
			}
			if e.Act == "case-open" {
				c.ClosedBy, c.ClosedAt, c.CloseReason = "", time.Time{}, ""
			}
		default:
			continue
		}
		told[id] = c
	}
	for id, c := range told {
		if slices.ContainsFunc(known, func(k Case) bool { return k.ID == id }) {
			continue
		}
		if _, err := s.store.PutCase(ctx, c); err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("case %s, from the custody log: %w", id, err)
		}
	}
	return nil
}
