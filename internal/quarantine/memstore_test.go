package quarantine_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// store is a catalog in memory.
type store struct {
	mu    sync.Mutex
	disks map[string]quarantine.Disk
	dels  map[string]quarantine.Deletion
	open  map[string]bool
	marks map[string][]byte
}

func openStore(tb) *store {
	s := &store{}
	s.lose()
	return s
}

// lose is the loss of the catalog's file.
func (s *store) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disks, s.dels, s.open, s.marks = map[string]quarantine.Disk{}, map[string]quarantine.Deletion{}, map[string]bool{}, map[string][]byte{}
}

// Reset removes all disks and deletions.
func (s *store) Reset(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disks, s.dels, s.open = map[string]quarantine.Disk{}, map[string]quarantine.Deletion{}, map[string]bool{}
	return nil
}

// deep copies by way of JSON, as a real catalog does.
func deep(d quarantine.Disk) quarantine.Disk {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	var out quarantine.Disk
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	out.Version, out.RecordStale = d.Version, d.RecordStale
	return out
}

func (s *store) Disk(_ context.Context, id string) (quarantine.Disk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.disks[id]
	if !ok {
		return quarantine.Disk{}, fmt.Errorf("disk %s: %w", id, quarantine.ErrNotFound)
	}
	return deep(d), nil
}

func (s *store) PutDisk(_ context.Context, d quarantine.Disk) (quarantine.Disk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.disks[d.ID]; old.Version != d.Version {
		return d, fmt.Errorf("disk %s: %w", d.ID, quarantine.ErrConflict)
	}
	d = deep(d)
	d.Version++
	s.disks[d.ID] = d
	return deep(d), nil
}

func (s *store) DropLost(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.disks[id]; d.State != quarantine.Lost {
		return fmt.Errorf("disk %s is %q: %w", id, d.State, quarantine.ErrConflict)
	}
	delete(s.disks, id)
	return nil
}

func (s *store) FindDisks(_ context.Context, f quarantine.DiskFilter) ([]quarantine.Disk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []quarantine.Disk
	for _, d := range s.disks {
		if selects(f, &d) {
			out = append(out, deep(d))
		}
	}
	slices.SortFunc(out, func(a, b quarantine.Disk) int {
		if f.Sort == "retain_until" {
			return cmp.Or(a.RetainUntil.Compare(b.RetainUntil), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(a.DeletedAt.Compare(b.DeletedAt), cmp.Compare(a.ID, b.ID))
	})
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, nil
}

func selects(f quarantine.DiskFilter, d *quarantine.Disk) bool {
	after := func(name string) bool {
		return name == f.NamePrefix || strings.HasPrefix(name, f.NamePrefix) && strings.ContainsRune("_.-@", rune(name[len(f.NamePrefix)]))
	}
	return (len(f.States) == 0 || slices.Contains(f.States, d.State)) &&
		(f.Pool == nil || *f.Pool == d.Key.PoolRef()) &&
		(len(f.OriginalNames) == 0 || slices.Contains(f.OriginalNames, d.OriginalName)) &&
		(f.NamePrefix == "" || after(d.OriginalName)) &&
		(f.Held == nil || *f.Held == d.Held()) &&
		(!f.Unexplained || d.Deletion == nil) &&
		(!f.RecordStale || d.RecordStale) &&
		(!f.Unmeasured || d.UsedBytes == -1) &&
		(f.Sealed == nil || *f.Sealed == d.Sealed) &&
		(f.RetainBefore.IsZero() || !d.RetainUntil.After(f.RetainBefore)) &&
		(f.ExpiringBefore.IsZero() || !d.ExpiringAt.After(f.ExpiringBefore))
}

func (s *store) Deletion(_ context.Context, id string) (quarantine.Deletion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.dels[id]
	if !ok {
		return d, fmt.Errorf("deletion %s: %w", id, quarantine.ErrNotFound)
	}
	return d, nil
}

func (s *store) MergeDeletion(_ context.Context, d quarantine.Deletion) (quarantine.Deletion, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.dels[d.ID]
	m := d
	if known {
		if m = quarantine.Merge(old, d); m.Equal(old) {
			return m, false, nil
		}
	}
	s.dels[d.ID] = m
	s.open[d.ID] = slices.ContainsFunc(m.Disks, func(r quarantine.DiskRef) bool { return r.Required })
	return m, true, nil
}

func (s *store) DeletionsOf(_ context.Context, keys []string) ([]quarantine.Deletion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []quarantine.Deletion
	for _, d := range s.dels {
		if slices.ContainsFunc(d.Disks, func(r quarantine.DiskRef) bool { return slices.Contains(keys, r.Name) }) {
			out = append(out, d)
		}
	}
	return out, nil
}

func (s *store) OpenDeletions(_ context.Context, before time.Time, limit int) ([]quarantine.Deletion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []quarantine.Deletion
	for id, d := range s.dels {
		if s.open[id] && d.ReceivedAt.Before(before) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b quarantine.Deletion) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return out[:min(limit, len(out))], nil
}

func (s *store) CloseDeletion(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[id] = false
	return nil
}

func (s *store) Mark(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.marks[name]
	if !ok {
		return nil, fmt.Errorf("mark %s: %w", name, quarantine.ErrNotFound)
	}
	return b, nil
}

func (s *store) SetMark(_ context.Context, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[name] = slices.Clone(value)
	return nil
}
