package quarantine_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"quarantine/internal/catalog"
)

// store is a real catalog in a directory of its own.
type store struct {
	*catalog.Catalog
	t   tb
	dir string
	// standingErr, where not nil, is what reading the standing holds ends with.
	standingErr error
}

func openStore(t tb) *store {
	t.Helper()
	// In memory where there is such a place: a walk opens a thousand catalogs,
	// and that they outlive the machine is not what it proves.
	base := "/dev/shm"
	if st, err := os.Stat(base); err != nil || !st.IsDir() {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "quarantine-domain-")
	if err != nil {
		t.Fatalf("make a directory: %v", err)
	}
	s := &store{t: t, dir: dir}
	s.open()
	t.Cleanup(func() {
		s.close()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return s
}

func (s *store) path() string { return filepath.Join(s.dir, "catalog.db") }

func (s *store) open() {
	s.t.Helper()
	c, err := catalog.Open(context.Background(), s.path(), catalog.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatalf("open the catalog: %v", err)
	}
	s.Catalog = c
}

func (s *store) close() {
	if err := s.Catalog.Close(); err != nil {
		s.t.Errorf("close the catalog: %v", err)
	}
}

// lose is the loss of the catalog's file.
func (s *store) lose() {
	s.t.Helper()
	s.close()
	files, err := filepath.Glob(s.path() + "*")
	if err != nil || len(files) == 0 {
		s.t.Fatalf("find the catalog's files: %q, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			s.t.Fatalf("lose the catalog: %v", err)
		}
	}
	s.open()
}
