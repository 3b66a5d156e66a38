package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// Disk returns the disk of that id. ErrNotFound.
func (c *Catalog) Disk(ctx context.Context, id string) (quarantine.Disk, error) {
	var record []byte
	var version int64
	var stale bool
	err := c.readDB.QueryRowContext(ctx, `SELECT record, version, record_stale FROM disks WHERE id = ?`, id).Scan(&record, &version, &stale)
	if errors.Is(err, sql.ErrNoRows) {
		return quarantine.Disk{}, fmt.Errorf("catalog: disk %s: %w", id, quarantine.ErrNotFound)
	}
	if err != nil {
		return quarantine.Disk{}, unavailable(err, "read disk %s", id)
	}
	return decodeDisk(record, version, stale)
}

// PutDisk writes the disk if the catalog's version of it is d.Version (zero:
// there is none yet), and returns it as it will be read back, with its new
// version and with times in UTC, cut to microseconds. ErrConflict if somebody
// was faster, or the row is gone; ErrInvalid if it has no id.
func (c *Catalog) PutDisk(ctx context.Context, d quarantine.Disk) (quarantine.Disk, error) {
	if d.ID == "" || d.Version < 0 {
		return d, invalidf("disk with id %q and version %d", d.ID, d.Version)
	}
	record, stored, err := encodeDisk(d)
	if err != nil {
		return d, err
	}
	stored.Version = d.Version + 1
	columns, terms := columnsOf(&stored, record), termsOf(&stored)
	err = c.writer.do(ctx, func(t *txn) error {
		if d.Version == 0 {
			return insertDisk(t, &stored, columns, terms)
		}
		return updateDisk(t, &stored, columns, terms)
	})
	if err != nil {
		return d, err
	}
	return stored, nil
}

func conflict(id string) error {
	return fmt.Errorf("catalog: disk %s: %w", id, quarantine.ErrConflict)
}

func insertDisk(t *txn, d *quarantine.Disk, columns []column, terms []term) error {
	names, args := []string{"id", "version"}, []any{d.ID, d.Version}
	for _, c := range columns {
		names, args = append(names, c.name), append(args, c.value)
	}
	n, err := t.exec(`INSERT INTO disks (`+strings.Join(names, ", ")+`) VALUES (`+marks(len(args))+`) ON CONFLICT (id) DO NOTHING`, args...)
	if err != nil {
		return unavailable(err, "write disk %s", d.ID)
	}
	if n == 0 {
		return conflict(d.ID)
	}
	return insertTerms(t, d, terms)
}

func updateDisk(t *txn, d *quarantine.Disk, columns []column, terms []term) error {
	var had int64
	var stale bool
	var oldRecord []byte
	err := t.row(`SELECT version, record_stale, record FROM disks WHERE id = ?`, []any{d.ID}, []any{&had, &stale, &oldRecord})
	if errors.Is(err, sql.ErrNoRows) || err == nil && had != d.Version-1 {
		return conflict(d.ID)
	}
	if err != nil {
		return unavailable(err, "read disk %s", d.ID)
	}
	old, err := decodeDisk(oldRecord, had, stale)
	if err != nil {
		return err
	}
	sets, args := []string{"version = ?"}, []any{d.Version}
	for _, c := range columns {
		sets, args = append(sets, c.name+" = ?"), append(args, c.value)
	}
	if _, err := t.exec(`UPDATE disks SET `+strings.Join(sets, ", ")+` WHERE id = ?`, append(args, d.ID)...); err != nil {
		return unavailable(err, "write disk %s", d.ID)
	}
	// Most changes are of the state, and leave the terms alone.
	if slices.Equal(termsOf(&old), terms) && micros(old.DeletedAt) == micros(d.DeletedAt) {
		return nil
	}
	if _, err := t.exec(`DELETE FROM disk_terms WHERE disk_id = ?`, d.ID); err != nil {
		return unavailable(err, "write disk %s", d.ID)
	}
	return insertTerms(t, d, terms)
}

func insertTerms(t *txn, d *quarantine.Disk, terms []term) error {
	for _, x := range terms {
		if _, err := t.exec(`INSERT INTO disk_terms (kind, value, died, disk_id) VALUES (?, ?, ?, ?)`, x.kind, x.value, micros(d.DeletedAt), d.ID); err != nil {
			return unavailable(err, "write disk %s", d.ID)
		}
	}
	return nil
}

// DropLost removes the record of a lost disk. ErrNotFound if there is none of
// that id, ErrConflict if it is in another state.
func (c *Catalog) DropLost(ctx context.Context, id string) error {
	return c.writer.do(ctx, func(t *txn) error {
		n, err := t.exec(`DELETE FROM disks WHERE id = ? AND state = ?`, id, string(quarantine.Lost))
		if err != nil {
			return unavailable(err, "remove the lost disk %s", id)
		}
		if n > 0 {
			return nil
		}
		var state string
		err = t.row(`SELECT state FROM disks WHERE id = ?`, []any{id}, []any{&state})
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("catalog: disk %s: %w", id, quarantine.ErrNotFound)
		}
		if err != nil {
			return unavailable(err, "read disk %s", id)
		}
		return fmt.Errorf("catalog: disk %s is %s, not lost: %w", id, state, quarantine.ErrConflict)
	})
}

// marks is n parameter marks.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
