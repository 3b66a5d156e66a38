package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// pages is a trash and a catalog that are listed in pages of any size.
type pages struct {
	Trash
	Disks
	entries []TrashEntry
	rows    []DiskStub
	size    int
	broken  bool
}

func (p *pages) EachTrash(_ context.Context, _ PoolRef, do func([]TrashEntry) error) error {
	for page := range slices.Chunk(p.entries, p.size) {
		if err := do(page); err != nil {
			return err
		}
	}
	if p.broken {
		return ErrUnavailable
	}
	return nil
}

func (p *pages) DiskStubs(_ context.Context, _ PoolRef, _ []State, after string, limit int) ([]DiskStub, error) {
	i := slices.IndexFunc(p.rows, func(s DiskStub) bool { return s.ImageID > after })
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(p.rows[i:min(i+limit, len(p.rows))]), nil
}

// However trash and catalog come in pages: what one has and the other has not is
// found, once, and of a trash that was not read to its end no disk behind is
// called absent.
func TestMergeIsByPage(t *testing.T) {
	died := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		p := &pages{size: rapid.IntRange(1, 5).Draw(t, "page"), broken: rapid.Bool().Draw(t, "broken")}
		var adopt, absent []string
		for i := range rapid.IntRange(0, 30).Draw(t, "images") {
			id := fmt.Sprintf("%02d", i)
			where := rapid.SampledFrom([]string{"both", "trash", "catalog"}).Draw(t, "where")
			state := rapid.SampledFrom([]State{Pending, Quarantined, Expiring, Purging, Restoring, Restored}).Draw(t, "state")
			again := rapid.Bool().Draw(t, "again")
			e := TrashEntry{Key: Key{ImageID: id}, Name: "x", DeletedAt: died}
			if again {
				e.DeletedAt = died.Add(time.Hour)
			}
			if where != "catalog" {
				p.entries = append(p.entries, e)
			}
			if where != "trash" {
				p.rows = append(p.rows, DiskStub{ID: id, ImageID: id, State: state, DeletedAt: died})
			}
			settled := state == Quarantined || state == Expiring
			switch {
			case where == "trash", where == "both" && (state == Pending || state == Restored || settled && again):
				adopt = append(adopt, id)
			case where == "both" && state == Restoring, where == "catalog" && state != Purging && state != Restored:
				absent = append(absent, id)
			}
		}
		var gotAdopt, gotAbsent []string
		rows := &stubs{disks: p, states: States(), size: rapid.IntRange(1, 5).Draw(t, "rows")}
		err := merge(t.Context(), p, rows, func(c chores) error {
			for _, a := range c.adopt {
				gotAdopt = append(gotAdopt, a.entry.Key.ImageID)
			}
			for _, s := range c.absent {
				gotAbsent = append(gotAbsent, s.ID)
			}
			return nil
		})
		if errors.Is(err, ErrUnavailable) != p.broken {
			t.Fatal(err)
		}
		if p.broken {
			last := ""
			if n := len(p.entries); n > 0 {
				last = p.entries[n-1].Key.ImageID
			}
			absent = slices.DeleteFunc(absent, func(id string) bool { return id > last })
		}
		if !slices.Equal(gotAdopt, adopt) || !slices.Equal(gotAbsent, absent) {
			t.Fatalf("to adopt are %v, want %v; absent are %v, want %v", gotAdopt, adopt, gotAbsent, absent)
		}
	})
}
