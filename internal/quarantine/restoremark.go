package quarantine

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// RestoreMarkKey is the key of the image metadata that holds a restore's mark.
const RestoreMarkKey = "quarantine.restore"

// restoreMark says of an image that a restore has made it, and how far the
// restore has come. It is the one reason for which this service removes an
// image that is not a disk in quarantine (Collector.DiscardClone).
//
// It is written on the disk itself just before the clone is made, because
// librbd copies an image's metadata to its clones: a clone is marked from its
// first moment. So the mark names what it is for, and the disk, every copy of
// the clone and every clone of it, which bear the same text, are told apart
// from the clone itself.
type restoreMark struct {
	// Of is the key of the disk, To and Name are the place and the name of the
	// clone.
	Of   Key     `json:"of"`
	To   PoolRef `json:"to"`
	Name string  `json:"name"`
	// As is what the clone is to become, By who wanted it, At when the mark was
	// written.
	As string    `json:"as"`
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Phase is how far it has come.
	Phase string `json:"phase"`
	// ImageID is the clone's, from phaseOffered on.
	ImageID string `json:"image_id,omitempty"`
}

// The phases of a restore's mark.
const (
	// phaseMade: the clone is being made, or is ready.
	phaseMade = "made"
	// phaseOffered: a cloud is about to take it over.
	phaseOffered = "offered"
	// phaseGiven: it belongs to a cloud. It is never removed from here on.
	phaseGiven = "given"
	// phaseDiscard: nobody wants it, and it is being removed.
	phaseDiscard = "discard"
)

// encode is the content of the metadata key RestoreMarkKey.
func (m restoreMark) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode the mark of %s/%s: %w", m.To, m.Name, err)
	}
	return b, nil
}

// markOf reads the mark of the image with the key, and reports whether it is
// the image's own and not a copy of another one's.
func markOf(key Key, b []byte) (restoreMark, bool) {
	var m restoreMark
	if len(b) == 0 || json.Unmarshal(b, &m) != nil {
		return m, false
	}
	own := m.To == key.PoolRef() && m.Of != key && strings.HasPrefix(m.Name, RestorePrefix)
	if m.Phase != phaseMade {
		own = own && m.ImageID == key.ImageID
	}
	return m, own
}

// leftover reports whether the trash entry is what a restore left behind, which
// the collector removes, and not something that died. What a cloud may have
// taken over is no leftover: a volume has another name by then; an image of
// the image service keeps its name, and is adopted when it dies.
func leftover(e TrashEntry, mark []byte) bool {
	m, own := markOf(e.Key, mark)
	return own && m.leftover(e)
}

// leftover is the same for an entry whose own mark it is.
func (m restoreMark) leftover(e TrashEntry) bool {
	switch m.Phase {
	case phaseDiscard:
		// One that died long after was not deleted by the restore: a crash came
		// between, and somebody has used it.
		return e.DeletedAt.Before(m.At.Add(leftoverAge))
	case phaseMade:
		return e.Name == m.Name
	case phaseOffered:
		return e.Name == m.Name && m.As != AsImage
	}
	return false
}

// restoreName is the name of what a restore makes of the disk, until a cloud
// gives it another: the number tells several restores of a disk apart.
func restoreName(diskID string, n int64) string {
	return fmt.Sprintf("%s%s.%x", RestorePrefix, diskID, n)
}

// ownEntry reports whether the name is one that this service itself gives to a
// disk while it has it out of the trash: the reserved one, or that of a disk
// which is moved to a cloud. A clone for a restore bears the id of another
// image's disk.
func ownEntry(key Key, name string) bool {
	return strings.HasPrefix(name, ReservedPrefix) || strings.HasPrefix(name, RestorePrefix+key.DiskID()+".")
}
