package quarantine

import (
	"context"
	"maps"
	"strconv"
	"time"
)

// RequestState is how far a Request has come.
type RequestState string

// The states. The last five are final.
const (
	RequestOpen RequestState = "open"
	// RequestApproved: another person has agreed, and the act is under way. After a
	// crash the sweep goes on with it.
	RequestApproved  RequestState = "approved"
	RequestDone      RequestState = "done"
	RequestDenied    RequestState = "denied"
	RequestWithdrawn RequestState = "withdrawn"
	RequestExpired   RequestState = "expired"
	// RequestRefused: it was approved, and something forbade the act when it came to
	// it; Outcome says what.
	RequestRefused RequestState = "refused"
)

// RequestStates lists all states in the order of a request's life.
func RequestStates() []RequestState {
	return []RequestState{RequestOpen, RequestApproved, RequestDone, RequestDenied, RequestWithdrawn, RequestExpired, RequestRefused}
}

// The kinds of requests that are about a disk. RequestApplyPolicy is about a policy.
const (
	// RequestPurgeEarly has a disk marked for purge before its time.
	RequestPurgeEarly = "purge-early"
	// RequestShorten moves retain-until to an earlier date.
	RequestShorten = "shorten"
)

// Request is one person's wish for an act that takes two.
type Request struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	// Subject is what the act is done to: a disk's id, a policy's digest.
	Subject string `json:"subject"`
	// Disk is the disk that it is about; empty: none.
	Disk string `json:"disk,omitempty"`
	// Detail is what else belongs to the act (the new date), and what the wish was
	// based on: if that is not so any more, the act is refused.
	Detail      map[string]string `json:"detail,omitempty"`
	Reason      string            `json:"reason"`
	RequestedBy string            `json:"requested_by"`
	RequestedAt time.Time         `json:"requested_at"`
	// ExpiresAt is when nobody can approve it any more, and no act of it begins.
	ExpiresAt time.Time `json:"expires_at"`

	State          RequestState `json:"state"`
	DecidedBy      string       `json:"decided_by,omitempty"`
	DecidedAt      time.Time    `json:"decided_at,omitzero"`
	DecisionReason string       `json:"decision_reason,omitempty"`
	DoneAt         time.Time    `json:"done_at,omitzero"`
	// Outcome is why an approved act was refused, or what keeps it from being done.
	Outcome string `json:"outcome,omitempty"`

	// Version counts the changes of the row (compare and swap). It lives in the
	// catalog only.
	Version int64 `json:"-"`
}

// RequestFilter selects requests, the newest first. Zero fields select all.
type RequestFilter struct {
	States  []RequestState
	Kind    string
	Subject string
	Limit   int // 0: no limit
}

// Requests is the part of the catalog that keeps requests. They are no promises: a
// catalog that is lost forgets what was open, and the custody log has what was
// done.
type Requests interface {
	// Request returns the request of that id. ErrNotFound.
	Request(ctx context.Context, id string) (Request, error)
	// FindRequests returns the requests that the filter selects.
	FindRequests(ctx context.Context, f RequestFilter) ([]Request, error)
	// PutRequest writes the request if the catalog's version of it is r.Version
	// (zero: there is none yet), and returns it with its new version. ErrConflict if
	// somebody was faster.
	PutRequest(ctx context.Context, r Request) (Request, error)
}

// RequestAct is what a kind of requests asks for. All its errors may wrap
// ErrRefused, ErrInvalid or ErrNotFound, which end a request; after others the act
// is tried again until the request expires.
type RequestAct interface {
	// Prepare looks whether the act could be done now, and notes in the request what
	// it is based on.
	Prepare(ctx context.Context, r *Request) error
	// Check returns why the act cannot be done now, or nil.
	Check(ctx context.Context, r Request) error
	// Do performs the act of an approved request, after it has checked everything
	// anew. Of a request whose act was done before a crash it does nothing, and says
	// that it is done.
	Do(ctx context.Context, r Request) error
}

// lengthyAct is a RequestAct that takes long: an approval does not wait for it, and
// the sweep does it.
type lengthyAct interface{ lengthy() }

// The keys of a request's detail.
const (
	detailUntil     = "until"
	basisKept       = "kept_until"
	basisHolds      = "holds_ever"
	basisQuarantine = "quarantined_at"
)

// The keys by which a custody entry tells of the request behind an act.
const (
	detailRequest  = "request"
	detailKind     = "kind"
	detailApproved = "approved_by"
)

// The acts of custody entries of what happens to a request, from which follows
// whether two people agreed.
const (
	actRequest = "request"
	actApprove = "approve"
)

// basedOn notes what the disk was promised when the request was made. Holds are
// counted with those that were released: one that came and went was somebody's
// reason to look, too.
func (r *Request) basedOn(d *Disk) {
	r.Disk = d.ID
	detail := map[string]string{
		basisKept: d.RetainUntil.UTC().Format(time.RFC3339Nano), basisHolds: strconv.Itoa(len(d.Holds)),
		basisQuarantine: d.QuarantinedAt.UTC().Format(time.RFC3339Nano),
	}
	maps.Copy(detail, r.Detail)
	r.Detail = detail
}

// stands refuses a request about a disk that was extended, held or given back
// since: the two persons agreed upon something else.
func (r *Request) stands(d *Disk) error {
	now := Request{}
	now.basedOn(d)
	for key, what := range map[string]string{
		basisKept: "another date", basisHolds: "another hold", basisQuarantine: "another stay in quarantine",
	} {
		if now.Detail[key] != r.Detail[key] {
			return refusedf("disk %s has %s since request %s was made; ask anew", d.ID, what, r.ID)
		}
	}
	return nil
}

// toldUnder is the id under which the custody log has the request: that of its disk.
// One that is about no disk has an id of its own, or whoever looks for it would read
// all that is about none.
func (r *Request) toldUnder() string {
	if r.Disk != "" {
		return r.Disk
	}
	return requestEntries(r.ID)
}

// requestEntries is the id under which the custody log has a request about no disk.
func requestEntries(id string) string { return "request/" + id }

// entry is the custody entry of what happens to the request.
func (r *Request) entry(act, actor, reason string) Entry {
	e := Entry{Act: act, Actor: actor, Reason: reason, Detail: map[string]string{detailRequest: r.ID, detailKind: r.Kind}}
	if until := r.Detail[detailUntil]; until != "" {
		e.Detail[detailUntil] = until
	}
	if r.Disk == "" {
		e.Detail["subject"] = r.Subject
	}
	return e
}

// happened reports whether the custody log says that the request's act was done to
// the disk.
func (l *Ledger) happened(ctx context.Context, disk, act, request string) (bool, error) {
	entries, err := l.past.Entries(ctx, disk)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Act == act && e.Outcome == OutcomeDone && e.Detail[detailRequest] == request {
			return true, nil
		}
	}
	return false, nil
}
