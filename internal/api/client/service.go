package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// Guards returns the last known status of every pool's guard.
func (c *Client) Guards(ctx context.Context) ([]quarantine.GuardStatus, error) {
	return answer[[]quarantine.GuardStatus](ctx, c, call{method: http.MethodGet, path: "/v1/guard", long: true})
}

// Guard returns the status of one pool's guard. A pool is written pool,
// pool/namespace or cluster:pool. quarantine.ErrNotFound if it is not in the
// daemon's configuration.
func (c *Client) Guard(ctx context.Context, pool string) (quarantine.GuardStatus, error) {
	return answer[quarantine.GuardStatus](ctx, c, call{method: http.MethodGet, path: "/v1/guard", query: url.Values{"pool": {pool}}, long: true})
}

// SetGuard switches the guard of a pool on or off.
func (c *Client) SetGuard(ctx context.Context, pool string, r wire.GuardRequest) (quarantine.GuardStatus, error) {
	return answer[quarantine.GuardStatus](ctx, c, call{method: http.MethodPut, path: "/v1/guard", query: url.Values{"pool": {pool}}, body: r, changes: true, long: true})
}

// RunJob runs a job now and returns what it did. quarantine.ErrNotFound if
// there is no such job, ErrBusy if it is running.
func (c *Client) RunJob(ctx context.Context, job string, r wire.JobRequest) (quarantine.Report, error) {
	return answer[quarantine.Report](ctx, c, call{method: http.MethodPost, path: "/v1/jobs/" + url.PathEscape(job), body: r, changes: !r.DryRun, long: true})
}

// Parents lists the images on which disks in quarantine stand, those first that
// somebody wants gone.
func (c *Client) Parents(ctx context.Context) ([]quarantine.ParentImage, error) {
	return answer[[]quarantine.ParentImage](ctx, c, call{method: http.MethodGet, path: "/v1/parents", long: true})
}

// Capacity tells how full the pools are, and when they will be full.
func (c *Client) Capacity(ctx context.Context) ([]quarantine.PoolState, error) {
	return answer[[]quarantine.PoolState](ctx, c, call{method: http.MethodGet, path: "/v1/capacity", long: true})
}

// Coverage compares what the clouds deleted within the period with what is in
// quarantine; of one cloud, or where it is empty of all that the daemon can
// ask. A zero time is the daemon's default: the last day.
func (c *Client) Coverage(ctx context.Context, cloud string, from, to time.Time) ([]quarantine.Coverage, error) {
	query := url.Values{}
	if cloud != "" {
		query.Set("cloud", cloud)
	}
	for name, t := range map[string]time.Time{"from": from, "to": to} {
		if !t.IsZero() {
			query.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	return answer[[]quarantine.Coverage](ctx, c, call{method: http.MethodGet, path: "/v1/coverage", query: query, long: true})
}

// Pause stops removals until Resume, or until the time if it is not zero. An
// earlier pause is replaced.
func (c *Client) Pause(ctx context.Context, r wire.PauseRequest) (quarantine.Pause, error) {
	return answer[quarantine.Pause](ctx, c, call{method: http.MethodPost, path: "/v1/collect/pause", body: r, changes: true})
}

// Resume lifts a pause. quarantine.ErrRefused if there is none.
func (c *Client) Resume(ctx context.Context, r wire.ReasonRequest) error {
	_, err := answer[struct{}](ctx, c, call{method: http.MethodPost, path: "/v1/collect/resume", body: r, changes: true})
	return err
}

// Simulate replays the history under the policy of the request, and changes
// nothing. quarantine.ErrInvalid where the policy has mistakes, ErrBusy while
// another one is simulated.
func (c *Client) Simulate(ctx context.Context, r wire.SimulateRequest) (quarantine.Simulation, error) {
	return answer[quarantine.Simulation](ctx, c, call{method: http.MethodPost, path: "/v1/policy/simulate", body: r, long: true})
}

// ApplyPolicy decides about what is in quarantine anew, by the policy in force.
// progress may be nil. quarantine.ErrRefused where the policy on disk is not in force.
func (c *Client) ApplyPolicy(ctx context.Context, r wire.ApplyRequest, progress quarantine.Progress) (res quarantine.PolicyApplication, err error) {
	k := call{method: http.MethodPost, path: "/v1/policy/apply", body: r, accept: typeSteps, long: true, changes: true}
	err = lines(ctx, c, k, "the application", func(l wire.ApplyLine) (bool, error) {
		switch {
		case l.Error != nil:
			return true, l.Error
		case l.Result != nil:
			res = *l.Result
			return true, nil
		case progress != nil:
			progress(l.Done, l.Total)
		}
		return false, nil
	})
	return res, err
}

// ExplainAlive says what would be decided about what is alive and has that id or
// name, in one cloud or (empty) in all. quarantine.ErrNotFound.
func (c *Client) ExplainAlive(ctx context.Context, cloud, resource string) ([]wire.AliveExplanation, error) {
	query := url.Values{"resource": {resource}}
	if cloud != "" {
		query.Set("cloud", cloud)
	}
	return answer[[]wire.AliveExplanation](ctx, c, call{method: http.MethodGet, path: "/v1/policy/explain", query: query})
}

// ExplainFacts says what would be decided by these facts. Nothing is recorded.
// quarantine.ErrInvalid for facts that cannot be.
func (c *Client) ExplainFacts(ctx context.Context, f wire.PolicyFacts) (wire.FactsExplanation, error) {
	return answer[wire.FactsExplanation](ctx, c, call{method: http.MethodPost, path: "/v1/policy/explain", body: f})
}

// Locks returns the locked rules of the policy in force.
func (c *Client) Locks(ctx context.Context) ([]policy.Lock, error) {
	return answer[[]policy.Lock](ctx, c, call{method: http.MethodGet, path: "/v1/policy/locks"})
}

// Unlock asks for a locked rule to be loosened. quarantine.ErrNotFound if no rule of
// that name is locked.
func (c *Client) Unlock(ctx context.Context, r wire.UnlockRequest) (policy.Lock, error) {
	return answer[policy.Lock](ctx, c, call{method: http.MethodPost, path: "/v1/policy/unlock", body: r, changes: true})
}

// Relock takes that back.
func (c *Client) Relock(ctx context.Context, r wire.UnlockRequest) (policy.Lock, error) {
	return answer[policy.Lock](ctx, c, call{method: http.MethodPost, path: "/v1/policy/relock", body: r, changes: true})
}

// Status returns how the service is.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	return answer[wire.Status](ctx, c, call{method: http.MethodGet, path: "/v1/status"})
}

// Doctor returns what was looked at and what should be mended.
func (c *Client) Doctor(ctx context.Context) ([]quarantine.Finding, error) {
	return answer[[]quarantine.Finding](ctx, c, call{method: http.MethodGet, path: "/v1/doctor", long: true})
}

// RebuildCatalog recreates the catalog from the records on the images.
func (c *Client) RebuildCatalog(ctx context.Context) (quarantine.Report, error) {
	return answer[quarantine.Report](ctx, c, call{method: http.MethodPost, path: "/v1/catalog/rebuild", changes: true, long: true})
}

// VerifyCustody checks the whole chain of the custody log. The error says
// where it breaks.
func (c *Client) VerifyCustody(ctx context.Context) error {
	_, err := answer[struct{}](ctx, c, call{method: http.MethodPost, path: "/v1/custody/verify", long: true})
	return err
}

// Hook gives the daemon a payload of a source: openstack, opennebula or
// generic. With dryRun nothing is recorded. cloud is empty where the token
// says it or only one cloud has the source's type. quarantine.ErrInvalid if the
// payload is not of the form.
func (c *Client) Hook(ctx context.Context, source, cloud string, dryRun bool, payload []byte) (wire.Hooked, error) {
	query := url.Values{}
	if dryRun {
		query.Set("dry_run", "true")
	}
	if cloud != "" {
		query.Set("cloud", cloud)
	}
	return answer[wire.Hooked](ctx, c, call{method: http.MethodPost, path: "/v1/hooks/" + url.PathEscape(source), query: query, raw: payload, changes: !dryRun})
}
