package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// Config is what a Server is made of. Every field is needed.
type Config struct {
	Clock quarantine.Clock
	Log   *slog.Logger
	// MaxBody bounds a request's body, in bytes.
	MaxBody int64
	Tokens  []Token
	// Hooks are the payload forms by the source in the hook's path.
	Hooks map[string]Hook
	// Drivers are the kinds of storage drivers that may ask, by the source in
	// the path, and Interceptor who answers them.
	Drivers     map[string]Driver
	Interceptor Interceptor
	// Clouds are the configured clouds: name → type (openstack, opennebula,
	// generic).
	Clouds map[string]string
	// Clusters name the pools.
	Clusters quarantine.Clusters

	Disks    Disks
	Custody  quarantine.CustodyReader
	Recorder Recorder
	Holds    Holds
	Restorer Restorer
	// Clouder gives disks back to clouds.
	Clouder   Clouder
	Exporter  Exporter
	Isolator  Isolator
	Cases     Cases
	CaseViews CaseViews
	Standing  Standing
	Approvals Approvals
	Requests  Requests
	Pauser    Pauser
	Guards    Guards
	Jobs      Jobs
	Doctor    Doctor
	Checker   Checker
	Policy    Explainer
	Locks     PolicyLocks
	Sightings Sightings
	Coverage  Coverage
	Simulator Simulator
	Applier   PolicyApplier
	Parents   Parents
	Capacity  Capacity
	Rebuild   func(ctx context.Context, actor string) (quarantine.Report, error)
	Status    func(ctx context.Context) (wire.Status, error)
	// Ready returns why the service cannot do its work just now; empty: it can.
	Ready func(ctx context.Context) []string
	// Metrics serves /metrics.
	Metrics http.Handler
	// Requested is told of every request that was answered: the route's
	// pattern, the status, how long it took. For metrics.
	Requested func(route string, status int, took time.Duration)
}

// Role is what a token may do. viewer < operator < admin; a hook token may
// post to hooks and nothing else.
type Role string

// The roles: a viewer looks (and tries hooks with dry_run); an operator also
// holds, extends, restores, exports, runs jobs and asks for early purges; an admin
// also releases holds, approves others' requests, switches guards, confirms the clock and rebuilds the catalog.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleAdmin    Role = "admin"
	RoleHook     Role = "hook"
)

// Token is one bearer token. Only its digest is kept.
type Token struct {
	// Name is who acts, in the custody log.
	Name string
	Role Role
	// Cloud is the cloud that a hook token speaks for.
	Cloud  string
	SHA256 [32]byte
}

// Hook decodes one form of payload.
type Hook struct {
	// CloudType is the type of the clouds that use the form.
	CloudType string
	// Decode returns the deletions that a payload reports about the cloud;
	// none, without an error, if it reports none. The error wraps
	// quarantine.ErrInvalid if the payload is not of the form.
	Decode func(cloud string, body []byte) ([]quarantine.Deletion, error)
}

// Disks is what the API reads of the catalog.
type Disks interface {
	// FindDisks and CountDisks: see quarantine.Disks and catalog.Catalog.
	FindDisks(ctx context.Context, f quarantine.DiskFilter) ([]quarantine.Disk, error)
	CountDisks(ctx context.Context, f quarantine.DiskFilter, atMost int) (int64, error)
}

// Recorder takes deletions: *quarantine.Recorder.
type Recorder interface {
	Record(ctx context.Context, ds []quarantine.Deletion) error
}

// Holds places and lifts holds: *quarantine.Cases, or *quarantine.Holds.
type Holds interface {
	Hold(ctx context.Context, actor, id, caseID, reason string) (quarantine.Disk, error)
	Release(ctx context.Context, actor, id, caseID, reason string) (quarantine.Disk, error)
	Extend(ctx context.Context, actor, id string, until time.Time, reason string) (quarantine.Disk, error)
}

// Restorer gives disks back: *quarantine.Restorer.
type Restorer interface {
	Clone(ctx context.Context, actor, id string, dst quarantine.PoolRef, name string, flatten bool, reason string, progress quarantine.Progress) (quarantine.Disk, error)
	InPlace(ctx context.Context, actor, id, reason string) (quarantine.Disk, error)
}

// Clouder gives disks back to clouds: *quarantine.CloudRestorer.
type Clouder interface {
	Plan(ctx context.Context, o quarantine.CloudOrder) (quarantine.CloudPlan, error)
	Restore(ctx context.Context, actor string, o quarantine.CloudOrder, tell quarantine.CloudTell) (quarantine.CloudResult, error)
}

// Exporter reads disks out: *quarantine.Exporter.
type Exporter interface {
	Export(ctx context.Context, actor, id, reason string, sink quarantine.ExportSink) (string, error)
}

// Cases opens and closes cases: *quarantine.Cases.
type Cases interface {
	OpenCase(ctx context.Context, actor string, c quarantine.Case) (quarantine.Case, error)
	EditCase(ctx context.Context, actor string, c quarantine.Case) (quarantine.Case, error)
	CloseCase(ctx context.Context, actor, id, reason string, release bool) (quarantine.Case, error)
	PlaceStanding(ctx context.Context, actor string, h quarantine.StandingHold) (quarantine.StandingHold, error)
}

// CaseViews shows cases: *quarantine.Cases.
type CaseViews interface {
	ListCases(ctx context.Context) ([]quarantine.Case, error)
	ShowCase(ctx context.Context, id string) (quarantine.CaseView, error)
}

// Standing shows and releases standing holds: *quarantine.StandingHolds.
type Standing interface {
	All(ctx context.Context) ([]quarantine.StandingHold, error)
	Release(ctx context.Context, actor, id, reason string) (quarantine.StandingHold, error)
}

// Approvals has acts done that take two people: *quarantine.Approvals.
type Approvals interface {
	Ask(ctx context.Context, actor string, w quarantine.Wish) (quarantine.Request, error)
	Approve(ctx context.Context, actor, id, reason string) (quarantine.Request, error)
	Deny(ctx context.Context, actor, id, reason string) (quarantine.Request, error)
	Withdraw(ctx context.Context, actor, id, reason string) (quarantine.Request, error)
}

// Requests is what the API reads of the requests: see quarantine.Requests.
type Requests interface {
	Request(ctx context.Context, id string) (quarantine.Request, error)
	FindRequests(ctx context.Context, f quarantine.RequestFilter) ([]quarantine.Request, error)
}

// PolicyLocks shows and unlocks the locked rules of the policy: *policy.Store.
type PolicyLocks interface {
	Locks() []policy.Lock
	Unlock(ctx context.Context, actor, rule, reason string) (policy.Lock, error)
	Relock(ctx context.Context, actor, rule, reason string) (policy.Lock, error)
}

// Pauser pauses removals: *quarantine.Collector, of which the API gets no more
// than this.
type Pauser interface {
	Pause(ctx context.Context, actor, reason string, until time.Time) (quarantine.Pause, error)
	Resume(ctx context.Context, actor, reason string) error
}

// Guards reads and sets the guard of pools, by the pool's name as people write
// it (quarantine.FindPool).
type Guards interface {
	Guard(ctx context.Context, pool string) (quarantine.GuardStatus, error)
	SetGuard(ctx context.Context, actor, pool string, on bool, reason string) (quarantine.GuardStatus, error)
}

// Jobs runs a job now. ErrNotFound if there is no such job, ErrBusy if it is
// running.
type Jobs interface {
	RunJob(ctx context.Context, actor, name string, o quarantine.JobOptions) (quarantine.Report, error)
}

// Doctor looks for what should be mended.
type Doctor interface {
	Doctor(ctx context.Context) ([]quarantine.Finding, error)
}

// Explainer says what the policy in force decides about a disk, and why.
type Explainer interface {
	Explain(f quarantine.Facts) (quarantine.Decision, []policy.RuleTrace)
	// Facts are what the policy looks at of a disk.
	Facts(d quarantine.Disk) quarantine.Facts
	// OnDisk is the policy as it is on disk, and its digest.
	OnDisk(ctx context.Context) (quarantine.Decider, string, error)
}

// Sightings finds what is alive: *catalog.Catalog.
type Sightings interface {
	FindSightings(ctx context.Context, cloud, resource string, limit int) ([]quarantine.Sighting, error)
}

// Simulator replays the history under another policy: *quarantine.Simulator.
type Simulator interface {
	Simulate(ctx context.Context, other quarantine.Decider, o quarantine.SimulationOptions) (quarantine.Simulation, error)
}

// Parents lists the images on which disks in quarantine stand:
// *quarantine.Flattener.
type Parents interface {
	Parents(ctx context.Context) ([]quarantine.ParentImage, error)
}

// Capacity tells how full the pools are, and will be: *quarantine.Capacity.
type Capacity interface {
	Forecasts(ctx context.Context, now time.Time) ([]quarantine.PoolState, error)
}

// Coverage compares what a cloud deleted with what is in quarantine:
// *quarantine.Inquirer.
type Coverage interface {
	// Clouds names the clouds that can be asked.
	Clouds() []string
	Coverage(ctx context.Context, cloud string, from, to time.Time) (quarantine.Coverage, error)
}
