package quarantine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// manyDisks is a catalog of disks of which died so many in each second.
type manyDisks struct {
	Disks
	perSecond, n int
	most         int // rows of an answer
	fail         error
}

func (m *manyDisks) FindDisks(ctx context.Context, f DiskFilter) ([]Disk, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if m.fail != nil && !f.DeletedFrom.IsZero() {
		return nil, m.fail
	}
	var page []Disk
	for i := range m.n {
		d := Disk{ID: fmt.Sprint(i), DeletedAt: time.Unix(int64(i/m.perSecond), 0)}
		switch {
		case d.DeletedAt.Before(f.DeletedFrom):
		case f.Offset > 0:
			f.Offset--
		case f.Limit == 0 || len(page) < f.Limit:
			page = append(page, d)
		}
	}
	m.most = max(m.most, len(page))
	return page, nil
}

// Each disk is given once, in order, however many died in one second, and never
// are more than a page's read at once.
func TestEachDisk(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int{1, 3, 999, 1000, 1001, 2500, 5000} {
		for _, n := range []int{0, 1, 1000, 3001} {
			m, next := &manyDisks{perSecond: perSecond, n: n}, 0
			err := eachDisk(t.Context(), m, DiskFilter{}, func(d *Disk) error {
				if d.ID != fmt.Sprint(next) {
					return fmt.Errorf("disk %s, want %d", d.ID, next)
				}
				next++
				return nil
			})
			if err != nil || next != n || m.most > diskPage {
				t.Errorf("%d a second: %d of %d disks, %d at once, %v", perSecond, next, n, m.most, err)
			}
		}
	}
}

// An error ends it, whoever has it.
func TestEachDiskEnds(t *testing.T) {
	t.Parallel()
	mine, calls := errors.New("mine"), 0
	m := &manyDisks{perSecond: 1, n: 5000}
	err := eachDisk(t.Context(), m, DiskFilter{}, func(*Disk) error {
		if calls++; calls == 1500 {
			return mine
		}
		return nil
	})
	if !errors.Is(err, mine) || calls != 1500 {
		t.Errorf("%d calls, %v", calls, err)
	}
	m.fail = mine
	if err := eachDisk(t.Context(), m, DiskFilter{}, func(*Disk) error { return nil }); !errors.Is(err, mine) {
		t.Errorf("of the catalog: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	m = &manyDisks{perSecond: 1, n: 5000}
	err = eachDisk(ended, m, DiskFilter{}, func(*Disk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("of the caller: %v", err)
	}
}
