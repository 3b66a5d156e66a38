package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// Deletion returns the deletion of that id. ErrNotFound.
func (c *Catalog) Deletion(ctx context.Context, id string) (quarantine.Deletion, error) {
	var record []byte
	err := c.readDB.QueryRowContext(ctx, `SELECT record FROM deletions WHERE id = ?`, id).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return quarantine.Deletion{}, fmt.Errorf("catalog: deletion %s: %w", id, quarantine.ErrNotFound)
	}
	if err != nil {
		return quarantine.Deletion{}, unavailable(err, "read deletion %s", id)
	}
	return decodeDeletion(record)
}

// MergeDeletion stores the Merge of the deletion with what is known of it, and
// reports whether that changed anything. A closed deletion is open again when
// the merge requires a disk that it did not require before. ErrInvalid if the
// deletion lacks what it needs.
func (c *Catalog) MergeDeletion(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, bool, error) {
	if err := d.Validate(); err != nil {
		return d, false, fmt.Errorf("catalog: %w", err)
	}
	// Through JSON and back: what JSON cannot hold as it is (bytes that are not
	// UTF-8) must not look like news at every repetition.
	_, d, err := encodeDeletion(d)
	if err != nil {
		return d, false, err
	}
	var merged quarantine.Deletion
	var changed bool
	err = c.writer.do(ctx, func(t *txn) (err error) {
		merged, changed, err = mergeDeletion(t, d)
		return err
	})
	if err != nil {
		return d, false, err
	}
	return merged, changed, nil
}

func mergeDeletion(t *txn, d quarantine.Deletion) (quarantine.Deletion, bool, error) {
	var old []byte
	var open int64
	err := t.row(`SELECT record, is_open FROM deletions WHERE id = ?`, []any{d.ID}, []any{&old, &open})
	if errors.Is(err, sql.ErrNoRows) {
		return d, true, insertDeletion(t, d)
	}
	if err != nil {
		return d, false, unavailable(err, "read deletion %s", d.ID)
	}
	known, err := decodeDeletion(old)
	if err != nil {
		return d, false, err
	}
	merged := quarantine.Merge(known, d)
	if merged.Equal(known) {
		return known, false, nil
	}
	if !slices.Equal(requiredRefs(known), requiredRefs(merged)) {
		open = 1
	}
	record, merged, err := encodeDeletion(merged)
	if err != nil {
		return d, false, err
	}
	_, err = t.exec(`UPDATE deletions SET cloud = ?, received_at = ?, acted_at = ?, is_open = ?, asked = asked AND ?, record = ? WHERE id = ?`,
		merged.Cloud, micros(merged.ReceivedAt), micros(merged.LastSign()), open, bit(!bringsNameless(&known, &merged)), string(record), merged.ID)
	if err != nil {
		return d, false, unavailable(err, "write deletion %s", d.ID)
	}
	return merged, true, insertRefs(t, merged)
}

// bringsNameless reports whether the merge brought an id whose name only the
// cloud can tell. An answer that came before it did not speak of it.
func bringsNameless(known, merged *quarantine.Deletion) bool {
	for _, p := range [][2]quarantine.Principal{
		{known.Project, merged.Project}, {known.User, merged.User}, {known.Deleter, merged.Deleter}, {known.Image, merged.Image},
	} {
		if p[1].ID != p[0].ID && p[1].Name == "" {
			return true
		}
	}
	return false
}

func insertDeletion(t *txn, d quarantine.Deletion) error {
	record, d, err := encodeDeletion(d)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO deletions (id, cloud, received_at, acted_at, asked, is_open, record) VALUES (?, ?, ?, ?, 0, ?, ?)`,
		d.ID, d.Cloud, micros(d.ReceivedAt), micros(d.LastSign()), bit(len(requiredRefs(d)) > 0), string(record))
	if err != nil {
		return unavailable(err, "write deletion %s", d.ID)
	}
	return insertRefs(t, d)
}

// insertRefs adds the deletion's names. None is ever taken away: a merge only
// adds.
func insertRefs(t *txn, d quarantine.Deletion) error {
	for _, r := range d.Disks {
		_, err := t.exec(`INSERT INTO deletion_disks (name, is_prefix, deletion_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, r.Name, bit(r.Prefix), d.ID)
		if err != nil {
			return unavailable(err, "write deletion %s", d.ID)
		}
	}
	return nil
}

// requiredRefs are the required disks, without the role, which may become
// known later.
func requiredRefs(d quarantine.Deletion) []quarantine.DiskRef {
	var refs []quarantine.DiskRef
	for _, r := range d.Disks {
		if r.Required {
			r.Role = ""
			refs = append(refs, r)
		}
	}
	return refs
}

// DeletionsOf returns, by id, the deletions with an exact reference to the
// first key, or a reference by prefix to any of them.
func (c *Catalog) DeletionsOf(ctx context.Context, keys []string) ([]quarantine.Deletion, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	query, args := deletionsOfQuery(keys)
	return c.deletions(ctx, query, args...)
}

func deletionsOfQuery(keys []string) (string, []any) {
	args := []any{keys[0]}
	for _, k := range keys {
		args = append(args, k)
	}
	return `SELECT record FROM deletions WHERE id IN (
		SELECT deletion_id FROM deletion_disks WHERE name = ?
		UNION SELECT deletion_id FROM deletion_disks WHERE is_prefix = 1 AND name IN (` + marks(len(keys)) + `)) ORDER BY id`, args
}

// OpenDeletions returns deletions received before the time that have a
// Required DiskRef and were not closed, oldest first, after the first offset;
// limit 0 means all.
func (c *Catalog) OpenDeletions(ctx context.Context, before time.Time, limit, offset int) ([]quarantine.Deletion, error) {
	if limit < 0 || offset < 0 {
		return nil, invalidf("a page of %d deletions from %d on", limit, offset)
	}
	n := int64(limit)
	if n == 0 {
		n = 1<<63 - 1
	}
	return c.deletions(ctx, openDeletionsQuery, micros(before), n, offset)
}

const openDeletionsQuery = `SELECT record FROM deletions WHERE is_open = 1 AND received_at < ? ORDER BY received_at, id LIMIT ? OFFSET ?`

func (c *Catalog) deletions(ctx context.Context, query string, args ...any) ([]quarantine.Deletion, error) {
	rows, err := c.readDB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "find deletions")
	}
	defer rows.Close()
	var out []quarantine.Deletion
	for rows.Next() {
		var record []byte
		if err := rows.Scan(&record); err != nil {
			return nil, unavailable(err, "find deletions")
		}
		d, err := decodeDeletion(record)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "find deletions")
	}
	return out, nil
}

// CloseDeletion marks that every required disk is accounted for. ErrNotFound.
func (c *Catalog) CloseDeletion(ctx context.Context, id string) error {
	return c.writer.do(ctx, func(t *txn) error {
		n, err := t.exec(`UPDATE deletions SET is_open = 0 WHERE id = ?`, id)
		if err != nil {
			return unavailable(err, "close deletion %s", id)
		}
		if n == 0 {
			return fmt.Errorf("catalog: deletion %s: %w", id, quarantine.ErrNotFound)
		}
		return nil
	})
}

// encodeDeletion gives the record, and the deletion as it will be read back.
func encodeDeletion(d quarantine.Deletion) ([]byte, quarantine.Deletion, error) {
	record, err := json.Marshal(d.Normalize())
	if err != nil {
		return nil, d, invalidf("deletion %s cannot be encoded: %v", d.ID, err)
	}
	stored, err := decodeDeletion(record)
	return record, stored, err
}

func decodeDeletion(record []byte) (quarantine.Deletion, error) {
	var d quarantine.Deletion
	if err := json.Unmarshal(record, &d); err != nil {
		return d, unavailable(err, "decode a deletion's row")
	}
	return d, nil
}
