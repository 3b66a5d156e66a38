package quarantine

// Severity grades a Finding.
type Severity string

// The grades: fine, worth a look, to be mended now.
const (
	SeverityOK    Severity = "ok"
	SeverityWarn  Severity = "warn"
	SeverityFault Severity = "fault"
)

// Finding is what the doctor says about one thing.
type Finding struct {
	Severity Severity `json:"severity"`
	// Subject is what was looked at ("pool vms"), Problem what was seen, Hint
	// the command that mends it.
	Subject string `json:"subject"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}
