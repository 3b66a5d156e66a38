package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shortening is the word of two people that a disk goes earlier than it was
// promised. It lives as long as the stay that it is about.
type Shortening struct {
	Request     string `json:"request"`
	RequestedBy string `json:"requested_by"`
	ApprovedBy  string `json:"approved_by"`
	// From is the date that was promised, To the one that they agreed upon.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Rule is the rule of the promise that was cut short.
	Rule string `json:"rule,omitempty"`
	// Policy is, where they had a whole policy applied, its digest: its decision took
	// the place of the promise that was cut short.
	Policy string `json:"policy,omitempty"`
}

// actShorten is the act of a custody entry of a disk that two people shortened.
const actShorten = "shorten"

// covers reports whether a decision, which keeps the disk until then and until least
// at least, promises no more than what the two people cut short. Another rule's
// promise, or a later one, they did not speak about, and below compliance and the
// least time nobody can go.
func (s *Shortening) covers(dec Decision, until, least time.Time) bool {
	return s != nil && s.Policy == "" && dec.Rule == s.Rule && dec.Mode != Compliance && !until.After(s.From) && !least.After(s.To)
}

// shorten is the act of requests of the kind RequestShorten.
//
// The row is changed after the custody entry, and before the record on the image.
// Until the record says the new date too, it promises more than the row: then
// nothing expires or purges the disk (recordAgrees), and the next reconcile run
// renews it, because the row is marked. So a purge finds a record that agrees, and
// needs no exception for approved shortenings: an exception would be a way past the
// record for whoever can write rows. A catalog that is put back from a backup of
// before promises more than the record, and keeps the disk longer. One that is
// rebuilt takes the longest of record, custody log and policy; the log gives the
// shorter date only where it has the request of one person, the approval of another
// and the act (replay), and then the policy's promise counts as cut short (covers).
type shorten struct{ holds *Holds }

// Shorten is the act that moves retain-until to an earlier date. It has no other
// door than an approved request.
func (h *Holds) Shorten() RequestAct { return &shorten{h} }

func (s *shorten) Prepare(ctx context.Context, r *Request) error {
	d, err := s.holds.ledger.disks.Disk(ctx, r.Subject)
	if err != nil {
		return err
	}
	r.basedOn(&d)
	_, err = s.allowed(*r, d)
	return err
}

func (s *shorten) Check(ctx context.Context, r Request) error {
	d, err := s.holds.ledger.disks.Disk(ctx, r.Disk)
	if err == nil {
		_, err = s.allowed(r, d)
	}
	return err
}

// allowed returns the new date, or why it cannot be.
func (s *shorten) allowed(r Request, d Disk) (time.Time, error) {
	until, err := time.Parse(time.RFC3339, r.Detail[detailUntil])
	if err != nil {
		return until, invalidf("the new date %q is no time", r.Detail[detailUntil])
	}
	switch now := s.holds.ledger.clock().UTC(); {
	case d.State == Pending || d.State == Restoring:
		return until, fmt.Errorf("disk %s is %s: %w", d.ID, d.State, ErrBusy)
	case d.State != Quarantined:
		return until, refusedf("disk %s is %s", d.ID, d.State)
	case until.Before(now):
		return until, refusedf("the new date %s has passed", until.Format(time.RFC3339))
	case !until.Before(d.RetainUntil):
		return until, invalidf("disk %s is kept until %s, which is no later than %s; to keep it longer extends it", d.ID, d.RetainUntil.UTC().Format(time.RFC3339), until.Format(time.RFC3339))
	}
	if err := mayCutShort(&d, until); err != nil {
		return until, err
	}
	return until, r.stands(&d)
}

func (s *shorten) Do(ctx context.Context, r Request) error {
	l := s.holds.ledger
	unlock, err := l.lock(ctx, r.Disk)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, r.Disk)
	if err != nil {
		return err
	}
	if d.Shortened != nil && d.Shortened.Request == r.ID {
		return s.again(ctx, r, d)
	}
	e := s.entry(r, d)
	// A catalog that was put back from a backup forgets that it was done, and what
	// people decided since.
	done, err := l.happened(ctx, d.ID, actShorten, r.ID)
	if err != nil || done {
		return err
	}
	until, err := s.allowed(r, d)
	if err == nil && r.RequestedBy == r.DecidedBy {
		err = refusedf("request %s was approved by who made it", r.ID)
	}
	if err != nil {
		return l.refuse(ctx, d, e, err)
	}
	e.Detail[detailRetainUntil] = until.UTC().Format(time.RFC3339)
	var saved Disk
	err = l.witnessed(ctx, d, e, func() error {
		next := d
		next.RetainUntil, next.ExtendedUntil, next.RecordStale = until.UTC(), time.Time{}, true
		next.Shortened = &Shortening{Request: r.ID, RequestedBy: r.RequestedBy, ApprovedBy: r.DecidedBy, From: d.RetainUntil, To: until.UTC(), Rule: d.Decision.Rule}
		return l.around("catalog.shorten", func() (err error) {
			if saved, err = l.disks.PutDisk(ctx, next); err != nil {
				return fmt.Errorf("disk %s: write the catalog: %w", d.ID, err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	l.softSync(ctx, saved)
	return nil
}

func (s *shorten) entry(r Request, d Disk) Entry {
	return Entry{Act: actShorten, Actor: r.RequestedBy, Reason: r.Reason, Detail: map[string]string{
		detailRequest: r.ID, detailApproved: r.DecidedBy, basisKept: d.RetainUntil.UTC().Format(time.RFC3339), "rule": d.Decision.Rule,
	}}
}

// again ends a shortening that a crash cut short after the row was written. If the
// log lacks its end, it is written now, unless the disk was extended since: then
// the later date is what counts.
func (s *shorten) again(ctx context.Context, r Request, d Disk) error {
	l := s.holds.ledger
	told, err := l.happened(ctx, d.ID, actShorten, r.ID)
	if err != nil {
		return err
	}
	if !told && d.RetainUntil.Equal(d.Shortened.To) {
		before := d
		before.RetainUntil = d.Shortened.From
		e := s.entry(r, before)
		e.Detail[detailRetainUntil] = d.RetainUntil.UTC().Format(time.RFC3339)
		l.note(ctx, d, e)
	}
	if d.RecordStale && d.State.InQuarantine() {
		l.softSync(ctx, d)
	}
	return nil
}

// earlyPurge is the act of requests of the kind RequestPurgeEarly.
// It has of the Collector no more than the marking: it cannot remove.
type earlyPurge struct {
	ledger *Ledger
	expire func(ctx context.Context, id string, e Entry, stands func(*Disk) error) (Disk, error)
}

// EarlyPurge is the act that marks a disk for purge before its time.
func (c *Collector) EarlyPurge() RequestAct { return &earlyPurge{c.ledger, c.expireEarly} }

func (p *earlyPurge) Prepare(ctx context.Context, r *Request) error {
	d, err := p.ledger.disks.Disk(ctx, r.Subject)
	if err != nil {
		return err
	}
	r.basedOn(&d)
	return p.allowed(*r, &d)
}

func (p *earlyPurge) Check(ctx context.Context, r Request) error {
	d, err := p.ledger.disks.Disk(ctx, r.Disk)
	if err != nil {
		return err
	}
	return p.allowed(r, &d)
}

func (p *earlyPurge) allowed(r Request, d *Disk) error {
	switch {
	case d.State == Pending || d.State == Restoring || d.State == Purging:
		return fmt.Errorf("disk %s is %s: %w", d.ID, d.State, ErrBusy)
	case d.State != Quarantined && d.State != Expiring:
		return refusedf("disk %s is %s", d.ID, d.State)
	}
	return errors.Join(mayCutShort(d, p.ledger.clock().UTC()), r.stands(d))
}

func (p *earlyPurge) Do(ctx context.Context, r Request) error {
	// It may have been done, and taken back since.
	done, err := p.ledger.happened(ctx, r.Disk, "expire", r.ID)
	if err != nil || done {
		return err
	}
	e := Entry{Act: "expire", Actor: r.RequestedBy, Reason: r.Reason, Detail: map[string]string{detailRequest: r.ID, detailApproved: r.DecidedBy}}
	_, err = p.expire(ctx, r.Disk, e, func(d *Disk) error { return r.stands(d) })
	return err
}
