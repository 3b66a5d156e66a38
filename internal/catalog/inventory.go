package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// sighting is one sighting, ready to be written.
type sighting struct {
	cloud, kind, id string
	seenAt          int64
	record          []byte
}

// See keeps the sightings, all of them or none, in one transaction. One that
// is older than what is kept of its resource changes nothing; any other takes
// its place, and makes the resource alive again. ErrInvalid if one has no time,
// or its deletion lacks what it needs.
func (c *Catalog) See(ctx context.Context, seen []quarantine.Sighting) error {
	ready := make([]sighting, len(seen))
	for i, s := range seen {
		var err error
		if ready[i], err = encodeSighting(s); err != nil {
			return err
		}
	}
	return c.writer.do(ctx, func(t *txn) error {
		for i := range ready {
			if err := putSighting(t, &ready[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func encodeSighting(s quarantine.Sighting) (sighting, error) {
	d := s.Deletion
	if err := d.Validate(); err != nil {
		return sighting{}, fmt.Errorf("catalog: sighting of %s %q: %w", d.ResourceKind, d.ResourceID, err)
	}
	if s.SeenAt.IsZero() {
		return sighting{}, invalidf("sighting of %s %q at no time", d.ResourceKind, d.ResourceID)
	}
	record, stored, err := encodeDeletion(d)
	if err != nil {
		return sighting{}, err
	}
	return sighting{stored.Cloud, string(stored.ResourceKind), stored.ResourceID, micros(s.SeenAt), record}, nil
}

const (
	seeQuery = `INSERT INTO sightings (cloud, kind, id, seen_at, dead) VALUES (?, ?, ?, ?, 0)
		ON CONFLICT (cloud, kind, id) DO UPDATE SET seen_at = excluded.seen_at, dead = 0 WHERE excluded.seen_at >= seen_at RETURNING n`
	// seeRecordQuery writes nothing where nothing changed, which is nearly
	// always.
	seeRecordQuery = `INSERT INTO sighting_records (n, record) VALUES (?, ?)
		ON CONFLICT (n) DO UPDATE SET record = excluded.record WHERE record <> excluded.record`
)

func putSighting(t *txn, s *sighting) error {
	var n int64
	err := t.row(seeQuery, []any{s.cloud, s.kind, s.id, s.seenAt}, []any{&n})
	if errors.Is(err, sql.ErrNoRows) {
		return nil // a newer one is kept
	}
	if err != nil {
		return unavailable(err, "write the sighting of %s %q", s.kind, s.id)
	}
	if _, err := t.exec(seeRecordQuery, n, string(s.record)); err != nil {
		return unavailable(err, "write the sighting of %s %q", s.kind, s.id)
	}
	return nil
}

const sightingQuery = `SELECT s.seen_at, r.record FROM sightings s JOIN sighting_records r ON r.n = s.n WHERE s.cloud = ? AND s.kind = ? AND s.id = ?`

// Sighting returns the last sighting of the resource, whether its death is
// recorded or not. ErrNotFound.
func (c *Catalog) Sighting(ctx context.Context, cloud string, kind quarantine.ResourceKind, id string) (quarantine.Sighting, error) {
	var at int64
	var record []byte
	err := c.readDB.QueryRowContext(ctx, sightingQuery, asKept(cloud), asKept(string(kind)), asKept(id)).Scan(&at, &record)
	if errors.Is(err, sql.ErrNoRows) {
		return quarantine.Sighting{}, fmt.Errorf("catalog: sighting of %s %q: %w", kind, id, quarantine.ErrNotFound)
	}
	if err != nil {
		return quarantine.Sighting{}, unavailable(err, "read the sighting of %s %q", kind, id)
	}
	return decodeSighting(at, record)
}

func decodeSighting(at int64, record []byte) (quarantine.Sighting, error) {
	d, err := decodeDeletion(record)
	return quarantine.Sighting{SeenAt: time.UnixMicro(at).UTC(), Deletion: d}, err
}

const vanishedQuery = `SELECT s.seen_at, r.record FROM sightings s JOIN sighting_records r ON r.n = s.n
	WHERE s.cloud = ? AND s.dead = 0 AND s.seen_at < ? ORDER BY s.seen_at, s.kind, s.id LIMIT ?`

// Vanished returns the first of the cloud's sightings that are older than the
// time and are not marked as dead, oldest first, then by kind and id; limit 0
// means all. ErrInvalid for a negative limit.
func (c *Catalog) Vanished(ctx context.Context, cloud string, before time.Time, limit int) ([]quarantine.Sighting, error) {
	if limit < 0 {
		return nil, invalidf("a page of %d sightings", limit)
	}
	rows, err := c.readDB.QueryContext(ctx, vanishedQuery, asKept(cloud), microsUp(before), orAll(limit))
	if err != nil {
		return nil, unavailable(err, "find the vanished resources of %s", cloud)
	}
	defer rows.Close()
	var out []quarantine.Sighting
	for rows.Next() {
		var at int64
		var record []byte
		if err := rows.Scan(&at, &record); err != nil {
			return nil, unavailable(err, "find the vanished resources of %s", cloud)
		}
		s, err := decodeSighting(at, record)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "find the vanished resources of %s", cloud)
	}
	return out, nil
}

const markDeadQuery = `UPDATE sightings SET dead = 1 WHERE cloud = ? AND kind = ? AND id = ?`

// MarkDead marks that the resource's death is recorded; a second time changes
// nothing. ErrNotFound if it was never seen.
func (c *Catalog) MarkDead(ctx context.Context, cloud string, kind quarantine.ResourceKind, id string) error {
	return c.writer.do(ctx, func(t *txn) error {
		n, err := t.exec(markDeadQuery, asKept(cloud), asKept(string(kind)), asKept(id))
		if err != nil {
			return unavailable(err, "mark %s %q as dead", kind, id)
		}
		if n == 0 {
			return fmt.Errorf("catalog: sighting of %s %q: %w", kind, id, quarantine.ErrNotFound)
		}
		return nil
	})
}

const forgetSightingsQuery = `DELETE FROM sightings WHERE dead = 1 AND seen_at < ?`

// ForgetSightings drops the sightings that are marked as dead and are older
// than the time, and says how many there were.
func (c *Catalog) ForgetSightings(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := c.writer.do(ctx, func(t *txn) (err error) {
		if n, err = t.exec(forgetSightingsQuery, microsUp(before)); err != nil {
			return unavailable(err, "forget sightings")
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// asKept is the string as a record keeps it: JSON puts U+FFFD in place of each
// byte that is not UTF-8. What came from the outside is then found by the name
// it came under, and by the one that was kept.
func asKept(s string) string { return string([]rune(s)) }
