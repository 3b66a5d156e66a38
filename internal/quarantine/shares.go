package quarantine

import (
	"context"
	"math"
	"net/url"
	"time"
)

// EarlyByCapacity stands in Disk.EarlyBy where no person had the disk go before its
// time, but a pool that was too full. No person may bear the name.
const EarlyByCapacity = "capacity"

// Shares is the part of the catalog by which room is made in a pool. A pool is
// meant with all its namespaces: they share its room.
type Shares interface {
	// PoolShares sums up what each project has in quarantine in the pool, in the
	// order of the projects.
	PoolShares(ctx context.Context, q ShareQuery) ([]Share, error)
	// Evictable returns the project's disks that may be evicted and free something,
	// the longest dead first; a page of them, after that one (zero: the first).
	Evictable(ctx context.Context, q ShareQuery, project string, after Candidate, limit int) ([]Candidate, error)
	// Evicted returns all disks of the pool that are expiring because it was too
	// full, and whose time is not over, the longest dead first.
	Evicted(ctx context.Context, q ShareQuery) ([]Candidate, error)
}

// ShareQuery asks about a pool at a time.
type ShareQuery struct {
	FSID, Pool string
	// Now is the present time. Disks that died, or came into quarantine, after Born
	// are too young to be evicted.
	Now, Born time.Time
	// Fill: it is the pool itself that is too full, which a disk whose data is in
	// another pool does not help. The catalog does not look at it.
	Fill bool
}

// Share is what a project has in quarantine in a pool. Its bytes are what was
// measured; each disk counts in one field.
type Share struct {
	// Project is ShareOf its disks.
	Project string `json:"project"`
	Disks   int64  `json:"disks"`
	// Evictable may go before its time.
	Evictable int64 `json:"evictable_bytes"`
	// Held, Compliance and Young (the least time is not over) may not, and Busy
	// (not sealed yet, or being restored) not now.
	Held       int64 `json:"held_bytes"`
	Compliance int64 `json:"compliance_bytes"`
	Young      int64 `json:"young_bytes"`
	Busy       int64 `json:"busy_bytes"`
	// Going is on its way out already: expiring, being purged, or due.
	Going int64 `json:"going_bytes"`
	// Unmeasured is the size, as provisioned, of the disks that stay and were not
	// measured yet.
	Unmeasured int64 `json:"unmeasured_bytes"`
}

// Staying is what the project has and what is not on its way out.
func (s *Share) Staying() int64 { return s.Evictable + s.Held + s.Compliance + s.Young + s.Busy }

// Candidate is a disk that may be evicted, or was.
type Candidate struct {
	ID        string
	Project   string
	DeletedAt time.Time
	UsedBytes int64
	// Firm: the decision about it does not let it be evicted at this time.
	Firm bool
}

// ShareOf names whose share of a pool's room the disk takes: the project of its
// cloud, by its id where that is known. Disks that nothing explains are together
// nobody's, "".
//
// A project that is known by its name alone is never taken for the one that has this
// name for its id, nor for one of another domain: who may choose a name could
// otherwise flood another's share, and have that yield.
func ShareOf(d *Disk) string {
	if d.Deletion == nil {
		return ""
	}
	cloud, p := d.Deletion.Cloud+"/", d.Deletion.Project
	switch {
	case p.ID != "":
		return cloud + url.QueryEscape(p.ID)
	case p.Name == "":
		return cloud
	case p.Domain == "":
		return cloud + "=" + url.QueryEscape(p.Name) // no escaped id begins so
	}
	return cloud + "=" + url.QueryEscape(p.Name) + "@" + url.QueryEscape(p.Domain)
}

// FirmUntil is the time up to which no shortage of room takes the disk, by the
// decision about it, in microseconds since 1970; math.MaxInt64: never does one.
func FirmUntil(d *Disk) int64 {
	if d.Decision.Mode == Compliance {
		return math.MaxInt64
	}
	if until := minUntil(d); !until.IsZero() {
		return until.UnixMicro()
	}
	return d.DeletedAt.UnixMicro()
}
