package quarantine

import (
	"context"
	"slices"
	"time"
)

// history is what the custody log knows of a disk. The record on an image can
// be written by whoever holds the cloud's Ceph key; the log cannot. Where both
// speak of what a disk was promised, the longer promise holds.
type history struct {
	// adopted: this service took the disk under quarantine at some time.
	adopted bool
	// sealed: this service took the seal, and has not taken it off again.
	sealed bool
	// retainUntil is the latest date that it was promised, after what two people
	// together took from that.
	retainUntil time.Time
	// minUntil is the latest date before which no early purge was to be, and
	// compliance that none was to be at all.
	minUntil   time.Time
	compliance bool
	// keepLast is the latest word about the last of its kind.
	keepLast KeepLast
	// asked are those who made requests about the disk, by the request's id;
	// agreed those that another person approved. shortened is what came of one.
	asked     map[string]string
	agreed    map[string]bool
	used      map[string]bool // those that shortened it once
	shortened *Shortening
	// holds are all legal holds, released ones too.
	holds []Hold
	// expiring: the last that happened to it is that it was marked; earlyBy is
	// who asked for that before its time.
	expiring             bool
	earlyBy, earlyReason string
	// isolateBy is who asked for a copy in the evidence pool, and isolate that a
	// policy did.
	isolateBy string
	isolate   bool
	// sealID is the seal that it took last; 0 where the log does not say.
	sealID uint64
	// sealBroken is when the seal was last seen to have been off: somebody else broke
	// it, or a purge was taken back that may have begun to remove the disk.
	sealBroken time.Time
	// deletion is the id of the Deletion it was joined with last.
	deletion string
	// lives are those that ended in quarantine, in order. A disk that was given
	// back and deleted again has several.
	lives []life
}

// life is one life of a disk: the name that it bore at its end, and the id of
// the Deletion that ended it, empty while nothing explains it.
type life struct{ name, deletion string }

// history reads the log. One that cannot be read, or whose chain does not
// hold, promises nothing: then only what lengthens is taken from elsewhere.
func (l *Ledger) history(ctx context.Context, id string) history {
	entries, err := l.promises(ctx, id)
	if err != nil {
		l.log.Error("custody log cannot be read; what it promised is not known", "disk", id, "error", err)
		return history{}
	}
	return replay(entries)
}

// promises returns what replay needs to know of a disk: its entries, and before them,
// of each policy that two people had applied to it, who asked and who approved. That
// is about no one disk, and so stands elsewhere in the log.
func (l *Ledger) promises(ctx context.Context, id string) ([]Entry, error) {
	entries, err := l.past.Entries(ctx, id)
	if err != nil {
		return nil, err
	}
	var before []Entry
	read := map[string]bool{}
	for _, e := range entries {
		request := e.Detail[detailRequest]
		if e.Act != actShorten || e.Detail[detailKind] != RequestApplyPolicy || read[request] {
			continue
		}
		read[request] = true
		agreement, err := l.past.Entries(ctx, requestEntries(request))
		if err != nil {
			return nil, err
		}
		for _, said := range agreement {
			if said.Act == actRequest || said.Act == actApprove {
				before = append(before, said)
			}
		}
	}
	return append(before, entries...), nil
}

// replay is what follows from a disk's entries, which are in order.
func replay(entries []Entry) history {
	h := history{asked: map[string]string{}, agreed: map[string]bool{}, used: map[string]bool{}}
	for _, e := range entries {
		if e.Outcome != OutcomeDone {
			continue
		}
		if until, err := time.Parse(time.RFC3339, e.Detail[detailRetainUntil]); err == nil && until.After(h.retainUntil) {
			h.retainUntil = until
		}
		if until, err := time.Parse(time.RFC3339, e.Detail[detailMinUntil]); err == nil && until.After(h.minUntil) {
			h.minUntil = until
		}
		if text := e.Detail[detailKeepLast]; text != "" {
			if k, err := parseKeepLast(text); err == nil {
				h.keepLast = k
			}
		}
		h.compliance = h.compliance || e.Detail[detailMode] == string(Compliance)
		h.isolate = h.isolate || e.Detail[detailIsolate] != ""
		switch e.Act {
		case actIsolateAsked:
			h.isolateBy = e.Actor
		case "adopt":
			h.shortened = nil
			h.adopted, h.sealed, h.expiring, h.deletion = true, false, false, e.Detail[detailDeletion]
			h.sealID, h.sealBroken = 0, time.Time{} // another life, another seal
			h.lives = append(h.lives, life{e.Detail[detailName], h.deletion})
		case actRequest:
			h.asked[e.Detail[detailRequest]] = e.Actor
		case actApprove:
			by := h.asked[e.Detail[detailRequest]]
			h.agreed[e.Detail[detailRequest]] = by != "" && by != e.Actor
		case actShorten:
			h.shorten(e)
		case "seal":
			h.sealed = true
			h.sealID = sealIDIn(e, detailSnapshotID)
		case "reseal":
			h.sealID = sealIDIn(e, "second")
		case actSealLost, actSealOff:
			h.sealBroken = e.At.UTC().Truncate(time.Second)
		case "unseal":
			h.sealed = false
		case "join":
			h.deletion = e.Detail[detailDeletion]
			if n := len(h.lives); n > 0 {
				h.lives[n-1].deletion = h.deletion
			}
		case "hold":
			h.holds = append(h.holds, Hold{CaseID: e.Detail["case"], Reason: e.Reason, By: e.Actor, PlacedAt: e.At.UTC().Truncate(time.Second)})
			h.expiring = false
		case "release":
			if i := openHold(h.holds, e.Detail["case"]); i >= 0 {
				h.holds[i].Released, h.holds[i].ReleaseBy, h.holds[i].ReleaseReason = e.At.UTC().Truncate(time.Second), e.Actor, e.Reason
			}
		case actUnpurge:
			h.expiring = true
			if id := sealIDIn(e, detailSnapshotID); id != 0 {
				h.sealID = id
			}
			if e.Detail[detailUnsealed] != "" {
				h.sealBroken = e.At.UTC().Truncate(time.Second)
			}
		case "expire":
			h.expiring = true
			h.earlyBy, h.earlyReason = e.Detail[detailEarlyBy], ""
			if h.earlyBy == EarlyByCapacity {
				h.earlyReason = e.Reason
			}
		case "extend", actPolicyApplied, "kept", "restore", "restore-undone", "restored-outside", actUnevict:
			h.expiring = false
		}
	}
	return h
}

// shorten takes from the promise what two people agreed upon, and only that: the
// log must have who asked and that somebody else approved, and the promise that
// they cut short must be the one that the log knows, or a longer one.
func (h *history) shorten(e Entry) {
	until, err := time.Parse(time.RFC3339, e.Detail[detailRetainUntil])
	from, ferr := time.Parse(time.RFC3339, e.Detail[basisKept])
	id := e.Detail[detailRequest]
	if err != nil || ferr != nil || !h.agreed[id] || h.retainUntil.After(from) || h.used[id] {
		return
	}
	h.used[id] = true
	h.retainUntil = until
	h.shortened = &Shortening{Request: id, RequestedBy: h.asked[id], ApprovedBy: e.Detail[detailApproved], From: from, To: until, Rule: e.Detail["rule"], Policy: e.Detail[detailPolicy]}
}

// The acts of custody entries that take an eviction and a purge back.
const (
	actUnevict = "evict-undone"
	actUnpurge = "purge-undone"
)

// The keys of a custody entry's detail that replay reads.
const (
	detailRetainUntil = "retain_until"
	detailMinUntil    = "min_until"
	detailMode        = "mode"
	detailKeepLast    = "keep_last"
	detailDeletion    = "deletion"
	detailEarlyBy     = "early_by"
	detailName        = "name"
	detailIsolate     = "isolate"
	// detailUnsealed, where not empty, says that nobody knows whether the disk is whole.
	detailUnsealed = "unsealed"
)

// keep lets the disk have what it was promised: the later date, its compliance
// and its least time, and every hold that the log knows as open.
func (h history) keep(d *Disk) {
	if h.retainUntil.After(d.RetainUntil) {
		d.RetainUntil = h.retainUntil.UTC()
	}
	if h.sealBroken.After(d.SealBrokenAt) {
		d.SealBrokenAt = h.sealBroken
	}
	if h.compliance {
		d.Decision.Mode = Compliance
	}
	d.Decision = d.Decision.atLeast(Decision{KeepLast: h.keepLast})
	if h.minUntil.After(minUntil(d)) {
		d.Decision.Min = h.minUntil.Sub(promise(d, Decision{}))
	}
	d.Decision.Isolate = d.Decision.Isolate || h.isolate
	if d.IsolateBy == "" {
		d.IsolateBy = h.isolateBy
	}
	holds := slices.Clone(d.Holds)
	for _, hold := range h.holds {
		i := slices.IndexFunc(holds, hold.same)
		switch {
		case i < 0:
			holds = append(holds, hold)
		case hold.Open() && !holds[i].Open():
			holds[i] = hold
		}
	}
	d.Holds = holds
}
