package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// The tables of cases and standing holds, of which there are few: they are alike.
const (
	tableCases    = "cases"
	tableStanding = "standing_holds"
)

// Case returns the case of that id. ErrNotFound.
func (c *Catalog) Case(ctx context.Context, id string) (quarantine.Case, error) {
	var record []byte
	var out quarantine.Case
	err := c.readDB.QueryRowContext(ctx, `SELECT record, version FROM cases WHERE id = ?`, id).Scan(&record, &out.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return out, fmt.Errorf("catalog: case %q: %w", id, quarantine.ErrNotFound)
	}
	if err != nil {
		return out, unavailable(err, "read case %q", id)
	}
	if err := json.Unmarshal(record, &out); err != nil {
		return out, unavailable(err, "decode case %q", id)
	}
	return out, nil
}

// Cases returns all cases, the oldest first.
func (c *Catalog) Cases(ctx context.Context) ([]quarantine.Case, error) {
	return allOf(ctx, c, tableCases, func(x *quarantine.Case, version int64) { x.Version = version })
}

// PutCase writes the case if the catalog's version of it is x.Version (zero: there is
// none yet), and returns it as it will be read back. ErrConflict, ErrInvalid.
func (c *Catalog) PutCase(ctx context.Context, x quarantine.Case) (quarantine.Case, error) {
	for _, t := range []*time.Time{&x.OpenedAt, &x.ClosedAt, &x.Deadline} {
		cut(t)
	}
	err := c.putOne(ctx, tableCases, x.ID, x.Version, x.OpenedAt, x)
	if err == nil {
		x.Version++
	}
	return x, err
}

// StandingHolds returns all standing holds, the oldest first, released ones too.
func (c *Catalog) StandingHolds(ctx context.Context) ([]quarantine.StandingHold, error) {
	return allOf(ctx, c, tableStanding, func(x *quarantine.StandingHold, version int64) { x.Version = version })
}

// PutStandingHold writes the standing hold if the catalog's version of it is
// x.Version (zero: there is none yet), and returns it as it will be read back.
// ErrConflict, ErrInvalid.
func (c *Catalog) PutStandingHold(ctx context.Context, x quarantine.StandingHold) (quarantine.StandingHold, error) {
	for _, t := range []*time.Time{&x.At, &x.Until, &x.ReleasedAt} {
		cut(t)
	}
	err := c.putOne(ctx, tableStanding, x.ID, x.Version, x.At, x)
	if err == nil {
		x.Version++
	}
	return x, err
}

func allOf[T any](ctx context.Context, c *Catalog, table string, versioned func(*T, int64)) ([]T, error) {
	rows, err := c.readDB.QueryContext(ctx, `SELECT record, version FROM `+table+` ORDER BY opened_at, id`)
	if err != nil {
		return nil, unavailable(err, "read %s", table)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var record []byte
		var version int64
		var x T
		if err := rows.Scan(&record, &version); err != nil {
			return nil, unavailable(err, "read %s", table)
		}
		if err := json.Unmarshal(record, &x); err != nil {
			return nil, unavailable(err, "decode a row of %s", table)
		}
		versioned(&x, version)
		all = append(all, x)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "read %s", table)
	}
	return all, nil
}

func (c *Catalog) putOne(ctx context.Context, table, id string, version int64, opened time.Time, x any) error {
	if id == "" || version < 0 {
		return invalidf("%s: id %q and version %d", table, id, version)
	}
	record, err := json.Marshal(x)
	if err != nil {
		return invalidf("%s: %q cannot be encoded: %v", table, id, err)
	}
	return c.writer.do(ctx, func(t *txn) error {
		query, args := `INSERT INTO `+table+` (version, opened_at, record, id) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`, []any{version + 1, micros(opened), string(record), id}
		if version > 0 {
			query, args = `UPDATE `+table+` SET version = ?, opened_at = ?, record = ? WHERE id = ? AND version = ?`, append(args, version)
		}
		n, err := t.exec(query, args...)
		if err != nil {
			return unavailable(err, "write %q in %s", id, table)
		}
		if n == 0 {
			return fmt.Errorf("catalog: %s %q: %w", table, id, quarantine.ErrConflict)
		}
		return nil
	})
}
