package wire

import (
	"time"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// Status is how the service is (GET /v1/status).
type Status struct {
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Now       time.Time `json:"now"`
	// Ready is what /readyz says; Reasons is empty when it is ready.
	Ready     bool                     `json:"ready"`
	Reasons   []string                 `json:"reasons"`
	Totals    []quarantine.Total       `json:"totals"`
	Guards    []quarantine.GuardStatus `json:"guards"`
	Jobs      []quarantine.LastRun     `json:"jobs"`
	Policy    PolicyStatus             `json:"policy"`
	Listeners []Connection             `json:"listeners"`
	Watches   []Connection             `json:"watches"`
	// Pause is a person's word that nothing is to be removed; nil: there is none.
	Pause *quarantine.Pause `json:"pause,omitempty"`
	// Requests are those that wait for an approval, or for their act.
	Requests []quarantine.Request `json:"requests,omitempty"`
	// Slowed is why removals go slower than they may; nil: they do not.
	Slowed *quarantine.Slowdown `json:"slowed,omitempty"`
}

// PolicyStatus tells which policy is in force.
type PolicyStatus struct {
	Digest string `json:"digest"`
	// Fault is why the policy on disk does not load; "" if it is in force.
	Fault string `json:"fault,omitempty"`
}

// Connection is a message bus, or a watch of a pool's trash.
type Connection struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
}

// Explanation says what the policy in force decides about a disk, and why
// (GET /v1/disks/{id}/explain).
type Explanation struct {
	Disk Disk `json:"disk"`
	// Recorded is the decision that stands on the disk, Now what the policy in
	// force would decide today. A change never shortens what was promised.
	Recorded quarantine.Decision `json:"recorded"`
	Now      quarantine.Decision `json:"now"`
	Trace    []policy.RuleTrace  `json:"trace"`
}

// AliveExplanation says what the policy in force would decide about a resource that is
// alive, if it were deleted now (GET /v1/policy/explain?resource=ID|NAME).
type AliveExplanation struct {
	Cloud        string                  `json:"cloud"`
	ResourceKind quarantine.ResourceKind `json:"resource_kind"`
	ResourceID   string                  `json:"resource_id"`
	ResourceName string                  `json:"resource_name,omitempty"`
	Project      string                  `json:"project,omitempty" doc:"name, or id"`
	SeenAt       time.Time               `json:"seen_at" doc:"when the cloud was asked last what it is"`
	Disks        []AliveDisk             `json:"disks" doc:"as far as the cloud says them; at least one"`
}

// AliveDisk is one disk of a resource that is alive. Its size is not known, and is 0
// for the policy.
type AliveDisk struct {
	Name        string              `json:"name,omitempty" doc:"of the image, or how it begins"`
	Pool        string              `json:"pool,omitempty"`
	Role        string              `json:"role,omitempty"`
	RetainUntil time.Time           `json:"retain_until"`
	Decision    quarantine.Decision `json:"decision"`
	Trace       []policy.RuleTrace  `json:"trace"`
}

// Hooked is the answer to a hook (POST /v1/hooks/{source}).
type Hooked struct {
	DryRun    bool                  `json:"dry_run,omitempty"`
	Deletions []quarantine.Deletion `json:"deletions" doc:"what the payload recorded, or with dry_run would record"`
}

// ExportContentType is the media type of a sparse export; see export.go.
const ExportContentType = "application/vnd.quarantine.extents"
