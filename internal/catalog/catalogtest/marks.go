package catalogtest

import (
	"bytes"
	"testing"

	"quarantine/internal/quarantine"
)

// A mark is any bytes under any name; setting it replaces it.
func marks(t *testing.T, s Store) {
	_, err := s.Mark(background(), "m")
	is(t, "no mark yet", err, quarantine.ErrNotFound)
	for _, value := range [][]byte{[]byte("one"), {0, 255, 1}, {}, nil, bytes.Repeat([]byte("long"), 10_000)} {
		if err := s.SetMark(background(), "m", value); err != nil {
			t.Fatalf("set: %v", err)
		}
		if got, err := s.Mark(background(), "m"); err != nil || !bytes.Equal(got, value) {
			t.Errorf("got %.20q, %v; want %.20q", got, err, value)
		}
	}
	if err := s.SetMark(background(), "a 'strange' name", []byte("x")); err != nil {
		t.Errorf("set: %v", err)
	}
	if got, err := s.Mark(background(), "a 'strange' name"); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = s.Mark(background(), "M")
	is(t, "a mark of another name", err, quarantine.ErrNotFound)
}
