package quarantine

import (
	"slices"
	"sync"
	"time"
)

// The cron jobs.
const (
	JobCollect   = "collect"
	JobReconcile = "reconcile"
	JobGuard     = "guard"
	JobClouds    = "clouds"
	JobFlatten   = "flatten"
	JobIsolate   = "isolate"
)

// Report is what a run of a job did, or with DryRun would do.
type Report struct {
	Job       string    `json:"job"`
	DryRun    bool      `json:"dry_run"`
	Actor     string    `json:"actor"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	// Stopped says why the run removed nothing, or stopped before its end; ""
	// when it came to its end.
	Stopped string `json:"stopped,omitempty"`
	// Notes say why the run did less, or went slower, than it may.
	Notes []string     `json:"notes,omitempty"`
	Items []ReportItem `json:"items"`
}

// Failed counts the items that did not succeed.
func (r *Report) Failed() int {
	n := 0
	for _, it := range r.Items {
		if it.Error != "" {
			n++
		}
	}
	return n
}

// ReportItem is one act on one disk, or one finding.
type ReportItem struct {
	Disk   string `json:"disk,omitempty"`
	Pool   string `json:"pool,omitempty"`
	Name   string `json:"name,omitempty"`
	Act    string `json:"act"` // adopt, expire, purge, finish, undo, join, lost, guard …
	Reason string `json:"reason,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Error  string `json:"error,omitempty"`
}

// notes gathers a report's notes, from several goroutines; each once.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(note string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.list, note) {
		n.list = append(n.list, note)
	}
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}

// LastRun is kept for each job across restarts.
type LastRun struct {
	Job         string    `json:"job"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Acts        int       `json:"acts"`
	Failed      int       `json:"failed"`
	Stopped     string    `json:"stopped,omitempty"`
}
