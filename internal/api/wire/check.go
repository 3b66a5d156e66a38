package wire

import "quarantine/internal/quarantine"

// CheckLine is one line of the answer to GET /v1/doctor/deep: how many rows were
// looked at, or a finding; and at the end either what was looked at or an error.
type CheckLine struct {
	Done    uint64                   `json:"done,omitempty"`
	Total   uint64                   `json:"total,omitempty"`
	Finding *quarantine.CheckFinding `json:"finding,omitempty"`
	Result  *quarantine.CheckResult  `json:"result,omitempty"`
	Error   *Problem                 `json:"error,omitempty"`
}
