package catalogtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Totals are by pool, namespace and state; sizes that are not known count as
// nothing.
func totals(t *testing.T, s Store) {
	if ts, err := s.Totals(background()); err != nil || len(ts) != 0 {
		t.Errorf("totals of nothing: %v, %v", ts, err)
	}
	a, b := quarantine.PoolRef{FSID: "f", Pool: "a"}, quarantine.PoolRef{FSID: "f", Pool: "a", Namespace: "n"}
	for i, d := range []quarantine.Disk{
		{Key: a.Key("1"), State: quarantine.Quarantined, SizeBytes: 10, UsedBytes: 5},
		{Key: a.Key("2"), State: quarantine.Quarantined, SizeBytes: 1 << 50, UsedBytes: -1},
		{Key: a.Key("3"), State: quarantine.Purged, SizeBytes: 7, UsedBytes: 7},
		{Key: b.Key("1"), State: quarantine.Quarantined, SizeBytes: 3, UsedBytes: 0},
		{Key: b.Key("4"), State: quarantine.Lost, SizeBytes: -1, UsedBytes: -1},
	} {
		d.ID = fmt.Sprint("d", i)
		put(t, s, d)
	}
	got, err := s.Totals(background())
	if err != nil {
		t.Fatalf("totals: %v", err)
	}
	same(t, "totals", got, []quarantine.Total{
		{PoolRef: a, State: quarantine.Purged, Disks: 1, Bytes: 7, Used: 7},
		{PoolRef: a, State: quarantine.Quarantined, Disks: 2, Bytes: 1<<50 + 10, Used: 5},
		{PoolRef: b, State: quarantine.Lost, Disks: 1},
		{PoolRef: b, State: quarantine.Quarantined, Disks: 1, Bytes: 3},
	})
}

// The oldest pending disk is the one that was taken up first, whenever it was
// deleted.
func oldestPending(t *testing.T, s Store) {
	oldest := func() time.Time {
		t.Helper()
		at, err := s.OldestPending(background())
		if err != nil {
			t.Errorf("oldest pending: %v", err)
		}
		return at
	}
	older := newDisk("not pending")
	older.QuarantinedAt = t0.AddDate(-1, 0, 0)
	put(t, s, older)
	if at := oldest(); !at.IsZero() {
		t.Errorf("none is pending, and the oldest since %v", at)
	}
	var last quarantine.Disk
	for i, since := range []time.Duration{3, 1, 2} {
		d := newDisk(fmt.Sprint("d", i))
		d.State, d.QuarantinedAt, d.DeletedAt = quarantine.Pending, t0.Add(since*time.Minute), t0.Add(-since*time.Hour)
		d = put(t, s, d)
		if since == 1 {
			last = d
		}
	}
	if at := oldest(); at != t0.Add(time.Minute) {
		t.Errorf("oldest since %v", at)
	}
	last.State = quarantine.Quarantined
	put(t, s, last)
	if at := oldest(); at != t0.Add(2*time.Minute) {
		t.Errorf("oldest since %v", at)
	}
}

// stubs are a pool's disks of some states by image id, from behind one on.
func stubs(t *testing.T, s Store) {
	pool, other := quarantine.PoolRef{FSID: "f", Pool: "a"}, quarantine.PoolRef{FSID: "f", Pool: "a", Namespace: "n"}
	var want []quarantine.DiskStub
	for i, state := range []quarantine.State{quarantine.Quarantined, quarantine.Purged, quarantine.Pending, quarantine.Quarantined} {
		for _, p := range []quarantine.PoolRef{pool, other} {
			d := newDisk(fmt.Sprint(p, i))
			d.Key, d.State, d.DeletedAt = p.Key(fmt.Sprint("B1a_"[i:i+1], i)), state, t0.Add(-time.Duration(i)*time.Hour)
			d = put(t, s, d)
			if p == pool && state != quarantine.Purged {
				want = append(want, quarantine.DiskStub{ID: d.ID, ImageID: d.Key.ImageID, State: state, DeletedAt: d.DeletedAt, Version: d.Version})
			}
		}
	}
	// In the order of the bytes, as Ceph's.
	slices.SortFunc(want, func(a, b quarantine.DiskStub) int { return cmp.Compare(a.ImageID, b.ImageID) })
	states := []quarantine.State{quarantine.Pending, quarantine.Quarantined}
	after, got := "", []quarantine.DiskStub(nil)
	for {
		page, err := s.DiskStubs(background(), pool, states, after, 2)
		if err != nil {
			t.Fatalf("stubs after %q: %v", after, err)
		}
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
		after = page[1].ImageID
	}
	same(t, "stubs", got, want)
	for _, bad := range []func() ([]quarantine.DiskStub, error){
		func() ([]quarantine.DiskStub, error) { return s.DiskStubs(background(), pool, states, "", 0) },
		func() ([]quarantine.DiskStub, error) { return s.DiskStubs(background(), pool, nil, "", 1) },
	} {
		if _, err := bad(); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("a page of nothing: %v", err)
		}
	}
}
