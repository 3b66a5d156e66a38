package wire

import "time"

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

// ReasonRequest is the body of acts that need nothing else (POST
// /v1/disks/{id}/purge, /v1/disks/{id}/export).
type ReasonRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// JobRequest runs a job (POST /v1/jobs/{job}). The answer is a
// quarantine.Report.
type JobRequest struct {
	DryRun       bool `json:"dry_run,omitempty"`
	ConfirmClock bool `json:"confirm_clock,omitempty" doc:"a person's word that the clock is right"`
}

// GuardRequest switches a pool's guard (PUT /v1/guard?pool=NAME). The answer
// is a quarantine.GuardStatus.
type GuardRequest struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}
