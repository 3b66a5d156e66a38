package quarantine

import "time"

// redecision is what becomes of a disk in quarantine when another decision takes
// the place of its own.
type redecision struct {
	// next is the disk as the decision would have it.
	next Disk
	// shorter says that next is kept for a shorter time: that takes two people.
	shorter bool
	// protected is why next is kept for longer than the decision would; nil: it is
	// not.
	protected error
}

// redecide is the one answer to what another policy makes of a disk that is in
// quarantine: the Simulator tells it, and the PolicyApplier does it. It is pure.
//
// What people did stays: holds, a later date that they gave it, and an earlier one
// that two of them agreed upon, as long as the rule is the same. What protects the
// disk from people and from a shortage of room only grows (atLeast), and no hold is
// lifted. The date goes back only where nothing forbids it (mayCutShort), and not
// below the least time of either decision. A disk that stays for such a reason keeps
// its rule and its time, so that it can be asked about again, and gets only the least
// time, the last of its kind and the copy of the decision. Not its compliance: that
// would keep it for the time that it has, and forbid the question.
//
// A disk that is on its way is left alone, and so is one that goes early: somebody
// decided that about this one disk. Copies follow their originals.
func redecide(d *Disk, dec Decision, now time.Time) redecision {
	same := redecision{next: *d}
	r := same
	r.next.placePolicyHold(dec, now)
	placed := len(r.next.Holds) > len(d.Holds)
	if d.CopyOf != nil || d.State != Quarantined && d.State != Expiring || d.EarlyBy != "" && !placed {
		return same
	}
	next := dec.atLeast(d.Decision)
	until := promise(d, dec)
	switch {
	case d.Shortened.covers(dec, until, promise(d, Decision{Retain: dec.Min})):
		next.Reason += cutShortBy(d.Shortened)
		until = d.RetainUntil
	case d.RetainUntil.After(promise(d, d.Decision)):
		until = later(until, d.RetainUntil) // people extended it, or an earlier rule had promised more
	}
	until = later(later(until, d.ExtendedUntil), promise(d, Decision{Retain: next.Min}))
	if !until.Before(d.RetainUntil) {
		r.next.RetainUntil, r.next.Decision = until, next
		if d.State == Expiring && !placed && !until.After(now) {
			return same // its time is over by both
		}
		return r
	}
	if d.State == Expiring && !placed {
		return same
	}
	cut := r.next // with the hold
	if r.protected = mayCutShort(&cut, until); r.protected == nil {
		r.shorter = true
		r.next.RetainUntil, r.next.Decision = until, next
		return r
	}
	kept := d.Decision
	kept.Min, kept.KeepLast, kept.Isolate = next.Min, next.KeepLast, next.Isolate
	if r.next.Decision = kept; r.changes(&cut) {
		r.next.Decision.Reason += "; rule " + dec.Rule + " protects it more"
	}
	return r
}

// changes reports whether anything that keeps the disk is different. The name of
// a rule is not: a disk that another rule would keep just so is left as it is.
func (r *redecision) changes(d *Disk) bool {
	was, is := d.Decision, r.next.Decision
	return !r.next.RetainUntil.Equal(d.RetainUntil) || len(r.next.Holds) != len(d.Holds) ||
		(was.Mode == Compliance) != (is.Mode == Compliance) || was.Min != is.Min || was.KeepLast != is.KeepLast || was.Isolate != is.Isolate
}

// end is until when the disk is kept; forever under a hold.
func (d *Disk) end() time.Time {
	if d.Held() {
		return forever
	}
	return d.RetainUntil
}

// placePolicyHold places the hold that the decision asks for, if the disk has not
// had it in its present stay.
func (d *Disk) placePolicyHold(dec Decision, now time.Time) {
	if dec.Hold == nil || d.hadHold(dec.Hold.CaseID) {
		return
	}
	d.Holds = append(append([]Hold(nil), d.Holds...), Hold{
		CaseID: dec.Hold.CaseID, Reason: dec.Hold.Reason, By: byPolicy + dec.Rule, PlacedAt: now.UTC().Truncate(time.Second),
	})
}

func cutShortBy(s *Shortening) string { return "; two people cut it short, by request " + s.Request }
