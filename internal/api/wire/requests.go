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

// RestoreRequest gives a disk back (POST /v1/disks/{id}/restore). With InPlace
// the other fields but Reason are empty; else Name is the new image's name, in
// Pool (the disk's own where empty). The answer is a stream of Step, one JSON
// value a line.
type RestoreRequest struct {
	InPlace   bool   `json:"in_place,omitempty"`
	Pool      string `json:"pool,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Flatten   bool   `json:"flatten,omitempty"`
	Reason    string `json:"reason" minLength:"1" maxLength:"2000"`
}

// Step is one line of the answer to a restore: progress, and at the end either
// the disk or an error.
type Step struct {
	Done  uint64   `json:"done,omitempty"`
	Total uint64   `json:"total,omitempty"`
	Disk  *Disk    `json:"disk,omitempty"`
	Error *Problem `json:"error,omitempty"`
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
