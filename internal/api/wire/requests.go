package wire

import (
	"time"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// HoldRequest places a hold (POST /v1/disks/{id}/hold) or releases one
// (POST /v1/disks/{id}/release).
type HoldRequest struct {
	CaseID string `json:"case_id" minLength:"1" maxLength:"200"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// ExtendRequest moves retain-until to a later date (POST
// /v1/disks/{id}/extend).
type ExtendRequest struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason" minLength:"1" maxLength:"2000"`
}

// ShortenRequest asks for an earlier retain-until (POST /v1/disks/{id}/shorten).
// The answer is a quarantine.Request.
type ShortenRequest struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason" minLength:"1" maxLength:"2000"`
}

// ReasonRequest is the body of acts that need nothing else (POST
// /v1/disks/{id}/purge, /v1/disks/{id}/export, /v1/collect/resume,
// /v1/requests/{request}/approve, deny and withdraw).
type ReasonRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// SimulateRequest replays the history under another policy (POST
// /v1/policy/simulate). The answer is a quarantine.Simulation.
type SimulateRequest struct {
	Policies []policy.File `json:"policies,omitempty" maxItems:"1000" doc:"the files of the policy, in the order in which they are read"`
	OnDisk   bool          `json:"on_disk,omitempty" doc:"the policy on the daemon's disk, in the place of one in the request"`
	From     time.Time     `json:"from,omitzero" doc:"the first point; 90 days before the last where it is left out"`
	To       time.Time     `json:"to,omitzero" doc:"the last point, and the end of the history; now where it is left out"`
	Step     string        `json:"step,omitempty" doc:"the time from point to point, as 6h, 1d; some thirty points where it is left out"`
	Changes  int           `json:"changes,omitempty" minimum:"0" maximum:"10000" doc:"how many changed disks are named"`
	Apply    bool          `json:"apply,omitempty" doc:"what applying the policy now would change of what is in quarantine, in the place of what it would have done from the beginning"`
}

// ApplyRequest applies the policy in force to what is in quarantine (POST
// /v1/policy/apply).
type ApplyRequest struct {
	Policy string `json:"policy,omitempty" maxLength:"128" doc:"the digest of the policy that it is about; another one on disk is refused"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// ApplyLine is a line of the answer: how far it is, or, the last, what came of it.
type ApplyLine struct {
	Done   uint64                        `json:"done,omitempty"`
	Total  uint64                        `json:"total,omitempty"`
	Result *quarantine.PolicyApplication `json:"result,omitempty"`
	Error  *Problem                      `json:"error,omitempty"`
}

// JobRequest runs a job (POST /v1/jobs/{job}). The answer is a
// quarantine.Report.
type JobRequest struct {
	DryRun       bool `json:"dry_run,omitempty"`
	ConfirmClock bool `json:"confirm_clock,omitempty" doc:"a person's word that the clock is right"`
}

// UnlockRequest names a locked rule (POST /v1/policy/unlock, /v1/policy/relock). The
// answer is a policy.Lock.
type UnlockRequest struct {
	Rule   string `json:"rule" minLength:"1" maxLength:"1000"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// PauseRequest pauses removals (POST /v1/collect/pause) until somebody lifts that,
// or until the time. The answer is a quarantine.Pause.
type PauseRequest struct {
	Reason string    `json:"reason" minLength:"1" maxLength:"2000"`
	Until  time.Time `json:"until,omitzero"`
}

// GuardRequest switches a pool's guard (PUT /v1/guard?pool=NAME). The answer
// is a quarantine.GuardStatus.
type GuardRequest struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}
