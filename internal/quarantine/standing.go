package quarantine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// StandingHold holds all that will be deleted and that its selector matches: "all
// that user X deletes from now on".
type StandingHold struct {
	ID     string `json:"id"`
	CaseID string `json:"case_id"`
	Reason string `json:"reason"`
	// Kind and Value are the selector.
	Kind  StandingKind `json:"kind"`
	Value string       `json:"value"`
	By    string       `json:"by"`
	At    time.Time    `json:"at"`
	// Until is when it ends by itself; zero: when it is released. What it has held
	// stays held.
	Until         time.Time `json:"until,omitzero"`
	ReleasedBy    string    `json:"released_by,omitempty"`
	ReleasedAt    time.Time `json:"released_at,omitzero"`
	ReleaseReason string    `json:"release_reason,omitempty"`
	// Version counts the changes of the row. It lives in the catalog only.
	Version int64 `json:"-"`
}

// StandingKind is what a standing hold selects by.
type StandingKind string

// The kinds. All but addresses and clouds are ids or names, as in DiskFilter.
const (
	StandingUser    StandingKind = "user"    // owner or deleter
	StandingDeleter StandingKind = "deleter" // who deleted it
	StandingProject StandingKind = "project"
	StandingVM      StandingKind = "vm"      // also the server of a volume
	StandingAddress StandingKind = "address" // IP or MAC
	StandingCloud   StandingKind = "cloud"
)

// StandingKinds lists all kinds.
func StandingKinds() []StandingKind {
	return []StandingKind{StandingUser, StandingDeleter, StandingProject, StandingVM, StandingAddress, StandingCloud}
}

// Open reports whether it still holds what dies.
func (s *StandingHold) Open(now time.Time) bool {
	return s.ReleasedAt.IsZero() && (s.Until.IsZero() || now.Before(s.Until))
}

// Matches reports whether it holds the disk, in a pool of that cloud. It holds what
// died, or came into quarantine, since it was placed: where clocks differ it holds
// rather more.
func (s *StandingHold) Matches(d *Disk, cloud string) bool {
	from := d.DeletedAt
	if d.QuarantinedAt.After(from) {
		from = d.QuarantinedAt
	}
	if from.Before(s.At.Add(-ClockSkew)) || !s.Until.IsZero() && d.DeletedAt.After(s.Until.Add(ClockSkew)) {
		return false
	}
	del := d.Deletion
	if s.Kind == StandingCloud && s.Value == cloud {
		return true
	}
	if del == nil {
		return false
	}
	switch s.Kind {
	case StandingUser:
		return s.named(del.User) || s.named(del.Deleter)
	case StandingDeleter:
		return s.named(del.Deleter)
	case StandingProject:
		return s.named(del.Project)
	case StandingVM:
		return del.ResourceKind == ResourceVM && (s.Value == del.ResourceID || s.Value == del.ResourceName) || s.Value == del.ServerID
	case StandingCloud:
		return s.Value == del.Cloud
	case StandingAddress:
		for _, a := range del.Addresses {
			if v := plainAddress(s.Value); v == plainAddress(a.IP) || v == plainAddress(a.MAC) {
				return true
			}
		}
	}
	return false
}

func (s *StandingHold) named(p Principal) bool { return s.Value == p.ID || s.Value == p.Name }

// plainAddress is one form of the many in which an IP or a MAC can be written; ""
// for what is neither.
func plainAddress(s string) string {
	s = strings.TrimSpace(s)
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	if mac, err := net.ParseMAC(s); err == nil {
		return mac.String()
	}
	return ""
}

// held reports whether the disk had this hold in its present stay.
func (s *StandingHold) held(d *Disk) bool { return d.hadHold(s.CaseID) }

// hadHold reports whether a hold of the case is on the disk, or was in its present
// stay: what places holds by itself does not place one again that was released. A
// release in an earlier life was about what the disk held then.
func (d *Disk) hadHold(caseID string) bool {
	for _, h := range d.Holds {
		if h.CaseID == caseID && (h.Open() || !h.PlacedAt.Before(d.QuarantinedAt)) {
			return true
		}
	}
	return false
}

// StandingStore is the part of the catalog that keeps standing holds. They are
// promises: the custody log has them too (StandingHolds.Restore).
type StandingStore interface {
	// StandingHolds returns all of them, the oldest first, released ones too.
	StandingHolds(ctx context.Context) ([]StandingHold, error)
	// PutStandingHold writes one if the catalog's version of it is s.Version (zero:
	// there is none yet). ErrConflict if somebody was faster.
	PutStandingHold(ctx context.Context, s StandingHold) (StandingHold, error)
}

// standingAge is how old what is known of the standing holds may be. What this process
// places or releases it knows at once; what comes into the catalog in another way, by a
// restored backup for one, it knows this much later.
const standingAge = 2 * time.Second

// standingCache keeps the standing holds at hand: each adoption looks at them.
type standingCache struct {
	store StandingStore // nil: there are none
	clock Clock

	mu   sync.Mutex
	read time.Time
	all  []StandingHold
}

// holds returns the standing holds as they were standingAge ago at most.
func (c *standingCache) holds(ctx context.Context) ([]StandingHold, error) {
	if c == nil || c.store == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if !c.read.IsZero() && now.Sub(c.read).Abs() < standingAge {
		return c.all, nil
	}
	all, err := c.store.StandingHolds(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the standing holds: %w", err)
	}
	c.all, c.read = all, now
	return all, nil
}

// forget has them read anew.
func (c *standingCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = time.Time{}
}

// holdBy places on the disk the standing holds that match it as it is known now, and
// returns the custody entries that say so. It is called after decide.
//
// Where they cannot be read the disk is adopted all the same: not to capture it would
// lose what they are for. It is marked, and while it is, nothing expires or purges it
// (due, mayCutShort); StandingHolds.Sweep looks again and takes the mark off.
func (j *identity) holdBy(ctx context.Context, d *Disk, now time.Time) []Entry {
	all, err := j.ledger.standing.holds(ctx)
	if err != nil {
		j.ledger.log.Error("standing holds cannot be read; the disk is kept until they were", "disk", d.ID, "error", err)
		d.HoldsUnchecked = true
		return nil
	}
	d.HoldsUnchecked = false
	var placed []Entry
	for i := range all {
		s := &all[i]
		if !s.ReleasedAt.IsZero() || s.held(d) || !s.Matches(d, j.cloudOf(d.Key.PoolRef())) {
			continue
		}
		d.Holds = append(append([]Hold(nil), d.Holds...), s.hold(now))
		placed = append(placed, s.entry())
	}
	return placed
}

// hold is the hold that it places on a disk.
func (s *StandingHold) hold(now time.Time) Hold {
	return Hold{CaseID: s.CaseID, Reason: s.Reason, By: s.By, PlacedAt: now.UTC().Truncate(time.Second), Standing: s.ID}
}

// entry is the custody entry of that hold.
func (s *StandingHold) entry() Entry {
	return Entry{Act: "hold", Actor: s.By, Reason: s.Reason, Detail: map[string]string{"case": s.CaseID, detailStanding: s.ID}}
}

// detailStanding is the key under which a custody entry names the standing hold.
const detailStanding = "standing"

// noteAll writes the entries, which must not stop what they are about.
func (l *Ledger) noteAll(ctx context.Context, d Disk, entries []Entry) {
	for _, e := range entries {
		l.note(ctx, d, e)
	}
}

var errUnchecked = errors.New("whether a standing hold is on it was not looked at yet")
