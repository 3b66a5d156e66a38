package ceph

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// A trash entry is read as written, whatever follows it and whatever a later
// version appends to it; a layout that says it cannot be read is not.
func TestDecodeTrashSpec(t *testing.T) {
	t.Parallel()
	deleted, until := time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC), time.Date(2036, 1, 2, 3, 4, 5, 999, time.UTC)
	spec := encodeTrashSpec(sourceUser, "ünïcode", deleted, until)
	want := trashSpec{source: sourceUser, name: "ünïcode", deleted: deleted.Truncate(time.Second), deferment: until.Truncate(time.Second)}
	later := bytes.Clone(spec)
	later[0] = 3
	later = append(later, "new field"...)
	binary.LittleEndian.PutUint32(later[2:], uint32(len(later)-6))
	old := bytes.Clone(spec[:len(spec)-1]) // version 1 has no state
	old[0] = 1
	binary.LittleEndian.PutUint32(old[2:], uint32(len(old)-6))
	for name, b := range map[string][]byte{"Version2": spec, "Later": later, "Version1": old} {
		got, rest, err := decodeTrashSpec(append(b, "rest"...))
		if err != nil || got != want || string(rest) != "rest" {
			t.Errorf("%s: got %+v, rest %q, %v", name, got, rest, err)
		}
	}
	incompatible := bytes.Clone(spec)
	incompatible[1] = 3
	if _, _, err := decodeTrashSpec(incompatible); !errors.Is(err, errSpec) {
		t.Errorf("an incompatible layout gives %v", err)
	}
	for n := range len(spec) {
		if _, _, err := decodeTrashSpec(spec[:n]); !errors.Is(err, errSpec) {
			t.Errorf("the first %d bytes give %v", n, err)
		}
	}
}

// A notification is read; what is not about an arrival says so.
func TestDecodeTrashNotice(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id, spec, err := decodeTrashNotice(encodeTrashNotice(opImageAdded, "1234", encodeTrashSpec(sourceUser, "disk", at, at)))
	if err != nil || id != "1234" || spec.name != "disk" {
		t.Errorf("got %q, %+v, %v", id, spec, err)
	}
	if _, _, err := decodeTrashNotice(encodeTrashNotice(opImageRemoved, "1234", nil)); !errors.Is(err, errGoneNotice) {
		t.Errorf("a departure gives %v", err)
	}
	if _, _, err := decodeTrashNotice(encodeTrashNotice(77, "1234", nil)); !errors.Is(err, errSpec) {
		t.Errorf("an unknown operation gives %v", err)
	}
}

// encodeTrashNotice writes a notification as librbd 16 does.
func encodeTrashNotice(op uint32, id string, spec []byte) []byte {
	body := binary.LittleEndian.AppendUint32(nil, op)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(id)))
	body = append(append(body, id...), spec...)
	out := binary.LittleEndian.AppendUint32([]byte{1, 1}, uint32(len(body)))
	return append(out, body...)
}

// No bytes make the decoders crash; what is read, written again, reads the
// same.
func FuzzDecodeTrashSpec(f *testing.F) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f.Add(encodeTrashSpec(sourceUser, "disk", at, at.AddDate(10, 0, 0)))
	f.Add(encodeTrashSpec(3, "", at, at))
	f.Add(encodeTrashNotice(opImageAdded, "1234", encodeTrashSpec(sourceUser, "disk", at, at)))
	f.Add([]byte{2, 1, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = decodeTrashNotice(b)
		s, rest, err := decodeTrashSpec(b)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(b, rest) {
			t.Errorf("the rest %q is not the end of %q", rest, b)
		}
		again, _, err := decodeTrashSpec(encodeTrashSpec(s.source, s.name, s.deleted, s.deferment))
		if err != nil || again != s {
			t.Errorf("%+v becomes %+v, %v", s, again, err)
		}
	})
}
