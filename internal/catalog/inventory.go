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

// sighting is one sighting, ready to be written.
type sighting struct {
	cloud, kind, id string
	seenAt          int64
	record          []byte
}

// See keeps the sightings, all of them or none, in one transaction. One that
// is older than what is kept of its resource changes nothing; any other takes
// its place, and makes the resource alive again. Other changes wait meanwhile,
// about 20 µs a sighting, so a sweep of a large cloud comes in pages. ErrInvalid
// if one has no time, or its deletion lacks what it needs.
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
	record, err := json.Marshal(d.Normalize())
	if err != nil {
		return sighting{}, invalidf("sighting of %s %q cannot be encoded: %v", d.ResourceKind, d.ResourceID, err)
	}
	return sighting{asKept(d.Cloud), asKept(string(d.ResourceKind)), asKept(d.ResourceID), micros(s.SeenAt), record}, nil
}

// An upsert that returns n would do in two statements what takes three here,
// and in more than twice the time: SQLite keeps a journal of its own for each.
const (
	seenQuery    = `SELECT n, seen_at FROM sightings WHERE cloud = ? AND kind = ? AND id = ?`
	seeAgain     = `UPDATE sightings SET seen_at = ?, dead = 0 WHERE n = ?`
	seeChanged   = `UPDATE sighting_records SET record = ?1 WHERE n = ?2 AND record <> ?1`
	seeNew       = `INSERT INTO sightings (cloud, kind, id, seen_at, dead) VALUES (?, ?, ?, ?, 0)`
	seeNewRecord = `INSERT INTO sighting_records (n, record) VALUES (last_insert_rowid(), ?)`
)

func putSighting(t *txn, s *sighting) error {
	var n, at int64
	err := t.row(seenQuery, []any{s.cloud, s.kind, s.id}, []any{&n, &at})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, err = t.exec(seeNew, s.cloud, s.kind, s.id, s.seenAt); err == nil {
			_, err = t.exec(seeNewRecord, string(s.record))
		}
	case err == nil && at <= s.seenAt: // else a newer one is kept
		if _, err = t.exec(seeAgain, s.seenAt, n); err == nil {
			_, err = t.exec(seeChanged, string(s.record), n)
		}
	}
	if err != nil {
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

// Every record is read for a name: it is a person's question, and no index is kept
// for it.
const findSightingsQuery = `SELECT s.seen_at, r.record FROM sightings s JOIN sighting_records r ON r.n = s.n
	WHERE s.dead = 0 AND (?1 = '' OR s.cloud = ?1) AND (s.id = ?2 OR json_extract(r.record, '$.resource_name') = ?2) ORDER BY s.cloud, s.kind, s.id LIMIT ?3`

// FindSightings returns the last sightings of the living resources with that id or
// name, of one cloud or (empty) of all; limit 0 means all.
func (c *Catalog) FindSightings(ctx context.Context, cloud, resource string, limit int) ([]quarantine.Sighting, error) {
	return c.sightings(ctx, "find what is called "+resource, findSightingsQuery, asKept(cloud), asKept(resource), orAll(limit))
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
	return c.sightings(ctx, "find the vanished resources of "+cloud, vanishedQuery, asKept(cloud), microsUp(before), orAll(limit))
}

func (c *Catalog) sightings(ctx context.Context, what, query string, args ...any) ([]quarantine.Sighting, error) {
	rows, err := c.readDB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "%s", what)
	}
	defer rows.Close()
	var out []quarantine.Sighting
	for rows.Next() {
		var at int64
		var record []byte
		if err := rows.Scan(&at, &record); err != nil {
			return nil, unavailable(err, "%s", what)
		}
		s, err := decodeSighting(at, record)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "%s", what)
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
