package ceph

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The operations of librbd's trash watcher (librbd::trash_watcher::NotifyOp).
const (
	opImageAdded   = 0
	opImageRemoved = 1
)

func (w *TrashWatch) hear(payload []byte) {
	id, spec, err := decodeTrashNotice(payload)
	switch {
	case errors.Is(err, errGoneNotice):
		if w.Gone != nil {
			w.Gone(w.pool.Key(id))
		}
	case err != nil:
		w.log.Warn("a trash notification does not parse; the trash is listed instead", "pool", w.pool.String(), "error", err)
		w.missed()
	case spec.users():
		w.offer(spec.entry(w.pool.Key(id)))
	}
}

// errGoneNotice says that a notification is not about an arrival, but about an
// image that left the trash: removed or restored.
var errGoneNotice = errors.New("not an arrival")

// decodeTrashNotice reads a notification of librbd's trash watcher: version,
// compat (u8), length (u32), operation (u32), the image id (string); for an
// arrival the TrashImageSpec. Of one that left, the id comes with errGoneNotice.
func decodeTrashNotice(b []byte) (string, trashSpec, error) {
	if len(b) < 10 {
		return "", trashSpec{}, errSpec
	}
	op := binary.LittleEndian.Uint32(b[6:])
	if op != opImageAdded && op != opImageRemoved {
		return "", trashSpec{}, fmt.Errorf("operation %d: %w", op, errSpec)
	}
	id, rest, ok := decodeString(b[10:])
	if !ok {
		return "", trashSpec{}, errSpec
	}
	if op == opImageRemoved {
		return id, trashSpec{}, errGoneNotice
	}
	spec, _, err := decodeTrashSpec(rest)
	return id, spec, err
}
