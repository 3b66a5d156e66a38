package quarantine

import "slices"

// State is where a Disk is on its way through quarantine.
type State string

// The states. pending, restoring and purging are intents, written before the
// act; after a crash the reconciler finishes or undoes them.
const (
	// Pending: seen and decided, not yet sealed.
	Pending State = "pending"
	// Quarantined: sealed evidence.
	Quarantined State = "quarantined"
	// Expiring: its time is over; waits out the grace period. Reversible.
	Expiring State = "expiring"
	// Purging: the space is being freed. It goes back to expiring, sealed
	// again, when Ceph refuses before the image is gone.
	Purging State = "purging"
	// Purged: gone; the row is a tombstone.
	Purged State = "purged"
	// Restoring: the image is, or may be, out of the trash.
	Restoring State = "restoring"
	// Restored: given back under its own name; it has left quarantine.
	Restored State = "restored"
	// Lost: a Deletion whose disk cannot be found, or a disk that vanished
	// behind our back. Loud, never silent.
	Lost State = "lost"
)

// States lists all states in the order of a disk's life.
func States() []State {
	return []State{Pending, Quarantined, Expiring, Purging, Purged, Restoring, Restored, Lost}
}

// legalMoves is the state machine. What is not here is refused by Ledger.move.
//
//	(new) → pending → quarantined → expiring → purging → purged
//	                     ↑ ↓  ↑_________|
//	                  restoring → restored → pending   (deleted again)
//	purging → expiring: Ceph refused, and the disk was sealed again
//	pending, purging → restored, restoring: somebody took the image out of the trash
//	any state that has the image, and restored → lost; lost → pending (found after all)
var legalMoves = map[State][]State{
	"":          {Pending, Quarantined, Expiring, Restored, Lost}, // all but Pending and Lost: read from the image's record
	Pending:     {Quarantined, Restored, Lost},
	Quarantined: {Expiring, Restoring, Lost},
	Expiring:    {Quarantined, Purging, Restoring, Lost},
	Purging:     {Purged, Expiring, Restoring},
	Restoring:   {Quarantined, Restored, Lost},
	Restored:    {Pending, Lost},
	Lost:        {Pending},
}

// CanMove reports whether a Disk may go from one state to another. The empty
// state stands for a Disk that the catalog does not know yet.
func CanMove(from, to State) bool { return slices.Contains(legalMoves[from], to) }

// InQuarantine reports whether the service still has the image in its care.
func (s State) InQuarantine() bool {
	switch s {
	case Pending, Quarantined, Expiring, Purging, Restoring:
		return true
	}
	return false
}
