package quarantine

import (
	"maps"
	"time"
)

// mayCutShort returns nil if people, or a shortage of room, may have the disk go
// before its time, else why not: an ErrRefused that says what protects it. It is
// the one answer to that question: whoever ends a disk's time early asks it when it
// does so, and the purge asks it again (due), whatever was allowed before.
//
// A hold protects, and compliance, and the decision's Min. A compliance disk
// whose time is over needs no cutting short; one that its rule keeps as one of
// the last of its kind has no end that could be known here.
func mayCutShort(d *Disk, now time.Time) error {
	if d.HoldsUnchecked {
		return refusedf("disk %s: %v", d.ID, errUnchecked)
	}
	switch {
	case d.Held():
		return refusedf("disk %s is under the hold of case %s", d.ID, d.OpenHolds()[0].CaseID)
	case d.Decision.Mode == Compliance && !(d.over(now) && d.Decision.KeepLast.N == 0):
		return refusedf("disk %s is kept until %s under compliance, which nobody can cut short", d.ID, d.RetainUntil.UTC().Format(time.RFC3339))
	case minUntil(d).After(now):
		return refusedf("disk %s is kept until %s at least, which no early purge goes below (min of rule %q)", d.ID, minUntil(d).Format(time.RFC3339), d.Decision.Rule)
	}
	return nil
}

// over reports whether the time that the disk was promised has passed.
func (d *Disk) over(now time.Time) bool {
	return !d.RetainUntil.IsZero() && !d.RetainUntil.After(now)
}

// minUntil is until when the decision's Min keeps the disk; zero without one.
func minUntil(d *Disk) time.Time {
	if d.Decision.Min <= 0 {
		return time.Time{}
	}
	return promise(d, Decision{Retain: d.Decision.Min})
}

// atLeast is the decision, but with no less of what protects a disk than an
// earlier decision promised it: a later policy, or an identity that comes late,
// does not make a compliance disk one that people may purge.
func (dec Decision) atLeast(old Decision) Decision {
	if old.Mode == Compliance && dec.Mode != Compliance {
		dec.Mode = Compliance
		dec.Reason += "; an earlier decision put it under compliance, where it stays"
	}
	dec.Min = max(dec.Min, old.Min)
	dec.Isolate = dec.Isolate || old.Isolate
	switch {
	case old.KeepLast.N == 0:
	case dec.KeepLast.N == 0 || dec.KeepLast.By != old.KeepLast.By:
		// Of two kinds neither includes the other; the one that was promised stays.
		dec.KeepLast = old.KeepLast
	default:
		dec.KeepLast.N = max(dec.KeepLast.N, old.KeepLast.N)
	}
	return dec
}

// promised adds what the disk is promised to the detail of a custody entry, so
// that a catalog that is lost can be given it back from the log (replay).
func promised(d *Disk, detail map[string]string) map[string]string {
	out := maps.Clone(detail)
	if out == nil {
		out = map[string]string{}
	}
	out[detailRetainUntil] = d.RetainUntil.UTC().Format(time.RFC3339)
	if d.Decision.Mode == Compliance {
		out[detailMode] = string(Compliance)
	}
	if k := d.Decision.KeepLast; k.N > 0 {
		out[detailKeepLast] = k.String()
	}
	if d.Decision.Isolate {
		out[detailIsolate] = "yes"
	}
	if t := minUntil(d); !t.IsZero() {
		out[detailMinUntil] = t.Format(time.RFC3339)
	}
	return out
}
