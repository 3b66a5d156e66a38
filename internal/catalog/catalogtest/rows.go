package catalogtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"quarantine/internal/quarantine"
)

// Pages by id hold every disk once, whatever its state and place, in full.
func disksAfter(t *testing.T, s Store) {
	var want []quarantine.Disk
	for i, state := range []quarantine.State{quarantine.Quarantined, quarantine.Purged, quarantine.Lost, quarantine.Pending, quarantine.Restored} {
		d := newDisk(fmt.Sprint("row", i))
		d.State, d.RecordStale = state, i%2 == 0
		want = append(want, put(t, s, d))
	}
	slices.SortFunc(want, func(a, b quarantine.Disk) int { return cmp.Compare(a.ID, b.ID) })
	var got []quarantine.Disk
	for after := ""; ; {
		page, err := s.DisksAfter(background(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
		after = page[1].ID
	}
	same(t, "the disks", got, want)
	if _, err := s.DisksAfter(background(), "", 0); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("a page of nothing: %v", err)
	}
}
