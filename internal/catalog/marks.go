package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// Mark returns the value under the name; ErrNotFound if there is none.
func (c *Catalog) Mark(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := c.readDB.QueryRowContext(ctx, `SELECT value FROM marks WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("catalog: mark %s: %w", name, quarantine.ErrNotFound)
	}
	if err != nil {
		return nil, unavailable(err, "read mark %s", name)
	}
	return value, nil
}

// SetMark replaces the value under the name.
func (c *Catalog) SetMark(ctx context.Context, name string, value []byte) error {
	kept := append([]byte{}, value...) // never nil, which would be NULL
	return c.writer.do(ctx, func(t *txn) error {
		_, err := t.exec(`INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, kept)
		if err != nil {
			return unavailable(err, "write mark %s", name)
		}
		return nil
	})
}
