package quarantine

import (
	"context"
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
// It is written on the disk itself just before the clone is made, because librbd
// copies an image's metadata to its clones, as the last of what it does: a clone
// without a mark was never whole. So the mark names what it is for, and the disk,
// every copy of the clone and every clone of it, which bear the same text, are told
// apart from the clone itself.
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
	// phaseDiscard: nobody wants it, and it is being removed. It says so only
	// when no cloud can have it any more.
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

// leftover reports whether an entry of that name, whose own mark it is, is what
// a restore left behind, which the collector removes, and not something that
// died. Only a name of this service's can be one: what a cloud has taken over
// bears a name of the cloud's, and is adopted when it dies, whatever the mark
// says. An image of the image service keeps its name, and is adopted too.
func (m restoreMark) leftover(name string) bool {
	if name != m.Name && name != m.discardName() {
		return false
	}
	return m.Phase == phaseMade || m.Phase == phaseDiscard || m.Phase == phaseOffered && m.As != AsImage
}

// discardName is what a copy is called for the moment in which it is taken out
// of the trash to be removed: no cloud knows that name.
func (m restoreMark) discardName() string { return m.Name + discardSuffix }

const discardSuffix = ".discard"

// vouched reports whether the custody log knows of the restore that the mark
// speaks of. A mark is metadata on an image in a pool of the cloud's, and who
// holds the cloud's key can write one: alone it is no reason to remove
// anything, or to leave something that died to be removed.
func (l *Ledger) vouched(ctx context.Context, m restoreMark) (bool, error) {
	if m.At.After(l.clock().Add(ClockSkew)) {
		return false, nil
	}
	at, err := l.meantToRestore(ctx, m.Of.DiskID(), m.To, m.Name)
	return !at.IsZero(), err
}

// meantToRestore returns when the disk was last to be restored to that place, by
// the custody log and whatever came of it; zero: never.
func (l *Ledger) meantToRestore(ctx context.Context, id string, to PoolRef, name string) (last time.Time, err error) {
	entries, err := l.past.Entries(ctx, id)
	if err != nil {
		return last, fmt.Errorf("look for the restore of disk %s in the custody log: %w", id, err)
	}
	for _, e := range entries {
		if e.Act == "restore" && e.Outcome == OutcomeIntent && e.Detail["to"] == restoreTarget(to, name) && e.At.After(last) {
			last = e.At
		}
	}
	return last, nil
}

// restoreTarget is how the custody log names what a restore makes (Entry.Detail
// "to").
func restoreTarget(p PoolRef, name string) string { return p.String() + "/" + name }

// restoreName is the name of what a restore makes of the disk, until a cloud
// gives it another: the number tells several restores of a disk apart.
func restoreName(diskID string, n int64) string {
	return fmt.Sprintf("%s%s.%x", RestorePrefix, diskID, n)
}

// diskOfRestore is the disk that restoreName made the name of.
func diskOfRestore(name string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, RestorePrefix), ".")
	return id
}

// ownEntry reports whether the name is one that this service itself gives to a
// disk while it has it out of the trash: the reserved one, or that of a disk
// which is moved to a cloud. A clone for a restore bears the id of another
// image's disk.
func ownEntry(key Key, name string) bool {
	return strings.HasPrefix(name, ReservedPrefix) || strings.HasPrefix(name, RestorePrefix+key.DiskID()+".")
}
