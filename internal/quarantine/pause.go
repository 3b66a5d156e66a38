package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Pause is a person's word that nothing is to be removed for now.
type Pause struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself; zero: when somebody lifts it.
	Until time.Time `json:"until,omitzero"`
}

// pauseMark is the name of the mark with the Pause. It is in the catalog: one
// that was lost and recreated has none.
const pauseMark = "collect/pause"

// Pause stops all removals, those of a pass that is under way before its next
// disk: no pass expires, purges, unseals or discards anything, until the time or
// until Resume. Disks are captured, held and restored as ever, and a person may
// mark one for an early purge, which then waits. A pause that is there is replaced. ErrInvalid if until is over.
func (c *Collector) Pause(ctx context.Context, actor, reason string, until time.Time) (Pause, error) {
	p := Pause{By: actor, Reason: reason, Since: c.ledger.clock().UTC(), Until: until.UTC()}
	if until.IsZero() {
		p.Until = time.Time{}
	} else if !until.After(p.Since) {
		return p, invalidf("a pause until %s is over already", p.Until.Format(time.RFC3339))
	}
	detail := map[string]string{}
	if !p.Until.IsZero() {
		detail["until"] = p.Until.Format(time.RFC3339)
	}
	return p, c.ledger.witnessed(ctx, Disk{}, Entry{Act: "pause", Actor: actor, Reason: reason, Detail: detail}, func() error {
		return c.keepPause(ctx, &p)
	})
}

// Resume lifts a pause. ErrRefused if there is none.
func (c *Collector) Resume(ctx context.Context, actor, reason string) error {
	p, err := c.Paused(ctx)
	if err != nil {
		return err
	}
	if p == nil {
		return refusedf("removals are not paused")
	}
	return c.ledger.witnessed(ctx, Disk{}, Entry{Act: "resume", Actor: actor, Reason: reason}, func() error {
		return c.keepPause(ctx, nil)
	})
}

func (c *Collector) keepPause(ctx context.Context, p *Pause) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the pause: %w", err)
	}
	if err := c.marks.SetMark(ctx, pauseMark, b); err != nil {
		return fmt.Errorf("keep the pause: %w", err)
	}
	return nil
}

// RestorePause gives the catalog the last word of the custody log about a pause, as
// when the catalog was lost or is older: a restart must not go on with removals that
// a person has stopped. It is called before the first pass. A pause whose row may
// never have been written counts, and a lifting only where it was done. A log that
// knows of neither, because it is new, changes nothing; of one that is damaged what
// can be read is taken only where it stops.
func (c *Collector) RestorePause(ctx context.Context) error {
	entries, logErr := c.ledger.past.Entries(ctx, "")
	var last *Pause
	said := false
	for _, e := range entries {
		switch {
		case e.Act == "pause" && (e.Outcome == OutcomeDone || e.Outcome == OutcomeIntent):
			p := Pause{By: e.Actor, Reason: e.Reason, Since: e.At.UTC()}
			if until, err := time.Parse(time.RFC3339, e.Detail["until"]); err == nil {
				p.Until = until.UTC()
			}
			last, said = &p, true
		case e.Act == "resume" && e.Outcome == OutcomeDone:
			last, said = nil, true
		}
	}
	if !said || logErr != nil && last == nil {
		return nil
	}
	if last != nil && last.over(c.ledger.clock()) {
		last = nil
	}
	now, err := c.Paused(ctx)
	if err == nil && (now == nil) == (last == nil) && (now == nil || now.Until.Truncate(time.Second).Equal(last.Until)) {
		return nil // they agree
	}
	c.ledger.log.Warn("whether removals are paused is taken over from the custody log", "paused", last != nil)
	return c.keepPause(ctx, last)
}

// over reports whether the pause has ended by itself.
func (p *Pause) over(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

// Paused returns the pause, or nil where there is none. One that cannot be read is
// an error, and stops removals too.
func (c *Collector) Paused(ctx context.Context) (*Pause, error) {
	b, err := c.marks.Mark(ctx, pauseMark)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether removals are paused: %w", err)
	}
	var p *Pause
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("read whether removals are paused: %w: %w", ErrInvalid, err)
	}
	if p != nil && p.over(c.ledger.clock()) {
		return nil, nil
	}
	return p, nil
}

// mayPurge returns why no space may be freed just now, or nil: beside a pause,
// because it is outside the windows (errWindow).
func (c *Collector) mayPurge(ctx context.Context) error {
	if err := c.mayRemove(ctx); err != nil {
		return err
	}
	return c.safety.inWindow(c.ledger.clock())
}

// mayRemove returns why nothing may be removed just now, or nil.
func (c *Collector) mayRemove(ctx context.Context) error {
	p, err := c.Paused(ctx)
	if err != nil || p == nil {
		return err
	}
	return refusedf("removals are paused by %s since %s: %s", p.By, p.Since.Format(time.RFC3339), p.Reason)
}
