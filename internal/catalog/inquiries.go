package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

const unaskedQuery = `SELECT record FROM deletions WHERE asked = 0 AND cloud = ? AND received_at >= ? ORDER BY received_at, id LIMIT ?`

// Unasked returns the first of the cloud's deletions that were received at the
// time or later and are not marked by Asked, oldest received first, then by id;
// limit 0 means all. ErrInvalid for a negative limit.
func (c *Catalog) Unasked(ctx context.Context, cloud string, since time.Time, limit int) ([]quarantine.Deletion, error) {
	if limit < 0 {
		return nil, invalidf("a page of %d deletions", limit)
	}
	return c.deletions(ctx, unaskedQuery, asKept(cloud), microsUp(since), orAll(limit))
}

// Asked marks that the cloud's APIs were asked of the deletion, as it was when
// they were. There is no mark where a report has brought the id of a project, a
// user, a deleter or an image without its name meanwhile, and a later one that
// does takes the mark away. ErrNotFound.
func (c *Catalog) Asked(ctx context.Context, d quarantine.Deletion) error {
	return c.writer.do(ctx, func(t *txn) error {
		var record []byte
		err := t.row(`SELECT record FROM deletions WHERE id = ?`, []any{asKept(d.ID)}, []any{&record})
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("catalog: deletion %s: %w", d.ID, quarantine.ErrNotFound)
		}
		if err != nil {
			return unavailable(err, "read deletion %s", d.ID)
		}
		now, err := decodeDeletion(record)
		if err != nil || bringsNameless(&d, &now) {
			return err
		}
		if _, err := t.exec(`UPDATE deletions SET asked = 1 WHERE id = ?`, asKept(d.ID)); err != nil {
			return unavailable(err, "mark deletion %s as asked", d.ID)
		}
		return nil
	})
}

const findDeletionsQuery = `SELECT record FROM deletions WHERE cloud = ? AND acted_at >= ? AND acted_at < ? ORDER BY id`

// FindDeletions returns the cloud's deletions whose act ended, or else began,
// or else was reported, within [from, to), by id.
func (c *Catalog) FindDeletions(ctx context.Context, cloud string, from, to time.Time) ([]quarantine.Deletion, error) {
	return c.deletions(ctx, findDeletionsQuery, asKept(cloud), microsUp(from), microsUp(to))
}
