package wire

import (
	"time"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// PolicyFacts are the facts of a deletion that never was, under the names that rules
// know them by (POST /v1/policy/explain). All may be left out, and are then as empty
// for the policy as where a cloud does not say them.
type PolicyFacts struct {
	Unexplained bool `json:"unexplained,omitempty" doc:"no event says what the disk was; only the facts of the disk itself may then be given"`

	Cloud            string                  `json:"cloud,omitempty" doc:"the configured name; where it is left out, the pool's"`
	CloudType        string                  `json:"cloud_type,omitempty" enum:"openstack,opennebula,generic"`
	Kind             quarantine.Kind         `json:"kind,omitempty" enum:"delete,soft-delete,rebuild,shelve-offload,resize,unrescue,volume-delete,image-delete,recover-delete,recreate,disk-detach" doc:"delete where it is left out"`
	ResourceKind     quarantine.ResourceKind `json:"resource_kind,omitempty" enum:"vm,volume,image" doc:"vm where it is left out"`
	ResourceID       string                  `json:"resource_id,omitempty"`
	ResourceName     string                  `json:"resource_name,omitempty"`
	ServerID         string                  `json:"server_id,omitempty"`
	Project          quarantine.Principal    `json:"project,omitzero"`
	User             quarantine.Principal    `json:"user,omitzero"`
	Deleter          quarantine.Principal    `json:"deleter,omitzero"`
	Flavor           string                  `json:"flavor,omitempty"`
	Image            quarantine.Principal    `json:"image,omitzero"`
	Host             string                  `json:"host,omitempty"`
	AvailabilityZone string                  `json:"availability_zone,omitempty"`
	Metadata         map[string]string       `json:"metadata,omitempty"`
	Tags             []string                `json:"tags,omitempty"`
	Addresses        []quarantine.Address    `json:"addresses,omitempty"`
	CreatedAt        time.Time               `json:"created_at,omitzero" doc:"when the resource was made: with deleted_at, its lifetime"`

	Pool         string             `json:"pool,omitempty"`
	Namespace    string             `json:"namespace,omitempty"`
	OriginalName string             `json:"original_name,omitempty"`
	Role         string             `json:"role,omitempty"`
	SizeBytes    int64              `json:"size_bytes,omitempty" minimum:"0"`
	Capture      quarantine.Capture `json:"capture,omitempty" enum:"guard,raced,driver,none,copy" doc:"guard where it is left out"`
	DeletedAt    time.Time          `json:"deleted_at,omitzero" doc:"now where it is left out"`
}

// FactsExplanation is what the policy in force decides by facts that were given.
type FactsExplanation struct {
	DeletedAt   time.Time           `json:"deleted_at"`
	RetainUntil time.Time           `json:"retain_until"`
	Decision    quarantine.Decision `json:"decision"`
	Trace       []policy.RuleTrace  `json:"trace"`
}
