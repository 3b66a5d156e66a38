package catalog_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"quarantine/internal/catalog"
	"quarantine/internal/catalog/catalogtest"
)

// The catalog does what every catalog must do.
func TestStore(t *testing.T) {
	t.Parallel()
	catalogtest.Run(t, func(t *testing.T) catalogtest.Store { return newCatalog(t) })
}

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c := open(t, filepath.Join(t.TempDir(), "catalog.db"))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func open(t *testing.T, path string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.Background(), path, catalog.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return c
}
