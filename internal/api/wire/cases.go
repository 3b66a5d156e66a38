package wire

import (
	"time"

	"quarantine/internal/quarantine"
)

// OpenCaseRequest opens a case (POST /v1/cases). The answer is a quarantine.Case.
type OpenCaseRequest struct {
	ID       string    `json:"id" minLength:"1" maxLength:"200"`
	Title    string    `json:"title" minLength:"1" maxLength:"2000"`
	People   []string  `json:"people,omitempty" maxItems:"100" doc:"who may be asked about it"`
	Deadline time.Time `json:"deadline,omitzero" doc:"when somebody should look whether it is still needed; nothing is released by it"`
}

// CaseRequest replaces what stands in a case (PUT /v1/cases/{case}).
type CaseRequest struct {
	Title    string    `json:"title" minLength:"1" maxLength:"2000"`
	People   []string  `json:"people,omitempty" maxItems:"100"`
	Deadline time.Time `json:"deadline,omitzero"`
}

// CloseCaseRequest closes a case (POST /v1/cases/{case}/close).
type CloseCaseRequest struct {
	Reason  string `json:"reason" minLength:"1" maxLength:"2000"`
	Release bool   `json:"release,omitempty" doc:"lift all its holds, which else refuse it"`
}

// StandingRequest holds all that will be deleted and that the selector matches (POST
// /v1/standing). The answer is a quarantine.StandingHold.
type StandingRequest struct {
	CaseID string                  `json:"case_id" minLength:"1" maxLength:"200"`
	Kind   quarantine.StandingKind `json:"kind" enum:"user,deleter,project,vm,address,cloud"`
	Value  string                  `json:"value" minLength:"1" maxLength:"500" doc:"an id, a name or an address"`
	Reason string                  `json:"reason" minLength:"1" maxLength:"2000"`
	Until  time.Time               `json:"until,omitzero" doc:"when it ends by itself"`
}
